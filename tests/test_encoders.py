"""Grids for text encoders: the te_ keys."""

from __future__ import annotations

import json

import pytest
from small_models import Flux, TextEncoder, lr_by_name, make_network, start, trainer_args

from lr_grid.errors import GridError

BASE, TE1, TE2 = 1e-4, 2e-5, 4e-5


def two_encoders() -> list[TextEncoder]:
    return [TextEncoder(), TextEncoder()]


def lrs_of(encoders, **grid: str) -> dict[str, float]:
    model = Flux(1, 1)
    network = make_network(model, encoders, **grid)
    groups, _ = start(network, model, encoders, text_encoder_lr=[TE1, TE2])
    return lr_by_name(groups)


def te(lrs: dict[str, float], number: int) -> dict[tuple[int, str], float]:
    """(layer, self_attn or mlp) -> LR of lora_down."""
    prefix = f"lora_te{number}_text_model_encoder_layers_"
    found = {}
    for name, lr in lrs.items():
        if name.startswith(prefix) and "lora_down" in name:
            layer, kind = name.removeprefix(prefix).split("_", 1)
            found.setdefault((int(layer), "mlp" if "mlp" in kind else "self_attn"), set()).add(lr)
    assert all(len(values) == 1 for values in found.values())
    return {place: values.pop() for place, values in found.items()}


def test_components_and_depth_of_every_encoder_multiply_its_own_lr():
    lrs = lrs_of(two_encoders(), te_self_attn_lr="2x", te_ffn_lr="1e-6", te_depth_strategy="linear")
    for number, base in ((1, TE1), (2, TE2)):
        assert te(lrs, number) == pytest.approx(
            {(0, "self_attn"): 2 * base, (1, "self_attn"): 0.6 * base, (0, "mlp"): 1e-6, (1, "mlp"): 0.3e-6}
        )
    assert {lr for name, lr in lrs.items() if name.startswith("lora_unet")} == {BASE}


def test_one_encoder_alone_and_its_own_word_wins():
    lrs = lrs_of(two_encoders(), te2_ffn_lr="3x")
    assert set(te(lrs, 1).values()) == {TE1}
    assert te(lrs, 2) == pytest.approx(
        {(i, k): TE2 * (3 if k == "mlp" else 1) for i in (0, 1) for k in ("mlp", "self_attn")}
    )
    lrs = lrs_of(two_encoders(), te_default_lr="0.5x", te1_default_lr="0.1x")
    assert list(te(lrs, 1).values()) == pytest.approx([0.1 * TE1] * 4)
    assert list(te(lrs, 2).values()) == pytest.approx([0.5 * TE2] * 4)


def test_blocks_of_an_encoder_are_its_layers():
    lrs = lrs_of(
        two_encoders(), te_block_lr_weight="1:0.5", te2_train_block_indices="1", te_train_components="self_attn"
    )
    assert te(lrs, 1) == pytest.approx({(0, "self_attn"): TE1, (1, "self_attn"): 0.5 * TE1})
    assert te(lrs, 2) == pytest.approx({(1, "self_attn"): 0.5 * TE2})
    assert set(te(lrs_of(two_encoders(), te_block_lr="layers_0:1e-7"), 2).values()) == {1e-7, TE2}


def test_loraplus_of_an_encoder():
    ratio = {}
    grid = {"loraplus_text_encoder_lr_ratio": "2", "te2_loraplus_lr_ratio": "4", "te2_loraplus_ffn_lr_ratio": "8"}
    for name, lr in lrs_of(two_encoders(), **grid).items():
        if name.startswith("lora_te") and "lora_up" in name:
            ratio.setdefault((name[7], "mlp" in name), set()).add(lr / (TE1 if name[7] == "1" else TE2))
    assert {key: pytest.approx(values.pop()) for key, values in ratio.items()} == {
        ("1", False): 2,
        ("1", True): 2,
        ("2", False): 4,
        ("2", True): 8,
    }


def test_module_lr_still_wins_in_an_encoder():
    lrs = lrs_of(two_encoders(), te_ffn_lr="2x", module_lr="te1.*mlp:1e-8")
    assert te(lrs, 1)[0, "mlp"] == 1e-8
    assert te(lrs, 2)[0, "mlp"] == pytest.approx(2 * TE2)


def test_the_grid_of_an_encoder_is_printed_and_written(capsys, tmp_path):
    model, encoders = Flux(1, 1), two_encoders()
    network = make_network(model, encoders, te1_ffn_lr="2x", te1_depth_strategy="linear")
    start(network, model, encoders, text_encoder_lr=[TE1, TE2], output_dir=str(tmp_path))
    lines = capsys.readouterr().out.splitlines()
    table = lines.index("te1 layers  self_attn    ffn")
    assert lines[table + 1].split() == ["0", "2.00e-05", "x2", "4.00e-05", "x2"]
    assert lines[table + 2].split() == ["1", "6.00e-06", "x2", "1.20e-05", "x2"]
    assert "te2 (text encoder)  4.00e-05 x8" in lines
    plan = json.loads((tmp_path / "test.lr_grid.json").read_text(encoding="utf-8"))
    assert plan["encoder_stacks"] == {"te1": {"layers": 2}}
    row = next(row for row in plan["modules"] if row["name"].endswith("te1_text_model_encoder_layers_1_mlp_fc1"))
    assert row["why"] == "te1_ffn_lr 2x * depth 0.3"
    names = [group["description"] for group in plan["groups"]]
    assert {"te1 self_attn layers_0", "te1 self_attn layers_1", "te1 ffn layers_1"} < set(names)


@pytest.mark.parametrize(
    ("grid", "problem"),
    [
        (
            {"te_cross_attn_lr": "1e-4"},
            "te_cross_attn_lr: this network has no cross_attn module in te1 \\(TextEncoder\\)",
        ),
        ({"te3_ffn_lr": "1e-4"}, r"te3_ffn_lr: this network has no module of te3 \(text encoders: te1, te2"),
        ({"te_block_lr": "7:1e-4"}, r"te_block_lr: .* out of range.*te_block_lr speaks of every text encoder"),
        ({"te1_train_block_indices": "5"}, "te1_train_block_indices: block 5 is out of range"),
        ({"te_peak_position": "0.5"}, "te_peak_position has no effect with te_depth_strategy=flat"),
        (
            {"te1_depth_strategy": "linear", "te1_peak_position": "0.5"},
            "te1_peak_position belongs to te1_depth_strategy",
        ),
        ({"te_train_components": "ffn", "te_self_attn_lr": "1e-4"}, "te_self_attn_lr is set, but te_train_components"),
        (
            {"te_ffn_lr": "2x", "te1_ffn_lr": "3x", "te2_ffn_lr": "1x"},
            "te_ffn_lr sets nothing, because of te1_ffn_lr, te2_ffn_lr",
        ),
        (
            {"te_depth_strategy": "linear", "te1_depth_strategy": "flat", "te1_min_depth_factor": "0.1"},
            "te1_min_depth_factor has no effect with te1_depth_strategy=flat",
        ),
        ({"te_atention_lr": "1"}, r"te_atention_lr: neither lr-grid nor"),
        ({"te_per_layer_lr": "true"}, "te_per_layer_lr: neither lr-grid nor"),
        ({"te_depth_scope": "model", "te_depth_strategy": "linear"}, "te_depth_scope: neither lr-grid nor"),
        ({"te_train_single_block_indices": "0"}, "te_train_single_block_indices: neither lr-grid nor"),
    ],
)
def test_te_keys_that_cannot_be_are_told(grid, problem):
    with pytest.raises(GridError, match=problem):
        make_network(Flux(1, 1), two_encoders(), **grid)


def test_te_keys_in_a_run_without_text_encoders_are_told():
    model, encoders = Flux(1, 1), two_encoders()
    with pytest.raises(GridError, match="te_ffn_lr: this network has no module of a text encoder"):
        make_network(model, None, te_ffn_lr="2x")
    network = make_network(model, encoders, te_ffn_lr="2x")
    with pytest.raises(GridError, match="te_ffn_lr: te1 is not trained in this run"):
        start(network, model, None)


def test_a_te_key_that_nothing_takes_is_told():
    model, encoders = Flux(1, 1), two_encoders()
    network = make_network(model, encoders, te_ffn_lr="2x", te_block_lr="layers:1e-5")
    with pytest.raises(GridError, match="te_ffn_lr: sets nothing"):
        start(network, model, encoders)
    # What one of the encoders takes is no mistake.
    network = make_network(model, encoders, te_ffn_lr="2x", te2_block_lr="layers:1e-5")
    start(network, model, encoders)


def test_what_one_encoder_sets_aside_is_no_mistake_of_the_other():
    grid = {"te_depth_strategy": "linear", "te_min_depth_factor": "0.5", "te1_depth_strategy": "flat"}
    lrs = lrs_of(two_encoders(), **grid)
    assert te(lrs, 1)[1, "mlp"] == TE1
    assert te(lrs, 2)[1, "mlp"] == pytest.approx(0.5 * TE2)
    lrs = lrs_of(two_encoders(), te_ffn_lr="2x", te1_train_components="self_attn")
    assert te(lrs, 1) == pytest.approx({(0, "self_attn"): TE1, (1, "self_attn"): TE1})
    assert te(lrs, 2)[0, "mlp"] == pytest.approx(2 * TE2)


def test_arguments_win_over_a_file_also_where_the_file_speaks_of_one_encoder(tmp_path):
    file = tmp_path / "grid.toml"
    file.write_text('te1_ffn_lr = "0.1x"\nte_self_attn_lr = "3x"\n', encoding="utf-8")
    lrs = lrs_of(two_encoders(), grid=str(file), te_ffn_lr="2x", te1_self_attn_lr="1x", te2_self_attn_lr="5x")
    assert te(lrs, 1) == pytest.approx(
        {(i, k): TE1 * (2 if k == "mlp" else 1) for i in (0, 1) for k in ("mlp", "self_attn")}
    )
    assert te(lrs, 2)[0, "self_attn"] == pytest.approx(5 * TE2)


def test_a_components_ratio_in_a_run_of_the_encoders_alone_is_told():
    model, encoders = Flux(1, 1), two_encoders()
    network = make_network(model, encoders, loraplus_ffn_lr_ratio="4", te_ffn_lr="2x")
    network.prepare_network(trainer_args())
    with pytest.raises(GridError, match="loraplus_ffn_lr_ratio: the U-Net or DiT is not trained in this run"):
        network.apply_to(encoders, model, True, False)


def test_a_typo_elsewhere_accuses_no_te_key():
    with pytest.raises(GridError) as caught:
        make_network(Flux(1, 1), two_encoders(), ffn_lr="abc", te_ffn_lr="0.5x")
    assert len(caught.value.problems) == 1


def test_arguments_may_leave_out_what_a_file_gives_an_lr(tmp_path):
    file = tmp_path / "grid.toml"
    file.write_text('ffn_lr = "2x"\nte_ffn_lr = "3x"\n', encoding="utf-8")
    grid = {"train_components": "self_attn", "te_train_components": "self_attn"}
    assert set(te(lrs_of(two_encoders(), grid=str(file), **grid), 1)) == {(0, "self_attn"), (1, "self_attn")}
