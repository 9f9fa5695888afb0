"""Ranks and alphas of a network under a grid: which each module gets, and what is refused."""

from __future__ import annotations

import json
import sys

import pytest
import torch
from small_models import Flux, TextEncoder, WanModel, make_network, start, trainer_args
from trainers.every import chosen

from lr_grid.errors import GridError

DIM = 4


def network_of(model=None, text_encoder=None, dim=DIM, **network_args):
    torch.manual_seed(0)
    return make_network(model or Flux(), text_encoder, dim, **network_args)


def sizes(network) -> dict[str, tuple[int, float]]:
    """Module name without its prefix -> (rank by the shapes, alpha)."""
    found = {}
    for module in (*network.unet_loras, *network.text_encoder_loras):
        assert module.lora_down.weight.shape[0] == module.lora_up.weight.shape[1] == module.lora_dim
        assert module.scale == pytest.approx(float(module.alpha) / module.lora_dim)
        found[module.lora_name.removeprefix("lora_unet_")] = (module.lora_dim, float(module.alpha))
    return found


def ranks(*args, **kwargs) -> dict[str, int]:
    return {name: rank for name, (rank, _) in sizes(network_of(*args, **kwargs)).items()}


def problem_of(model=None, text_encoder=None, **network_args) -> str:
    with pytest.raises(GridError) as caught:
        network_of(model, text_encoder, **network_args)
    return str(caught.value)


def test_a_component_has_its_own_rank_and_the_rest_the_networks():
    found = ranks(ffn_dim="6", cross_attn_dim="2")
    assert found["double_blocks_1_img_mlp_0"] == 6
    assert found["double_blocks_1_txt_attn_qkv"] == 2
    assert found["double_blocks_1_img_attn_qkv"] == found["single_blocks_0_linear1"] == DIM


def test_blocks_go_before_components_and_modules_before_both():
    found = ranks(ffn_dim="6", block_dims="double_1:3", module_dims=r"double_blocks\.1\.img_mlp\.2:5,single:1")
    assert found["double_blocks_0_img_mlp_0"] == 6
    assert found["double_blocks_1_img_mlp_0"] == 3
    assert found["double_blocks_1_img_mlp_2"] == 5
    assert found["single_blocks_2_linear2"] == 1


def test_a_rank_of_0_is_no_lora_whichever_setting_says_it():
    network = network_of(ffn_dim="0", block_dims="double_1:3,single_0:0", module_dims=r"2\.linear1:0")
    found = sizes(network)
    assert not [name for name in found if "img_mlp" in name or "single_blocks_0" in name]
    assert "single_blocks_2_linear1" not in found
    assert found["double_blocks_1_img_attn_qkv"][0] == 3
    groups, _ = start(network, Flux())
    assert len(groups[0]["params"]) == 2 * len(found)
    rows = {row.site.name.removeprefix("lora_unet_"): row for row in network.grid_plan.rows}
    assert rows["double_blocks_0_img_mlp_0"].frozen
    assert rows["double_blocks_0_img_mlp_0"].why == "no LoRA: ffn_dim 0"
    assert rows["double_blocks_0_img_mlp_0"].params == 0


def test_positional_lists_have_one_value_a_block():
    found = ranks(block_dims="1,2,3,4,5,6,7")
    assert [found[f"double_blocks_{i}_img_attn_qkv"] for i in range(3)] == [1, 2, 3]
    assert [found[f"single_blocks_{i}_linear1"] for i in range(4)] == [4, 5, 6, 7]


def test_alphas_are_absolute_or_multiples_of_the_modules_rank():
    found = sizes(network_of(ffn_dim="6", ffn_alpha="0.5x", block_alphas="double_0:3,single:0", cross_attn_alpha="1.5"))
    assert found["double_blocks_1_img_mlp_0"] == (6, 3)
    assert found["double_blocks_0_img_mlp_0"] == (6, 3)
    assert found["double_blocks_0_txt_attn_qkv"] == (4, 3)
    assert found["double_blocks_1_txt_attn_qkv"] == (4, 1.5)
    assert found["single_blocks_0_linear1"] == (4, 4)  # kohya's modules, too, read 0 as the rank
    assert found["double_blocks_1_img_attn_qkv"] == (4, 1)


def test_a_ranks_own_alpha_stays_and_the_plan_says_what_that_means():
    network = network_of(ffn_dim="8")
    assert sizes(network)["double_blocks_0_img_mlp_0"] == (8, 1)
    network = network_of(ffn_dim="8", cross_attn_dim="2")
    assert any("alpha/rank goes from 0.125 to 0.5" in line for line in network._grid_state.notices)


def test_the_curve_scales_ranks_block_by_block_and_rounds_them():
    found = ranks(dim=8, rank_strategy="linear", min_rank_factor="0.25", ffn_dim="12")
    assert [found[f"double_blocks_{i}_img_attn_qkv"] for i in range(3)] == [8, 5, 2]
    assert [found[f"double_blocks_{i}_img_mlp_0"] for i in range(3)] == [12, 8, 3]  # 7.5 is 8
    found = ranks(dim=8, rank_strategy="linear", min_rank_factor="0", rank_multiple="4", min_rank="4")
    assert [found[f"single_blocks_{i}_linear1"] for i in range(4)] == [8, 4, 4, 4]
    found = ranks(dim=8, rank_strategy="linear", min_rank_factor="0", depth_scope="model")
    assert [found[f"double_blocks_{i}_img_attn_qkv"] for i in range(3)] == [8, 7, 5]
    assert found["single_blocks_3_linear1"] == 1


def test_given_ranks_are_not_rounded_by_a_curve():
    found = ranks(dim=8, rank_strategy="linear", block_dims="double:7", rank_multiple="4")
    assert {found[f"double_blocks_{i}_img_attn_qkv"] for i in range(3)} == {7}


def test_a_budget_is_spent_in_the_given_proportions():
    network = network_of(dim=8, rank_strategy="linear", rank_budget="flat", ffn_dim="16")
    flat = sum(p.numel() for p in network_of(dim=8, self_attn_lr="1x").unet_loras[0].lora_down.parameters())
    found = sizes(network)
    spent = sum(p.numel() for module in network.unet_loras for p in module.parameters())
    assert flat == 64
    assert 0.99 * 2 * flat * 42 <= spent <= 2 * flat * 42
    assert found["double_blocks_0_img_mlp_0"][0] == pytest.approx(2 * found["double_blocks_0_img_attn_qkv"][0], abs=1)
    assert any(line.startswith("rank_budget flat: ") and "5,3" in line for line in network._grid_state.notices)


def test_a_budget_leaves_module_dims_and_spends_nothing_on_what_does_not_train():
    network = network_of(
        dim=4, rank_budget="2k", module_dims="img_attn:9", mod_lr="0", train_components="self_attn,ffn,mod"
    )
    start(network, Flux())
    plan = network.grid_plan
    trained = [row for row in plan.rows if not row.frozen]
    assert {row.rank for row in trained if row.site.component == "self_attn"} == {9}
    assert 1980 <= sum(row.params for row in trained) <= 2000


def test_text_encoders_have_keys_of_their_own():
    network = network_of(text_encoder=[TextEncoder(), TextEncoder()], te_ffn_dim="6", te2_block_dims="1:3")
    found = sizes(network)
    assert found["lora_te1_text_model_encoder_layers_1_mlp_fc1"][0] == 6
    assert found["lora_te2_text_model_encoder_layers_0_mlp_fc1"][0] == 6
    assert found["lora_te2_text_model_encoder_layers_1_mlp_fc1"][0] == 3
    assert found["double_blocks_0_img_mlp_0"][0] == DIM


def test_module_rules_reach_text_encoders():
    found = sizes(network_of(text_encoder=TextEncoder(), module_dims="q_proj:3", module_alphas="q_proj:1x"))
    q = [size for name, size in found.items() if "q_proj" in name]
    assert q == [(3, 3.0)] * 2


def test_only_what_changes_is_made_again_and_the_runs_random_numbers_stay():
    plain = network_of(self_attn_lr="1x")
    after_plain = torch.get_rng_state()
    ours = network_of(self_attn_lr="1x", block_dims="double_1:3", cross_attn_alpha="2")
    assert torch.equal(torch.get_rng_state(), after_plain)
    assert torch.initial_seed() == 0
    other = network_of(block_dims="double_1:3,single:2")
    pairs = zip(plain.unet_loras, ours.unet_loras, other.unet_loras, strict=True)
    for before, after, again in pairs:
        if "double_blocks_1" in before.lora_name:
            assert after.lora_down.weight.std() > 0
            assert torch.equal(after.lora_down.weight, again.lora_down.weight)  # by its own name and the seed
        else:
            assert torch.equal(before.lora_down.weight, after.lora_down.weight)
            changed = "txt" in before.lora_name and "mod" not in before.lora_name
            assert float(after.alpha) == (2 if changed else 1)
    draws = [m.lora_down.weight for m in ours.unet_loras if "double_blocks_1_img_attn" in m.lora_name]
    assert not torch.equal(*draws)


def test_nothing_is_left_on_the_modules_and_the_classes_are_as_they_were():
    from lycoris.modules.locon import LoConModule

    before = LoConModule.__init__
    network = network_of(ffn_dim="2")
    assert LoConModule.__init__ is before
    assert not [key for module in network.unet_loras for key in vars(module) if key.startswith("_lr_grid")]
    with pytest.raises(GridError):
        network_of(ffn_dim="2", block_dims="nowhere:1")
    assert LoConModule.__init__ is before


@pytest.mark.parametrize("algo", chosen(["loha", "lokr", "glora", "dylora", "tlora"], lambda algo: algo != "tlora"))
def test_lycoris_algorithms_keep_their_options_when_they_are_made_again(algo):
    model = WanModel()
    options = {"algo": algo, "factor": "2"} if algo == "lokr" else {"algo": algo}
    if algo in ("loha", "lokr"):
        options |= {"use_scalar": "True", "dora_wd": "True"}
    if algo == "dylora":
        options |= {"block_size": "1"}
    flat = {m.lora_name: m for m in network_of(model, dim=2, self_attn_lr="1x", **options).unet_loras}
    network = network_of(model, dim=1, ffn_dim="2", self_attn_dim="2", cross_attn_dim="2", **options)
    for module in network.unet_loras:
        if module.lora_dim == 2:
            twin = flat[module.lora_name]
            assert {n: p.shape for n, p in module.named_parameters()} == {
                n: p.shape for n, p in twin.named_parameters()
            }
            assert type(module) is type(twin)
            assert module.scale == pytest.approx(twin.scale)
    groups, _ = start(network, model)
    model(torch.randn(2, 8)).sum().backward()
    trained = [p for group in groups for p in group["params"]]
    if algo == "dylora":  # some ranks of each module at a time
        assert any(p.grad is not None for p in trained)
    else:
        assert all(p.grad is not None for p in trained)


def test_what_is_left_out_is_told_by_exclude_keys():
    network = network_of(exclude_components="mod,cross_attn", exclude_double_block_indices="0-1")
    start(network, Flux())
    trained = {(r.site.stack, r.site.block, r.site.component) for r in network.grid_plan.rows if not r.frozen}
    assert trained == {("double", 2, "self_attn"), ("double", 2, "ffn")} | {("single", i, "fused") for i in range(4)}
    why = {row.why for row in network.grid_plan.rows if row.frozen}
    assert "frozen: mod is in exclude_components" in why
    assert "frozen: block 0 of stack double is left out by exclude_*_block_indices" in why


def test_exclude_takes_from_train():
    network = network_of(train_single_block_indices="0-2", exclude_single_block_indices="1")
    start(network, Flux())
    blocks = {r.site.block for r in network.grid_plan.rows if not r.frozen and r.site.stack == "single"}
    assert blocks == {0, 2}


def test_the_rank_view_shows_rank_alpha_their_ratio_and_parameters(capsys):
    network = network_of(block_dims="double_0:2", ffn_alpha="2", mod_dim="0")
    start(network, Flux())
    text = capsys.readouterr().out
    assert "[lr_grid] rank/alpha (alpha/rank) and parameters that train; in all 2..4/1..2 (0.25..1)\n" in text
    assert "\n0       2/1 (0.5) 64 x2    2/1 (0.5) 128 x4   2/2 (1) 64 x2     none x2\n" in text
    assert "\n1-2     4/1 (0.25) 128 x2  4/1 (0.25) 256 x4  4/2 (0.5) 128 x2  none x2\n" in text
    trained = sum(p.numel() for module in network.unet_loras for p in module.parameters())
    assert f"[lr_grid] {trained:,} parameters train; LoRA file" in text


def test_the_plan_holds_cells_and_sizes(tmp_path):
    network = network_of(block_dims="double_0:2", mod_dim="0")
    start(network, Flux(), output_dir=str(tmp_path))
    plan = json.loads((tmp_path / "test.lr_grid.json").read_text(encoding="utf-8"))
    cells = {(c["stack"], c["block"], c["component"]): c for c in plan["cells"]}
    cell = cells["double", 0, "ffn"]
    assert (cell["rank"], cell["alpha"], cell["alpha_over_rank"], cell["params"]) == ([2], [1.0], [0.5], 64)
    assert cells["double", 0, "mod"]["rank"] == []
    trained = sum(p.numel() for module in network.unet_loras for p in module.parameters())
    assert plan["sizes"]["parameters"] == trained == sum(cell["params"] for cell in plan["cells"])
    assert plan["sizes"]["optimizer_bytes"]["AdamW"] == 8 * trained
    whys = {module["name"]: module["rank_why"] for module in plan["modules"]}
    assert whys["lora_unet_double_blocks_0_img_mlp_0"] == "block_dims 2"
    assert whys["lora_unet_double_blocks_1_img_mlp_0"] == "rank 4 of the network"


def test_the_expected_file_is_as_large_as_the_saved_one(tmp_path):
    from safetensors.torch import save_file

    from lr_grid.sizes import file_bytes

    network = network_of(Flux(19, 38), block_dims="double:2")
    start(network, Flux(19, 38))
    state = {key: value.contiguous() for key, value in network.state_dict().items()}
    for width, dtype in ((4, torch.float32), (2, torch.bfloat16)):
        save_file({key: value.to(dtype) for key, value in state.items()}, tmp_path / "lora.safetensors")
        size = (tmp_path / "lora.safetensors").stat().st_size
        assert file_bytes(network.grid_plan, width) == pytest.approx(size, rel=0.03)


BAD = [
    ({"block_dims": "4,4,4"}, "block_dims: 3 values, but flux has 7 blocks (3 in double, then 4 in single)"),
    ({"block_dims": "double:0,single:0"}, "every rank is 0: nothing would train"),
    ({"ffn_dim": "4.5"}, "ffn_dim: '4.5' is no rank: give a whole number (16), or 0 for no LoRA there"),
    ({"ffn_dim": "-1"}, "'-1' is no rank"),
    ({"block_dims": "double:4.5"}, "'4.5' is no rank"),
    ({"module_dims": "img_mlp:nan"}, "'img_mlp:nan' is not regex:rank (e.g. img_mlp:8"),
    ({"module_dims": "img_mlp:2.5"}, "module_dims: img_mlp: '2.5' is no rank"),
    ({"ffn_alpha": "-2"}, "ffn_alpha: '-2' is no alpha: give a number (8), or a multiple of the module's rank (0.5x)"),
    ({"block_alphas": "single:half"}, "'half' is no alpha"),
    ({"conv_block_dims": "double:4"}, "conv_block_dims: this network has no module on a convolution larger than 1x1"),
    ({"conv_block_alphas": "double:4"}, "conv_block_alphas: this network has no module on a convolution"),
    ({"block_dims": "doubel:4"}, "flux has no stack 'doubel'. Did you mean double?"),
    ({"block_dims": "double_7:4"}, "block 7 is out of range, flux has double 0-2"),
    ({"block_dims": "double_0:4,double:2"}, "'double_0:4' sets nothing: later entries take all its blocks"),
    ({"norm_dim": "4"}, "norm_dim: this network has no norm module in flux"),
    ({"module_dims": "img_mpl:4"}, "module_dims: the regex 'img_mpl' matches no module"),
    ({"module_dims": "img:4,img_mlp:2"}, "module_dims: the regex 'img_mlp' wins nowhere"),
    ({"ffn_dim": "4", "block_dims": "double:2"}, "ffn_dim: sets nothing: other settings decide about every ffn module"),
    ({"rank_multiple": "4"}, "rank_multiple has no effect without rank_strategy or rank_budget"),
    ({"rank_strategy": "flat", "min_rank_factor": "0.5"}, "min_rank_factor has no effect with rank_strategy=flat"),
    ({"rank_strategy": "linear", "rank_peak_position": "0.5"}, "rank_peak_position belongs to rank_strategy=inverted"),
    ({"rank_strategy": "geometric", "min_rank_factor": "0"}, "zero everywhere but at one end"),
    ({"rank_budget": "flat", "rank_multiple": "4", "min_rank": "6"}, "min_rank: 6 is no multiple of rank_multiple (4)"),
    ({"rank_strategy": "linaer"}, "Did you mean linear?"),
    ({"rank_strategy": "linear", "block_dims": "2,2,2,2,2,2,2"}, "rank_strategy=linear: no module follows the curve"),
    ({"rank_budget": "20X"}, "rank_budget: '20X' is no number of parameters"),
    ({"rank_budget": "flat:0"}, "is no number of parameters"),
    ({"rank_budget": "-5M"}, "is no number of parameters"),
    ({"rank_budget": "100"}, "rank_budget: 100 (100 parameters) is not enough: 42 modules at rank 1 take 672"),
    ({"ffn_dim": "0", "ffn_alpha": "4"}, "ffn_alpha: sets nothing"),
    ({"module_dims": "img_mlp:0", "module_alphas": "img_mlp:4"}, "module_alphas: the regex 'img_mlp' sets nothing"),
    ({"block_dims": "single_0:0", "block_lr": "single_0:1e-4"}, "'single_0:1e-4' matches no module that trains"),
    ({"block_dims": "double:2,single"}, "'single' has no value: write single:value (e.g. double_0-6:4,single:16)"),
    ({"rank_budget": "1e400"}, "is no number of parameters"),
    ({"rank_budget": "1M"}, "is more than 4 times what the layers themselves have (2,688 numbers)"),
    ({"rank_budget": "1k", "module_dims": ".:4"}, "decide about every module: none is left"),
    ({"rank_budget": "1k", "module_dims": "double:4"}, "and what has its rank by a regex, or none, 1,920"),
    ({"ffn_rank": "4"}, "Did you mean ffn_dim?"),
    ({"block_dims": "single_0:3", "module_dims": "single:8"}, "block_dims: 'single_0:3' sets nothing: other settings"),
    ({"block_dims": "1,2,3,4,5,6,7", "module_dims": ".:8"}, "block_dims: sets nothing: other settings decide about"),
    ({"block_alphas": "single_0:3", "module_alphas": ".:1x"}, "block_alphas: 'single_0:3' sets nothing"),
    ({"block_alphas": "single_0:3", "block_dims": "single_0:0"}, "block_alphas: 'single_0:3' sets nothing"),
    ({"ffn_alpha": "0x"}, "'0x' is no alpha"),
    ({"rank_budget": "flat:00"}, "is no number of parameters"),
    ({"exclude_components": "ffn", "ffn_lr": "1x"}, "ffn_lr is set, but exclude_components leaves ffn out"),
    ({"exclude_components": "ffm"}, "'ffm' is no component"),
    ({"train_components": "ffn", "exclude_components": "mod"}, "mod: train_components leaves that out already"),
    (
        {"train_single_block_indices": "0", "exclude_single_block_indices": "2"},
        "exclude_single_block_indices: excludes nothing",
    ),
    ({"exclude_single_block_indices": "4"}, "block 4 is out of range 0-3"),
    ({"te_ffn_dim": "4"}, "te_ffn_dim: this network has no module of a text encoder"),
    ({"algo": "full", "ffn_dim": "4"}, "no module of lycoris.kohya has a rank"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("network_args", "words"), BAD, ids=lambda value: str(value) if isinstance(value, dict) else ""
)
def test_bad_input_is_refused_with_its_offender(network_args, words):
    assert words in problem_of(**network_args)


def test_all_problems_are_told_at_once():
    text = problem_of(ffn_dim="4.5", block_dims="1,2", te_ffn_dim="2", rank_strategy="linaer")
    assert text.startswith("3 problems") or text.startswith("4 problems")


def test_ranks_of_what_does_not_train_are_no_mistake_and_are_told():
    """Trained weights of such a component may be kept: then they need their rank."""
    for left_out in ({"ffn_lr": "0"}, {"exclude_components": "ffn"}):
        network = network_of(ffn_dim="8", **left_out)
        assert sizes(network)["double_blocks_0_img_mlp_0"][0] == 8
        assert "ffn_dim: nothing of it trains in this run" in network._grid_state.notices


def test_module_rules_may_reach_text_encoders_alone():
    network = network_of(text_encoder=TextEncoder(), module_dims="q_proj:3")
    network.prepare_network(trainer_args(text_encoder_lr=1e-5))
    network.apply_to(TextEncoder(), None, True, False)
    network.prepare_optimizer_params(1e-5, None, 1e-4)
    assert {row.rank for row in network.grid_plan.rows if "q_proj" in row.site.name} == {3}


def test_each_text_encoder_has_the_whole_budget_of_te_and_the_plan_says_whose():
    network = network_of(text_encoder=[TextEncoder(), TextEncoder()], te_rank_budget="200")
    lines = [line for line in network._grid_state.notices if "te_rank_budget" in line]
    assert [line.partition(":")[0] for line in lines] == ["te_rank_budget 200 (te1)", "te_rank_budget 200 (te2)"]


def test_the_alpha_notice_is_about_what_the_modules_have():
    network = network_of(algo="lokr", factor="8", ffn_dim="6")  # whole matrices: their alpha is their rank
    assert not [line for line in network._grid_state.notices if "alpha/rank" in line]


def test_a_base_of_the_users_own_may_build_on_another(monkeypatch):
    from types import ModuleType

    import lycoris.kohya

    from lr_grid.network import GridModule

    own = ModuleType("my_networks")
    own.create_network = lycoris.kohya.create_network
    monkeypatch.setitem(sys.modules, "my_networks", own)
    network = GridModule("my_networks").create_network(
        1.0, 4, 1, None, None, Flux(), neuron_dropout=None, algo="lora", preset="attn-mlp", ffn_dim="2"
    )
    assert {m.lora_dim for m in network.unet_loras if "img_mlp" in m.lora_name} == {2}


def test_a_library_call_says_whose_ranks_they_are():
    import lr_grid

    with pytest.raises(GridError, match="ranks are the adapter's own here"):
        lr_grid.param_groups(Flux(), {"ffn_dim": 4}, lr=1e-4)
