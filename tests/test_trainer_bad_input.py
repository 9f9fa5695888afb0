"""Bad input in the real scripts: a message one can act on, before training starts, and an exit code that is not 0."""

from __future__ import annotations

import re

import pytest
from trainers.every import chosen

from lr_grid.errors import GridError
from lr_grid.models import find_model
from lr_grid.preview import Run, preview

UNET_ONLY = "--network_train_unet_only"
SD, FLUX = (
    ("train_network.py", "sd15", "networks.lora_grid"),
    ("flux_train_network.py", "flux", "networks.lora_flux_grid"),
)

# name: (script, --network_args, other arguments, what the message must say)
CASES = {
    "typo": (
        SD,
        ["self_atn_lr=1e-4"],
        [],
        "self_atn_lr: neither lr-grid nor networks.lora takes this argument .* Did you mean self_attn_lr",
    ),
    "argument of LyCORIS": (SD, ["dora_wd=True"], [], "dora_wd: .*use --network_module networks.lycoris_grid"),
    "argument of another module": (SD, ["img_attn_dim=4"], [], "img_attn_dim: neither lr-grid nor networks.lora"),
    "not a number": (SD, ["ffn_lr=fast"], [], "ffn_lr: 'fast' is not a learning rate: give a number .* or a multiple"),
    "empty": (SD, ["ffn_lr="], [], "ffn_lr: is empty"),
    "ratio 0": (SD, ["loraplus_lr_ratio=0"], [], "loraplus_lr_ratio: 0 is not above 0"),
    "negative ratio": (SD, ["loraplus_ffn_lr_ratio=-4"], [], "loraplus_ffn_lr_ratio: -4 is not above 0"),
    "factor above 1": (
        SD,
        ["depth_strategy=linear", "min_depth_factor=1.5"],
        [],
        "min_depth_factor: 1.5 is outside 0..1",
    ),
    "unknown strategy": (
        SD,
        ["depth_strategy=linaer"],
        [],
        "depth_strategy: 'linaer' is unknown; allowed: .* Did you mean linear",
    ),
    "no effect": (
        SD,
        ["peak_position=0.3", "depth_strategy=linear"],
        [],
        "peak_position belongs to depth_strategy=inverted_u",
    ),
    "block out of range": (SD, ["block_lr_weight=unet_25:0.5"], [], "block 25 is out of range, sd has unet 0-24"),
    "block without modules": (
        SD,
        ["block_lr_weight=3:0.5"],
        [],
        "block_lr_weight: '3:0.5' matches no module that trains; such stand in unet 1-2,4-5,7-8,12,16-24",
    ),
    "unknown stack": (
        FLUX,
        ["block_lr_weight=doubel_0:1"],
        [],
        "flux has no stack 'doubel'. Did you mean double\\? It has double 0-1, single 0-1",
    ),
    "no stack named": (FLUX, ["block_lr=0:1e-4"], [], "names no stack, and flux has double 0-1, single 0-1"),
    "wrong list length": (SD, ["block_lr=1e-4,1e-4"], [], "block_lr: 2 values, but sd has 25 blocks"),
    "range backwards": (SD, ["block_lr_weight=6-2:0.5"], [], "the range runs backwards"),
    "bad regex": (SD, ["module_lr=(attn1:1e-4"], [], "the regex '\\(attn1' does not compile"),
    "regex without match": (
        SD,
        ["module_lr=double_blocks:1e-4"],
        [],
        "the regex 'double_blocks' matches no module; there are",
    ),
    "shadowed regex": (
        SD,
        ["module_lr=attn1:1e-4,attn1.to_q:2e-4"],
        [],
        "wins nowhere: earlier rules take all its modules",
    ),
    "upstream's regex without match": (
        FLUX,
        ["network_reg_lrs=dubble=1e-4"],
        [],
        "network_reg_lrs: the regex 'dubble' matches no module",
    ),
    "upstream's regex with a comma": (
        FLUX,
        [r"network_reg_lrs=double_blocks_\d{1,2}=1e-4"],
        [],
        "a regex with a comma cannot be given here; module_lr takes one",
    ),
    "component without modules": (
        SD,
        ["fused_lr=1e-4"],
        [],
        "fused_lr: this network has no fused module in sd; it has self_attn \\(64 modules\\)",
    ),
    "LoRA+ of nothing": (
        SD,
        ["loraplus_norm_lr_ratio=4"],
        [],
        "loraplus_norm_lr_ratio: this network has no norm module",
    ),
    "unknown component": (SD, ["train_components=attn"], [], "'attn' is no component; there are self_attn, cross_attn"),
    "contradiction": (
        SD,
        ["train_components=ffn", "self_attn_lr=1e-4"],
        [],
        "self_attn_lr is set, but train_components leaves self_attn out",
    ),
    "set twice": (SD, ["component_lr=ffn:1e-4", "ffn_lr=1e-4"], [], "ffn_lr and component_lr both set ffn"),
    "two block weights": (
        SD,
        ["block_lr_weight=1:0.5", "down_lr_weight=sine"],
        [],
        "block_lr_weight and down/mid/up_lr_weight both weigh",
    ),
    "unknown curve of upstream": (
        SD,
        ["down_lr_weight=cosin"],
        [],
        "'cosin' is neither a list of numbers nor a curve; .* Did you mean cosine",
    ),
    "which stack": (
        FLUX,
        ["train_block_indices=0"],
        [],
        "train_block_indices: which stack is not said; .* use train_double_block_indices or",
    ),
    "index out of range": (FLUX, ["train_double_block_indices=0-7"], [], "block 7 is out of range 0-1"),
    "missing file": (SD, ["grid=nowhere.toml"], [], "grid: nowhere.toml: no such file"),
    "all zero": (SD, ["default_lr=0"], [UNET_ONLY], "every LR is 0: nothing would train"),
    "signs of fused": (FLUX, ["self_attn_lr=-1x", "ffn_lr=1x"], [], "have no geometric mean .* give fused_lr"),
    "grid on nothing": (
        SD,
        ["ffn_lr=2x"],
        ["--network_train_text_encoder_only"],
        "ffn_lr: the U-Net or DiT is not trained in this run",
    ),
    "LoRA+ of what is frozen": (
        SD,
        ["loraplus_ffn_lr_ratio=4", "ffn_lr=0"],
        [UNET_ONLY],
        "loraplus_ffn_lr_ratio: no module that trains takes it",
    ),
    "overruled component": (SD, ["block_lr=0-24:1e-4", "ffn_lr=2x"], [], "ffn_lr: sets nothing: no module that trains"),
    "Prodigy": (
        SD,
        ["ffn_lr=2x"],
        ["--optimizer_type=Prodigy"],
        "--optimizer_type Prodigy knows one LR for all groups",
    ),
    "Adafactor": (
        SD,
        ["ffn_lr=2x"],
        ["--optimizer_type=Adafactor"],
        "sets its own LR and ignores the grid's 2. Add --optimizer_args relative_step=False",
    ),
    "unlearning with D-Adaptation": (
        SD,
        [],
        ["--optimizer_type=DAdaptAdam", "--unet_lr=-1", "--learning_rate=1"],
        "is negative \\(unlearning\\), and --optimizer_type DAdaptAdam",
    ),
    "split_qkv": (FLUX, ["split_qkv=True"], [], "networks.lora_flux crashes on double blocks \\(a bug of sd-scripts"),
    "upstream refuses": (
        FLUX,
        ["train_blocks=dubble"],
        [],
        "networks.lora_flux refuses its arguments: AssertionError: invalid train_blocks",
    ),
    "an option of the trainer": (
        SD,
        ["network_dim=8"],
        [],
        "network_dim: .* It is the trainer's own option: give --network_dim",
    ),
    "blocks chosen twice": (
        SD,
        ["train_block_indices=1", "train_unet_block_indices=2"],
        [],
        "the blocks of unet are chosen twice",
    ),
    "overridden entry": (
        SD,
        ["block_lr_weight=1:0.5,0-8:2"],
        [],
        "'1:0.5' sets nothing: later entries take all its blocks",
    ),
    "OneCycleLR": (
        SD,
        ["ffn_lr=2x"],
        ["--lr_scheduler_type=OneCycleLR"],
        "gives all groups one LR and flattens the grid's 2",
    ),
    "an absolute floor": (
        SD,
        ["ffn_lr=2x"],
        ["--lr_scheduler_type=CosineAnnealingLR", "--lr_scheduler_args", "T_max=4", "eta_min=5e-4"],
        "eta_min=0.0005 is one absolute LR for all groups, .* Use eta_min=0, or --lr_scheduler cosine_with_min_lr",
    ),
    "the flag twice": (
        SD,
        ["ffn_lr=2x"],
        ["--network_args", "self_attn_lr=1x"],
        "--network_args is given twice: only the last counts, ffn_lr=2x is dropped. Put all values behind one:"
        " --network_args ffn_lr=2x self_attn_lr=1x",
    ),
    "ranks without a file": (SD, ["ffn_lr=2x"], ["--dim_from_weights"], "name it with --network_weights"),
    "no base named": (
        ("train_network.py", "sd15", "lr_grid.network"),
        ["ffn_lr=2x"],
        [],
        "needs to know the module to wrap",
    ),
    # ranks
    "one rank too few": (SD, ["block_dims=" + ",".join(["4"] * 24)], [], "block_dims: 24 values, but sd has 25 blocks"),
    "fractional rank": (SD, ["block_dims=16:4.5"], [], "block_dims: 16: '4.5' is no rank: give a whole number"),
    "negative alpha": (FLUX, ["fused_alpha=-1"], [], "fused_alpha: '-1' is no alpha: give a number"),
    "rank 0 in every block": (SD, ["block_dims=0-24:0"], [UNET_ONLY], "every LR or rank is 0: nothing would train"),
    "upstream's list of zeros": (SD, ["block_dims=" + ",".join(["0"] * 25)], [UNET_ONLY], "nothing would train"),
    "ranks of convolutions where there are none": (
        FLUX,
        ["conv_block_dims=double:4", "conv_dim=4"],
        [],
        "conv_dim: networks.lora_flux trains no convolution larger than 1x1 in flux: leave it out",
    ),
    "blocks of OFT that do not divide": (
        ("train_network.py", "sd15", "networks.oft_grid"),
        ["self_attn_dim=7"],
        [],
        "self_attn_dim 7: networks.oft cannot make a module of rank 7: 7 blocks do not divide its \\d+ outputs",
    ),
    "blocks of FLUX's OFT that do not divide": (
        ("flux_train_network.py", "flux", "networks.oft_flux_grid"),
        ["enable_all_linear=True", "block_dims=single_0:7"],
        [],
        "block_dims 7: networks.oft_flux cannot make a module of rank 7: 7 blocks do not divide",
    ),
    "a rank that is no multiple of DyLoRA's unit": (
        ("train_network.py", "sd15", "networks.dylora_grid"),
        ["unit=2", "ffn_dim=3"],
        [],
        "ffn_dim 3: networks.dylora cannot make a module of rank 3: rank must be a multiple of unit",
    ),
}
FILES = {
    "broken TOML": ("broken.toml", "ffn_lr = [1,", "broken.toml: not valid TOML: "),
    "broken JSON": ("broken.json", '{"ffn_lr": ', "broken.json: not valid JSON: "),
    "typo in a file": (
        "grid.toml",
        "self_atn_lr = 1e-4",
        "'self_atn_lr' is no setting of a grid. Did you mean self_attn_lr",
    ),
}


def assert_told(result, message: str) -> None:
    assert result.returncode != 0
    # The trainer may wrap its log, never the exception's own text at the end.
    told = " ".join(result.text[result.text.index("GridError: ") :].split())
    assert re.search(message, told), told
    assert "running training" not in result.text
    assert not result.lora_path.exists()


def needs_more(name: str) -> bool:
    """Whether the trainer's options or another network module bear on the case."""
    which, _, extra, _ = CASES[name]
    return bool(extra) or which not in (SD, FLUX)


@pytest.mark.trainer
@pytest.mark.parametrize("name", chosen(CASES, always=needs_more, of=4))
def test_bad_arguments(sd_scripts, tmp_path, name):
    (script, model, module), network_args, extra, message = CASES[name]
    result = sd_scripts.run(
        script, model, workdir=tmp_path, network_module=module, network_args=network_args, extra=extra, probe=False
    )
    assert_told(result, message)


ON_SD = [name for name in CASES if CASES[name][0] == SD and CASES[name][2] in ([], [UNET_ONLY])]


@pytest.mark.parametrize("name", ON_SD)
def test_bad_arguments_are_told_without_a_trainer_too(name):
    (_, model, module), network_args, extra, message = CASES[name]
    arguments = dict(argument.split("=", 1) for argument in network_args)
    with pytest.raises(GridError) as told:
        preview(find_model(model), arguments, Run(network_module=module, trains_text_encoders=not extra))
    assert re.search(message, " ".join(str(told.value).split()))


@pytest.mark.trainer
@pytest.mark.parametrize("name", FILES)
def test_bad_files(sd_scripts, tmp_path, name):
    file, text, message = FILES[name]
    (tmp_path / file).write_text(text)
    script, model, module = SD
    result = sd_scripts.run(
        script, model, workdir=tmp_path, network_module=module, network_args=[f"grid={tmp_path / file}"], probe=False
    )
    assert_told(result, re.escape(message))


@pytest.mark.trainer
def test_all_problems_are_told_at_once(sd_scripts, tmp_path):
    script, model, module = SD
    arguments = [
        "self_atn_lr=1e-4",
        "loraplus_lr_ratio=0",
        "block_lr_weight=30:1",
        "module_lr=nowhere:1e-4",
        "fused_lr=1x",
    ]
    result = sd_scripts.run(script, model, workdir=tmp_path, network_module=module, network_args=arguments, probe=False)
    assert_told(result, "5 problems in the settings:")
    for argument in arguments:
        assert argument.partition("=")[0] in result.text.rpartition("5 problems")[2]
