"""The library's door: optimizer groups for one's own loop, from PEFT adapters, other adapters and whole models."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from small_models import Flux, WanModel, lr_by_name
from torch import nn

import lr_grid
import lr_grid.optim
from lr_grid.errors import GridError
from lr_grid.scales import lrs_of

BASE = 1e-4
README = Path(__file__).parent.parent / "README.md"
TARGETS = ["to_q", "to_k", "to_v", "to_out.0", "add_q_proj", "add_k_proj", "add_v_proj", "to_add_out"]
TARGETS += ["ff.net.0.proj", "ff.net.2", "ff_context.net.0.proj", "ff_context.net.2", "proj_mlp", "proj_out"]
GRID = {
    "self_attn_lr": "2x",
    "cross_attn_lr": "5e-5",
    "ffn_lr": "0.5x",
    "depth_strategy": "linear",
    "min_depth_factor": 0.4,
    "block_lr_weight": "double_1:0.5",
}


def diffusers_flux() -> nn.Module:
    from diffusers import FluxTransformer2DModel

    return FluxTransformer2DModel(
        in_channels=4,
        num_layers=2,
        num_single_layers=3,
        attention_head_dim=8,
        num_attention_heads=2,
        joint_attention_dim=8,
        pooled_projection_dim=8,
        axes_dims_rope=(2, 2, 4),
    )


def expected(name: str) -> float:
    """GRID by the formula, from diffusers' names."""
    match = re.search(r"(?:^|\.)(single_transformer_blocks|transformer_blocks)\.(\d+)\.(.*)", name)
    if not match:
        return BASE
    block, rest = int(match[2]), match[3]
    size = 3 if match[1].startswith("single") else 2
    if re.search(r"add_[qkv]_proj|to_add_out|ff_context", rest):
        lr = 5e-5
    elif rest.startswith("proj_out"):
        lr = (2 * BASE * 0.5 * BASE) ** 0.5
    elif rest.startswith(("ff.", "proj_mlp")):
        lr = 0.5 * BASE
    elif rest.startswith("attn.to_"):
        lr = 2 * BASE
    else:
        lr = BASE
    lr *= 1 - block / (size - 1) * 0.6
    return lr * (0.5 if size == 2 and block == 1 else 1)


def lora(**changes):
    from peft import LoraConfig

    return LoraConfig(r=2, lora_alpha=4, target_modules=TARGETS, **changes)


@pytest.fixture
def peft_flux() -> nn.Module:
    model = diffusers_flux()
    model.requires_grad_(False)
    model.add_adapter(lora())
    return model


def check(groups, model, formula) -> None:
    wanted = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    lrs = lr_by_name(groups)
    assert set(lrs) == wanted
    assert {name: lr for name, lr in lrs.items() if lr != pytest.approx(formula(name), rel=1e-9)} == {}
    by_name = dict(model.named_parameters())
    for group in groups:
        assert all(by_name[n] is p for n, p in zip(group["param_names"], group["params"], strict=True))


def test_every_parameter_of_a_peft_lora_has_the_formulas_lr(peft_flux):
    check(lr_grid.param_groups(peft_flux, GRID, lr=BASE, quiet=True), peft_flux, expected)


def test_loraplus_raises_lora_b(peft_flux):
    groups = lr_grid.param_groups(peft_flux, {**GRID, "loraplus_lr_ratio": 16}, lr=BASE, quiet=True)
    check(groups, peft_flux, lambda name: expected(name) * (16 if "lora_B" in name else 1))


def test_wrappers_round_the_model_change_nothing():
    from peft import get_peft_model

    model = get_peft_model(diffusers_flux(), lora(use_dora=True))
    check(lr_grid.param_groups(model, GRID, lr=BASE, quiet=True), model, expected)
    compiled = torch.compile(model)
    groups = lr_grid.param_groups(compiled, GRID, lr=BASE, quiet=True)
    check(groups, compiled, expected)
    assert groups[0]["param_names"][0].startswith("_orig_mod.base_model.model.")


@pytest.mark.parametrize("config", ["LoHaConfig", "LoKrConfig", "OFTConfig", "IA3Config"])
def test_other_peft_adapters_are_placed_alike(config):
    import peft

    kwargs = {"OFTConfig": {"oft_block_size": 4, "r": 0}, "IA3Config": {"feedforward_modules": []}}.get(
        config, {"r": 2}
    )
    adapter = getattr(peft, config)(target_modules=["to_q", "add_k_proj"], **kwargs)
    model = peft.get_peft_model(diffusers_flux(), adapter)
    grid = {key: value for key, value in GRID.items() if key != "ffn_lr"}
    check(lr_grid.param_groups(model, grid, lr=BASE, quiet=True), model, expected)


def test_rank_and_alpha_of_a_peft_lora_are_in_the_plan(peft_flux, tmp_path):
    file = tmp_path / "flux.lr_grid.json"
    lr_grid.param_groups(peft_flux, GRID, lr=BASE, plan_file=file, quiet=True)
    plan = json.loads(file.read_text(encoding="utf-8"))
    assert {(module["rank"], module["alpha"]) for module in plan["modules"]} == {(2, 4.0)}
    assert plan["stacks"] == {"double": 2, "single": 3}
    assert sum(len(group["params"]) for group in plan["groups"]) == 2 * len(plan["modules"])


def test_full_fine_tuning_places_every_parameter_norms_by_their_class():
    model = diffusers_flux()
    norms = {
        path
        for path, module in model.named_modules()
        if "Norm" in type(module).__name__ and not list(module.children())
    }

    def formula(name: str) -> float:
        if name.rpartition(".")[0] in norms:
            block = re.search(r"transformer_blocks\.(\d+)", name)
            size = 3 if "single" in name else 2
            return 1e-6 * (1 - int(block[1]) / (size - 1) * 0.6) * (0.5 if size == 2 and block[1] == "1" else 1)
        return expected(name)

    check(lr_grid.param_groups(model, {**GRID, "norm_lr": 1e-6}, lr=BASE, quiet=True), model, formula)


def test_one_group_with_scales_has_the_same_lrs(peft_flux):
    grid = {**GRID, "loraplus_lr_ratio": 4}
    many = lr_by_name(lr_grid.param_groups(peft_flux, grid, lr=BASE, quiet=True))
    (one,) = lr_grid.param_groups(peft_flux, grid, lr=BASE, quiet=True, folded=True)
    assert one["lr"] == BASE
    assert dict(zip(one["param_names"], lrs_of(one), strict=True)) == pytest.approx(many, rel=3e-16)


def test_one_group_with_scales_stops_an_optimizer_that_would_ignore_them(peft_flux):
    groups = lr_grid.param_groups(peft_flux, GRID, lr=BASE, quiet=True, folded=True)
    for parameter in groups[0]["params"]:
        parameter.grad = torch.ones_like(parameter)
    with pytest.raises(GridError, match=r"AdamW does not know lr_scales .* take an optimizer of lr_grid\.optim"):
        torch.optim.AdamW(groups, lr=BASE).step()
    lr_grid.optim.AdamW(groups, lr=BASE).step()


def test_an_lr_of_zero_freezes(peft_flux):
    names = {name for name, parameter in peft_flux.named_parameters() if parameter.requires_grad}
    groups = lr_grid.param_groups(peft_flux, {"ffn_lr": 0, "train_single_block_indices": "0"}, lr=BASE, quiet=True)
    held = set(lr_by_name(groups))
    trains = {name for name, parameter in peft_flux.named_parameters() if parameter.requires_grad}
    assert held == trains < names
    assert not any(".ff.net" in name or "single_transformer_blocks.1" in name for name in held)


def test_a_second_call_gives_the_same_groups_and_says_what_stays_frozen(peft_flux, capsys):
    grid = {"ffn_lr": 0, "block_lr_weight": "single_1:0"}
    first = lr_by_name(lr_grid.param_groups(peft_flux, grid, lr=BASE, quiet=True))
    assert lr_by_name(lr_grid.param_groups(peft_flux, grid, lr=BASE, quiet=True)) == first
    capsys.readouterr()
    later = lr_by_name(lr_grid.param_groups(peft_flux, {"ffn_lr": "2x"}, lr=BASE))
    assert later.keys() == first.keys()
    assert "stay frozen, as an earlier call left them: requires_grad_(True)" in capsys.readouterr().out
    for name, parameter in peft_flux.named_parameters():
        parameter.requires_grad_("lora_" in name)
    check(lr_grid.param_groups(peft_flux, GRID, lr=BASE, quiet=True), peft_flux, expected)


def test_a_call_that_could_train_nothing_but_what_is_frozen_is_refused(peft_flux):
    lr_grid.param_groups(peft_flux, {"ffn_lr": 0}, lr=BASE, quiet=True)
    with pytest.raises(GridError, match="all that this grid would train was frozen by an earlier call"):
        lr_grid.param_groups(peft_flux, {"train_components": "ffn"}, lr=BASE, quiet=True)
    assert any(parameter.requires_grad for parameter in peft_flux.parameters())  # nothing more was frozen


def test_what_full_fine_tuning_froze_is_no_part_of_an_adapters_run(capsys):
    model = diffusers_flux()
    lr_grid.param_groups(model, {"embed_lr": 0}, lr=BASE, quiet=True)
    model.requires_grad_(False)
    model.add_adapter(lora())
    check(lr_grid.param_groups(model, GRID, lr=BASE), model, expected)
    assert "stay frozen" not in capsys.readouterr().out


def test_freezing_below_distributed_data_parallel_is_refused():
    class DistributedDataParallel(nn.Module):  # torch's needs a process group; its name and its module are what counts
        def __init__(self, module):
            super().__init__()
            self.module = module

    model = DistributedDataParallel(WanModel())
    with pytest.raises(GridError, match=r"call param_groups before accelerator\.prepare"):
        lr_grid.param_groups(model, {"ffn_lr": 0}, lr=BASE, quiet=True)
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert lr_grid.param_groups(model, {"ffn_lr": "2x"}, lr=BASE, quiet=True)[0]["param_names"][0].startswith("module.")


def test_wrappers_inside_the_model_change_nothing(peft_flux):
    from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import checkpoint_wrapper

    for i, block in enumerate(peft_flux.transformer_blocks):
        peft_flux.transformer_blocks[i] = torch.compile(block)
    for i, block in enumerate(peft_flux.single_transformer_blocks):
        peft_flux.single_transformer_blocks[i] = checkpoint_wrapper(block)

    def formula(name: str) -> float:
        return expected(name.replace("_orig_mod.", "").replace("_checkpoint_wrapped_module.", ""))

    check(lr_grid.param_groups(peft_flux, GRID, lr=BASE, quiet=True), peft_flux, formula)


def test_modules_that_peft_saves_whole_keep_their_place():
    from peft import get_peft_model

    model = get_peft_model(diffusers_flux(), lora(modules_to_save=["norm1"]))
    groups = lr_grid.param_groups(model, {"mod_lr": "0.1x", "depth_strategy": "linear"}, lr=BASE, quiet=True)
    lrs = {name: lr for name, lr in lr_by_name(groups).items() if "modules_to_save" in name}
    assert len(lrs) == 4
    for name, lr in lrs.items():
        assert lr == pytest.approx(0.1 * BASE * (1 if "transformer_blocks.0" in name else 0.3))


def test_a_lora_layer_of_ones_own_with_plain_numbers():
    class Lora(nn.Module):
        def __init__(self, base_layer: nn.Linear) -> None:
            super().__init__()
            self.base_layer, self.r, self.alpha = base_layer, 4, 8
            self.lora_A = nn.Parameter(torch.zeros(4, base_layer.in_features))
            self.lora_B = nn.Parameter(torch.zeros(base_layer.out_features, 4))

    model = WanModel().requires_grad_(False)
    for block in model.blocks:
        block.ffn[0] = Lora(block.ffn[0])
    groups = lr_grid.param_groups(model, {"ffn_lr": "2x", "loraplus_lr_ratio": 4}, lr=BASE, quiet=True)
    check(groups, model, lambda name: 2 * BASE * (4 if "lora_B" in name else 1))


def test_an_adapter_outside_the_model_is_placed_through_the_model():
    from lycoris import LycorisNetwork, create_lycoris

    LycorisNetwork.apply_preset({"target_module": ["WanAttentionBlock"]})
    model = WanModel()
    adapter = create_lycoris(model, 1.0, linear_dim=2, linear_alpha=1, algo="lokr", factor=4)
    adapter.apply_to()
    groups = lr_grid.param_groups(
        model,
        {"ffn_lr": "2x", "block_lr_weight": "0:0.5", "loraplus_lr_ratio": 4},
        lr=BASE,
        adapter=adapter,
        quiet=True,
    )

    def formula(name: str) -> float:
        lr = BASE * (2 if "ffn" in name else 1) * (0.5 if "blocks_0_" in name else 1)
        return lr * (4 if "lokr_w1" in name else 1)

    check(groups, adapter, formula)


class Mixer(nn.Module):
    """Blocks of a model that no table describes."""

    def __init__(self, size: int, cross: bool) -> None:
        super().__init__()
        for name in ("query", "key", "value", "out"):
            self.add_module(f"self_attention_{name}", nn.Linear(4, 4))
        if cross:
            self.cross_attention = nn.ModuleDict({name: nn.Linear(4, 4) for name in ("to_q", "to_k")})
        self.mlp = nn.ModuleDict({name: nn.Linear(4, 4) for name in ("gate", "up", "down")})
        self.norm = nn.LayerNorm(4)


class Nova(nn.Module):
    """An architecture of nobody's: two stacks of different length, a head, an embedder."""

    def __init__(self) -> None:
        super().__init__()
        self.patch_embed = nn.Linear(4, 4)
        self.encoder_stages = nn.ModuleList(Mixer(4, cross=False) for _ in range(3))
        self.decoder_stages = nn.ModuleList(Mixer(4, cross=True) for _ in range(5))
        self.head = nn.Linear(4, 4)


def test_an_unknown_architecture_is_gridded_without_a_table():
    model = Nova()
    grid = {"self_attn_lr": "2x", "cross_attn_lr": "3x", "ffn_lr": "4x", "norm_lr": "0.1x", "depth_strategy": "linear"}
    grid["block_lr_weight"] = "decoder_stages_4:0.5"

    def formula(name: str) -> float:
        match = re.match(r"(encoder|decoder)_stages\.(\d)\.(\w+)", name)
        if not match:
            return BASE
        kind = {"self": 2, "cros": 3, "mlp": 4, "norm": 0.1}[match[3][:4].rstrip(".")]
        t = int(match[2]) / (2 if match[1] == "encoder" else 4)
        return BASE * kind * (1 - 0.7 * t) * (0.5 if (match[1], match[2]) == ("decoder", "4") else 1)

    check(lr_grid.param_groups(model, grid, lr=BASE, quiet=True), model, formula)


@pytest.mark.parametrize("container", ["Sequential", "ModuleDict"])
def test_blocks_need_no_module_list(container):
    blocks = [Mixer(4, cross=True) for _ in range(3)]
    model = nn.Module()
    model.stem = nn.Linear(4, 4)
    model.layers = (
        nn.Sequential(*blocks) if container == "Sequential" else nn.ModuleDict(zip("abc", blocks, strict=True))
    )
    groups = lr_grid.param_groups(model, {"ffn_lr": "2x", "block_lr_weight": "2:0.5"}, lr=BASE, quiet=True)

    def formula(name: str) -> float:
        lr = BASE * (2 if "mlp" in name else 1)
        return lr * (0.5 if re.match(r"layers\.[2c]", name) else 1)

    check(groups, model, formula)


def test_a_model_without_any_list_has_its_components_all_the_same(capsys):
    model = nn.Module()
    model.first, model.second = Mixer(4, cross=True), Mixer(4, cross=False)
    model.strange = nn.Linear(4, 4)
    grid = {"ffn_lr": "2x", "self_attn_lr": "3x", "cross_attn_lr": "4x", "norm_lr": "5x"}
    groups = lr_grid.param_groups(model, grid, lr=BASE)
    kinds = {"mlp": 2, "self": 3, "cros": 4, "norm": 5, "": 1}
    check(groups, model, lambda name: BASE * kinds[name.split(".")[1][:4] if "." in name[8:] else ""])
    assert "no rule names the component of 1 modules, they count as other: strange" in capsys.readouterr().out


def test_two_lists_never_share_a_stack():
    model = nn.Module()
    model.encoder = nn.ModuleList(Mixer(4, cross=False) for _ in range(2))
    model.encoder_blocks = nn.ModuleList(Mixer(4, cross=False) for _ in range(3))
    groups = lr_grid.param_groups(model, {"depth_strategy": "linear"}, lr=BASE, quiet=True)
    assert lr_by_name(groups)["encoder.1.norm.weight"] == pytest.approx(0.3 * BASE)
    assert lr_by_name(groups)["encoder_blocks.1.norm.weight"] == pytest.approx(0.65 * BASE)


def test_a_known_model_inside_an_unknown_one_is_told(capsys):
    model = nn.Module()
    model.transformer = WanModel()
    lr_grid.param_groups(model, {"ffn_lr": "2x"}, lr=BASE)
    assert "transformer is a wan: give that, if it is all that trains" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("grid", "problem"),
    [
        ({"self_atn_lr": 1e-4}, r"self_atn_lr: is no setting of a grid. Did you mean self_attn_lr\?"),
        ({"norm_lr": 1e-4}, "norm_lr: this network has no norm module in flux"),
        ({"block_lr": "double_7:1e-4"}, "block 7 is out of range, flux has double 0-2"),
        ({"te_ffn_lr": 1e-4}, "te_ keys: a text encoder is a model of its own here"),
        ({"loraplus_lr_ratio": 4}, "nothing that trains here has an up side"),
        ({"self_attn_lr": 0, "default_lr": 0}, "every LR is 0"),
        ("nowhere.toml", "nowhere.toml: no such file"),
    ],
)
def test_bad_settings_are_told(grid, problem):
    with pytest.raises(GridError, match=problem):
        lr_grid.param_groups(Flux(), grid, lr=BASE, quiet=True)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"lr": float("nan")}, "lr: nan is not a number"),
        ({"lr": None}, "lr: None is not a number: give the base LR"),
        ({"lr": True}, "lr: True is not a number"),
        ({"plan_file": "plan.png"}, "plan_file: plan.png is no .json file"),
        ({"grid": {1: 2}}, "1: is no setting of a grid"),
        ({"grid": ["ffn_lr=2x"]}, "grid: list is neither a table of settings nor the name of a grid file"),
        ({"grid": {"per_layer_lr": {"enabled": True, "foo": 1}}}, "grid: 'foo' is no setting of a grid"),
        ({"grid": {"per_layer_lr": {"enabled": True}, "ffn_lr": 1}}, "grid: ffn_lr stands beside a published block"),
    ],
)
def test_arguments_of_the_wrong_kind_are_told(arguments, problem):
    with pytest.raises(GridError, match=problem):
        lr_grid.param_groups(Flux(), **{"grid": {}, "lr": BASE, **arguments})


def test_what_is_no_model_is_told():
    with pytest.raises(GridError, match=r"list is no torch module: give the model, e\.g\. pipeline\.transformer"):
        lr_grid.param_groups([Flux()], {}, lr=BASE)
    with pytest.raises(GridError, match="none of its modules is named after a module of the model"):
        lr_grid.param_groups(WanModel(), {}, lr=BASE, adapter=Flux())


def test_any_number_does_as_an_lr():
    for lr in (torch.tensor(1e-4), 1):
        assert lr_grid.param_groups(Flux(), {}, lr=lr, quiet=True)[0]["lr"] == pytest.approx(float(lr))


def test_python_values_do_as_well_as_text():
    grid = {"train_components": {"ffn", "mod"}, "train_double_block_indices": range(2), "ffn_lr": 2e-4}
    lrs = lr_by_name(lr_grid.param_groups(Flux(), grid, lr=BASE, quiet=True))
    assert set(lrs.values()) == {2e-4, BASE}
    assert not any("double_blocks.2" in name for name in lrs)


def test_a_published_block_does_as_a_table_too():
    block = {"enabled": True, "component_lr": {"self_attn": 4e-4, "cross_attn": 2e-4}, "depth_strategy": "flat"}
    lrs = lr_by_name(lr_grid.param_groups(Flux(), {"learning_rate": 1e-4, "per_layer_lr": block}, lr=BASE, quiet=True))
    assert lrs["double_blocks.0.img_attn.qkv.weight"] == 4e-4
    assert lrs["double_blocks.0.img_mlp.0.weight"] == 3e-4  # the published default_lr
    with pytest.raises(GridError, match="enabled: 'perhaps' is neither true nor false"):
        lr_grid.param_groups(Flux(), {"per_layer_lr": {"enabled": "perhaps"}}, lr=BASE)


def test_a_model_in_which_nothing_trains_is_told():
    with pytest.raises(GridError, match="no parameter has requires_grad"):
        lr_grid.param_groups(Flux().requires_grad_(False), {}, lr=BASE)


def test_the_grid_is_printed_unless_quiet(capsys):
    lr_grid.param_groups(Flux(), {"ffn_lr": "2x"}, lr=BASE)
    assert "[lr_grid] model=flux" in capsys.readouterr().out
    lr_grid.param_groups(Flux(), {"ffn_lr": "2x"}, lr=BASE, quiet=True)
    assert capsys.readouterr().out == ""


def test_the_readmes_example_runs(tmp_path):
    text = README.read_text(encoding="utf-8")
    code = re.search(r"<!-- library example -->\n```python\n(.*?)```", text, re.S)[1]
    script = tmp_path / "train.py"
    script.write_text(code, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, script], cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "[lr_grid] model=flux" in done.stdout
    assert (tmp_path / "out" / "flux.lr_grid.json").is_file()
    losses = [float(text) for text in re.findall(r"loss ([\d.]+)", done.stdout)]
    assert losses[-1] < losses[0]
