"""The table of sample configs, what they must show together, and mistakes that must be found in them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainers.every import chosen

from lr_grid.toml_text import load_toml

FOLDER = Path(__file__).parent.parent / "sample_configs"


@dataclass(frozen=True)
class Sample:
    """A pair of files, ``name.toml`` and ``name_dataset.toml``: which script they are for, and on which model."""

    folder: str
    script: str
    size: str
    """What the inventories call the model."""
    tiny: str | None = None
    """The tiny model to train on, or None."""
    small: bool = False
    """Whether the tiny model has too few blocks or parameters for the numbers in the config."""


def _sd(script: str, size: str, tiny: str, small: bool = False) -> Sample:
    return Sample("sd-scripts", f"{script}.py", size, tiny, small)


def _musubi(script: str, size: str, tiny: str | None = None, small: bool = False) -> Sample:
    return Sample("musubi-tuner", f"src/musubi_tuner/{script}_train_network.py", size, tiny, small)


SAMPLES = {
    "sd15": _sd("train_network", "SD 1.5", "sd15", True),
    "sdxl": _sd("sdxl_train_network", "SDXL", "sdxl"),
    "sdxl_lycoris": _sd("sdxl_train_network", "SDXL", "sdxl"),
    "flux": _sd("flux_train_network", "FLUX.1 dev", "flux_19_38"),
    "chroma": _sd("flux_train_network", "Chroma", "chroma", True),
    "sd3": _sd("sd3_train_network", "SD3.5 medium", "sd3", True),
    "lumina": _sd("lumina_train_network", "Lumina-Image 2", "lumina", True),
    "hunyuan_image": _sd("hunyuan_image_train_network", "HunyuanImage 2.1", "hunyuan_image", True),
    "anima": _sd("anima_train_network", "Anima", "anima", True),
    "hunyuan_video": _musubi("hv", "HunyuanVideo", "hv_20_40"),
    "hunyuan_video_1_5": _musubi("hv_1_5", "HunyuanVideo 1.5", "hv15"),
    "framepack": _musubi("fpack", "FramePack", "fpack"),
    "wan": _musubi("wan", "Wan 2.1 T2V 1.3B", "wan_30"),
    "wan22": _musubi("wan", "Wan 2.2 T2V A14B"),
    "flux_kontext": _musubi("flux_kontext", "FLUX.1 Kontext", "kontext", True),
    "flux2": _musubi("flux_2", "FLUX.2 Klein 9B", "flux2", True),
    "qwen_image": _musubi("qwen_image", "Qwen-Image", "qwen_60"),
    "qwen_image_edit": _musubi("qwen_image", "Qwen-Image"),
    "zimage": _musubi("zimage", "Z-Image", "zimage_30"),
    "kandinsky5": _musubi("kandinsky5", "Kandinsky 5 Pro video"),
    "krea2": _musubi("krea2", "Krea 2", "krea2", True),
    "hidream_o1": _musubi("hidream_o1", "HiDream-O1 (t2i)"),
    "ideogram4": _musubi("ideogram4", "Ideogram 4"),
}
OTHERS = ("grid.toml", "musubi-tuner/hunyuan_video_grid.toml")
_TRAINABLE = [name for name, sample in SAMPLES.items() if sample.tiny]
_ALWAYS = ("sd15", "sdxl_lycoris", "flux", "wan", "zimage")
TRAINED = chosen(_TRAINABLE, always=_ALWAYS.__contains__)
"""Samples that train in the real scripts."""
KINDS = {"sd_scripts": "sd-scripts", "musubi": "musubi-tuner"}

# What notices of a plan may say: how something came about, never that something sets nothing.
TELLING = (
    r"fused: geometric mean of self_attn \S+ and ffn \S+",
    r"block_lr takes the place of component LR and depth in its blocks",
    r"rank_budget \S+: .+ parameters \(.+%\) in \d+ modules; ranks \d+ to \d+",
    r"(?:te\d?_)?depth_levels=\d+: LRs within \S+ % of the exact curve(?:, \d+ -> \d+ groups)?",
    r"max_groups=\d+ leaves room for depth_levels=\d+: LRs within \S+ % of the exact curve, \d+ -> \d+ groups",
    r"in the log, \d+ named LRs stand for \d+ groups: one for each component and side, .+",
    r"module_lr sets \d+ modules; component, depth and block settings do not reach them",
)
# Kinds of settings that the grids show, all together.
SHOWN = """
self_attn_lr cross_attn_lr ffn_lr norm_lr mod_lr fused_lr embed_lr other_lr component_lr depth_strategy
min_depth_factor peak_position depth_scope depth_levels block_lr_weight block_lr module_lr loraplus_lr_ratio
loraplus_unet_lr_ratio loraplus_ffn_lr_ratio exclude_components exclude_block_indices
exclude_single_block_indices train_single_block_indices te_train_block_indices te1_min_depth_factor te2_ffn_lr
grid block_dims block_alphas mod_dim mod_alpha module_alphas rank_strategy rank_multiple rank_budget
"""
# and keys of the dataset configs, by trainer
FEATURES = {
    "sd-scripts": """
alpha_mask secondary_separator enable_wildcard caption_prefix caption_suffix keep_tokens keep_tokens_separator
shuffle_caption caption_dropout_rate caption_dropout_every_n_epochs caption_tag_dropout_rate token_warmup_min
token_warmup_step random_crop flip_aug color_aug bucket_no_upscale bucket_reso_steps min_bucket_reso
max_bucket_reso class_tokens is_reg metadata_file num_repeats validation_split cache_info resize_interpolation
""",
    "musubi-tuner": """
image_directory video_directory image_jsonl_file video_jsonl_file cache_directory control_directory
control_resolution no_resize_control target_frames frame_extraction frame_stride frame_sample max_frames
source_fps fp_latent_window_size num_repeats bucket_no_upscale
""",
}


def file_of(name: str, dataset: bool = False) -> Path:
    return FOLDER / SAMPLES[name].folder / f"{name}{'_dataset' if dataset else ''}.toml"


def read(file: Path) -> dict[str, Any]:
    return load_toml(file.read_text(encoding="utf-8"))


def arguments_of(name: str) -> list[str]:
    return read(file_of(name))["network"]["network_args"]


@dataclass(frozen=True)
class Mistake:
    """A text in one of a sample's files, what takes its place, and what must be said of it."""

    sample: str
    old: str
    new: str
    finding: str
    file: str = ""
    """``_dataset`` or ``_grid``, where it is not the training config."""


DATASET = "_dataset"
MISTAKES = {
    "an unknown key": Mistake("flux", "max_grad_norm =", "max_grad_nrom =", "max_grad_nrom is no argument"),
    "a value of another type": Mistake("chroma", "seed = 42", 'seed = "42"', "seed = '42'"),
    "an unknown choice": Mistake("lumina", '"nextdit_shift"', '"nextdit"', "timestep_sampling = 'nextdit'"),
    "an unknown option": Mistake("anima", ".py --config_file", ".py --configfile", "--configfile"),
    "a key of no dataset": Mistake("sdxl", "flip_aug =", "flip =", "extra keys not allowed", DATASET),
    "cached latents, random crops": Mistake("sd15", "sdpa =", "cache_latents = true\nsdpa =", "random_crop"),
    "cached texts, shuffling": Mistake("flux", "enable_bucket", "shuffle_caption = true\n#", "shuffle", DATASET),
    "cached texts, a prefix": Mistake("sd3", "enable_bucket", "caption_prefix = 'x'\n#", "caption_prefix", DATASET),
    "an unknown setting": Mistake("sd3", "ffn_lr=", "fnn_lr=", "ffn_lr"),
    "a block that is not there": Mistake("chroma", "block_indices=34-37", "block_indices=34-38", "38"),
    "an unknown key in musubi-tuner": Mistake(
        "wan", "max_grad_norm =", "max_grad_nrom =", "max_grad_nrom is no argument"
    ),
    "an option of no caching script": Mistake("zimage", "--text_encoder ", "--txt ", "--text_encoder"),
    "an option for the command line": Mistake("kandinsky5", "--task k5-pro-t2v-5s-sd ", "", "--task"),
    "a frame rate without its .0": Mistake("wan", "30.0", "30", "source_fps", DATASET),
    "a number of frames": Mistake("hunyuan_video", "[25, 45]", "[25, 44]", "multiple of 4 plus 1", DATASET),
    "two = in an argument": Mistake("krea2", '"ffn_lr=0.5x"', '"ffn_lr=0.5x=1"', "has length 3; 2 is required"),
    "a setting in the grid's file": Mistake("hunyuan_video", "cross_attn_lr", "cross_atn_lr", "cross_attn_lr", "_grid"),
}
