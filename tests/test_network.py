"""The network under a grid, driven as the trainer drives it."""

import pytest
import torch
from safetensors.torch import load_file, save_file
from small_models import WIDTH, Flux, lr_by_name, make_network, start, trainer_args

from lr_grid.errors import GridError


def train(model, network, groups, steps=5):
    """A few real steps; returns (the clip's norms, the norms of the optimizer's gradients)."""
    model.requires_grad_(False)
    optimizer = torch.optim.AdamW(groups, lr=1e-4)
    seen = []
    for step in range(steps):
        torch.manual_seed(step)
        model(torch.randn(4, WIDTH)).square().mean().backward()
        own = torch.stack(
            [p.grad.norm() for g in optimizer.param_groups for p in g["params"] if p.grad is not None]
        ).norm()
        clipped = torch.nn.utils.clip_grad_norm_(network.get_trainable_params(), 1.0)
        seen.append((float(clipped), float(own)))
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    return seen


def test_without_grid_arguments_the_groups_are_the_wrapped_modules():
    import lycoris.kohya

    for arguments in ({}, {"loraplus_lr_ratio": "4"}):
        model, plain_model = Flux(), Flux()
        torch.manual_seed(0)
        plain = lycoris.kohya.create_network(
            1.0, 2, 1, None, None, plain_model, algo="lora", preset="attn-mlp", **arguments
        )
        plain.apply_to(None, plain_model, False, True)
        expected, descriptions = plain.prepare_optimizer_params(None, None, 1e-4)
        torch.manual_seed(0)
        network = make_network(model, **arguments)
        groups, texts = start(network, model)
        assert texts == descriptions
        # The names, and a note of the run, are for the saved state.
        assert [(g["lr"], len(g["params"]), sorted(g.keys() - {"param_names", "lr_grid"})) for g in groups] == [
            (g["lr"], len(g["params"]), sorted(g)) for g in expected
        ]
        assert all(torch.equal(a, b) for a, b in zip(network.parameters(), plain.parameters(), strict=True))
        assert isinstance(network, lycoris.kohya.LycorisNetworkKohya)


def test_without_grid_arguments_the_trainer_sees_the_wrapped_modules_methods():
    """Where there is a method for a list of text encoder LRs, it writes ss_text_encoder_lr in another way."""
    name = "prepare_optimizer_params_with_multiple_te_lrs"
    assert not hasattr(make_network(Flux()), name)
    assert hasattr(make_network(Flux(), ffn_lr="2x"), name)


def test_settings_of_a_file_are_obeyed_also_where_the_wrapped_module_has_the_same_key(tmp_path):
    (tmp_path / "grid.toml").write_text("loraplus_lr_ratio = 4\n")
    model = Flux()
    network = make_network(model, grid=str(tmp_path / "grid.toml"))
    groups, _ = start(network, model)
    assert sorted({group["lr"] for group in groups}) == pytest.approx([1e-4, 4e-4])


def test_a_ratio_without_any_up_side_is_refused_with_or_without_a_grid():
    for grid in ({}, {"ffn_lr": "2x"}):
        with pytest.raises(GridError, match="no module of this network has an up side"):
            make_network(Flux(), algo="full", loraplus_lr_ratio="16", **grid)


def test_a_typo_does_not_make_other_settings_look_wrong():
    with pytest.raises(GridError) as caught:
        make_network(Flux(), train_norm="True", self_atn_lr="1e-4", self_attn_lr="2x", preset="attn-mlp")
    assert caught.value.problems == [
        "self_atn_lr: neither lr-grid nor lycoris.kohya takes this argument (lycoris.kohya would ignore it silently)."
        " Did you mean self_attn_lr?"
    ]


def test_a_long_range_is_answered_at_once():
    with pytest.raises(GridError, match="block 99999999999 is out of range"):
        make_network(Flux(), train_double_block_indices="0-99999999999")


def test_an_option_of_the_trainer_among_the_arguments_is_told():
    with pytest.raises(GridError, match=r"network_dim: .* give --network_dim"):
        make_network(Flux(), network_dim="8")


def test_weights_without_a_place_in_the_network_are_told(tmp_path):
    model = Flux(double=4)
    first = make_network(model, depth_strategy="flat")
    start(first, model)
    save_file(first.state_dict(), str(tmp_path / "start.safetensors"))
    model = Flux(double=3)
    network = make_network(model, ffn_lr="2x")
    start(network, model, network_weights=str(tmp_path / "start.safetensors"))
    assert any("hold 10 modules that this network does not have" in n for n in network.grid_plan.notices)


def test_damaged_files_are_named(tmp_path):
    for name, option in (("optimizer.bin", "resume"), ("weights.safetensors", "network_weights")):
        (tmp_path / name).write_bytes(b"broken")
        model = Flux()
        with pytest.raises(GridError, match=f"{name}: .* cannot be read"):
            start(
                make_network(model, ffn_lr="2x"),
                model,
                **{option: str(tmp_path if option == "resume" else tmp_path / name)},
            )


def test_names_in_a_state_of_several_processes(tmp_path):
    from lr_grid.weights import module_names

    save_file({"module.lora_unet_a.lora_up.weight": torch.zeros(1)}, str(tmp_path / "model.safetensors"))
    assert module_names(tmp_path / "model.safetensors") == {"lora_unet_a"}


def test_without_grid_arguments_the_plan_still_tells_the_truth():
    model = Flux()
    network = make_network(model, loraplus_lr_ratio="4")
    start(network, model, learning_rate=3e-4)
    row = network.grid_plan.rows[0]
    assert (row.lr_down, row.lr_up) == (3e-4, pytest.approx(1.2e-3))
    assert dict(network.grid_plan.header) == {"grid": "off"}


def test_no_lora_is_made_where_the_lr_is_0():
    model = Flux()
    network = make_network(model, ffn_lr="0", fused_lr="1x")
    start(network, model)
    assert not [key for key in network.state_dict() if "img_mlp" in key]
    assert len(network.unet_loras) == len(network.loras) == 3 * 8 + 4 * 3
    assert "forward" not in vars(model.double_blocks[0].img_mlp[0])  # not even attached
    assert sum(row.frozen for row in network.grid_plan.rows) == 6


def test_the_rest_keeps_its_random_start():
    other, model = Flux(), Flux()
    torch.manual_seed(0)
    whole = make_network(other, depth_strategy="flat")
    torch.manual_seed(0)
    network = make_network(model, train_components="self_attn")
    start(network, model)
    by_name = {lora.lora_name: lora for lora in whole.unet_loras}
    for lora in network.unet_loras:
        assert torch.equal(lora.lora_down.weight, by_name[lora.lora_name].lora_down.weight)


def test_trained_weights_under_lr_0_are_kept_frozen_and_saved_again(tmp_path):
    model = Flux()
    first = make_network(model, depth_strategy="flat")
    start(first, model)
    weights = {key: torch.randn_like(v) if "alpha" not in key else v for key, v in first.state_dict().items()}
    save_file(weights, str(tmp_path / "start.safetensors"))

    model = Flux()
    network = make_network(model, ffn_lr="0", fused_lr="1x")
    args = {"network_weights": str(tmp_path / "start.safetensors")}
    groups, _ = start(network, model, **args)
    network.load_weights(args["network_weights"])
    norms = train(model, network, groups)
    assert norms == [(pytest.approx(own), own) for _, own in norms]
    network.save_weights(str(tmp_path / "out.safetensors"), None, {})
    saved = load_file(tmp_path / "out.safetensors")
    assert saved.keys() == weights.keys()
    for key, value in saved.items():
        assert torch.equal(value, weights[key]) == ("img_mlp" in key or "alpha" in key)


def test_what_is_outside_the_optimizer_gets_no_gradient_and_is_not_clipped(tmp_path):
    model = Flux()
    first = make_network(model, depth_strategy="flat")
    start(first, model)
    save_file(first.state_dict(), str(tmp_path / "start.safetensors"))
    model = Flux()
    network = make_network(model, block_lr_weight="double_0-1:0", depth_strategy="linear")
    groups, _ = start(network, model, network_weights=str(tmp_path / "start.safetensors"))
    held = {id(p) for g in groups for p in g["params"]}
    outside = [p for p in network.parameters() if id(p) not in held]
    assert len(outside) == 2 * 10 * 2
    for clipped, own in train(model, network, groups):
        assert clipped == pytest.approx(own, rel=1e-6)
    assert all(p.grad is None and not p.requires_grad for p in outside)


def test_without_prepare_network_lr_0_is_frozen_instead_of_left_out():
    model = Flux()
    network = make_network(model, ffn_lr="0", fused_lr="1x")
    network.apply_to(None, model, False, True)
    groups, _ = network.prepare_optimizer_params(None, None, 1e-4)
    network.prepare_grad_etc(None, model)
    assert not any("img_mlp" in name for name in lr_by_name(groups))
    assert all(not p.requires_grad for name, p in network.named_parameters() if "img_mlp" in name)


def test_max_norm_regularization_leaves_frozen_weights_alone(tmp_path):
    model = Flux()
    first = make_network(model, depth_strategy="flat")
    start(first, model)
    big = {key: torch.ones_like(v) * 10 if "alpha" not in key else v for key, v in first.state_dict().items()}
    save_file(big, str(tmp_path / "big.safetensors"))
    model = Flux()
    network = make_network(model, ffn_lr="0", fused_lr="1x")
    start(network, model, network_weights=str(tmp_path / "big.safetensors"))
    network.load_weights(str(tmp_path / "big.safetensors"))
    before = {key: value.clone() for key, value in network.state_dict().items()}
    scaled, _, _ = network.apply_max_norm_regularization(1.0, "cpu")
    assert scaled > 0
    changed = {key.split(".")[0] for key, value in network.state_dict().items() if not torch.equal(value, before[key])}
    assert changed == {row.site.name for row in network.grid_plan.rows if not row.frozen}


def test_a_type_error_is_not_handed_to_the_trainers_retry():
    model = Flux()
    network = make_network(model, depth_strategy="flat")
    network.apply_to(None, model, False, True)
    with pytest.raises(RuntimeError, match="lr-grid"):
        network.prepare_optimizer_params(None, ["not", "a", "number"], 1e-4)


def test_from_weights_keeps_grid_and_loraplus(tmp_path):
    from networks import lycoris_grid

    model = Flux()
    first = make_network(model, dim=3, depth_strategy="flat")
    start(first, model)
    save_file(first.state_dict(), str(tmp_path / "rank3.safetensors"))
    model = Flux()
    network, weights = lycoris_grid.create_network_from_weights(
        1, str(tmp_path / "rank3.safetensors"), None, None, model, loraplus_lr_ratio="4", ffn_lr="2x", preset="attn-mlp"
    )
    assert "lora_unet_double_blocks_0_img_mlp_0.lora_up.weight" in weights
    groups, _ = start(network, model, learning_rate=1e-4)
    values = lr_by_name(groups)
    assert values["lora_unet_double_blocks_0_img_mlp_0.lora_up.weight"] == pytest.approx(8e-4)
    assert {row.rank for row in network.grid_plan.rows} == {3}
    assert any("--dim_from_weights" in notice and "preset" in notice for notice in network.grid_plan.notices)


def test_for_inference_the_wrapped_network_is_returned_as_it_is(tmp_path):
    from networks import lycoris_grid

    model = Flux()
    first = make_network(model, depth_strategy="flat")
    start(first, model)
    save_file(first.state_dict(), str(tmp_path / "w.safetensors"))
    network, _ = lycoris_grid.create_network_from_weights(
        1, str(tmp_path / "w.safetensors"), None, None, Flux(), for_inference=True
    )
    assert type(network).__name__ == "LycorisNetworkKohya"


def test_any_module_can_be_the_base():
    import lr_grid.network

    model = Flux()
    network = lr_grid.network.create_network(
        1.0, 2, 1, None, None, model, base="lycoris.kohya", preset="attn-mlp", ffn_lr="2x"
    )
    groups, _ = start(network, model)
    assert len(groups) == 3  # default, ffn, and the fused mean of both
    with pytest.raises(GridError, match="base=networks"):
        lr_grid.network.create_network(1.0, 2, 1, None, None, model, ffn_lr="2x")


def test_the_plan_is_written_beside_the_lora(tmp_path, capsys):
    import json

    model = Flux()
    network = make_network(model, ffn_lr="2x")
    start(network, model, output_dir=str(tmp_path / "new" / "folder"), output_name="mine")
    data = json.loads((tmp_path / "new" / "folder" / "mine.lr_grid.json").read_text())
    assert len(data["modules"]) == 3 * 10 + 4 * 3
    assert data["arguments"] == {"ffn_lr": "2x"}
    module = next(m for m in data["modules"] if m["path"] == "double_blocks.1.img_mlp.2")
    assert (module["component"], module["stack"], module["block"], module["rank"]) == ("ffn", "double", 1, 2)
    assert module["lr_down"] == pytest.approx(2e-4)
    assert sum(len(group["params"]) for group in data["groups"]) == 2 * len(data["modules"])
    assert capsys.readouterr().out.startswith(
        "[lr_grid] model=flux strategy=flat base_lr=0.0001 groups=3 params=84 modules=42"
    )


def test_prepare_network_is_free_of_side_effects_on_the_arguments():
    model = Flux()
    args = trainer_args()
    before = dict(vars(args))
    network = make_network(model, ffn_lr="2x")
    network.prepare_network(args)
    network.apply_to(None, model, False, True)
    network.prepare_optimizer_params(None, None, 1e-4)
    assert vars(args) == before
