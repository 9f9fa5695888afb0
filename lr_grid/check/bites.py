"""Combinations of options that the trainers stop at, or do other things with than people expect.

Each rule names the place in the trainer that it was read off (sd-scripts 48d368f, musubi-tuner 30c658c).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from lr_grid.check.network_module import has_grid
from lr_grid.check.subject import Subject
from lr_grid.training.finding import Place
from lr_grid.training.tables import options

SD, MUSUBI = "sd-scripts", "musubi-tuner"
_CACHES_TE = ("cache_text_encoder_outputs", "cache_text_encoder_outputs_to_disk")
_NETWORK = "train_network.py"


@dataclass(frozen=True, slots=True)
class Bite:
    """One combination that bites."""

    at: str
    """The argument (or the key of --network_args) whose line is shown."""
    applies: Callable[[Subject], object]
    message: str
    cure: str = ""
    trainer: str | None = None
    """None: both."""
    scripts: tuple[str, ...] = ()
    """Empty: all that train a network."""
    severity: str = "error"
    needs_all: bool = False
    """Whether it speaks of what is missing, which may stand on the command line beside a bare TOML."""


def _on(*names: str) -> Callable[[Subject], object]:
    """Whether all of these are given."""
    return lambda subject: all(subject.get(name) for name in names)


def _without(name: str, *missing: str) -> Callable[[Subject], object]:
    """Whether the first is given and none of the others."""
    return lambda subject: subject.get(name) and not any(subject.get(other) for other in missing)


def _network_arg(subject: Subject, key: str) -> str:
    return subject.config.network_args.get(key, "")


def _is_base(subject: Subject, *names: str) -> bool:
    module = str(subject.get("network_module") or "")
    return module.rpartition(".")[2].removesuffix("_grid") in names


def _caches_te(subject: Subject) -> bool:
    return any(subject.get(name) for name in _CACHES_TE)


def _fp8_no_precision(subject: Subject) -> bool:
    return bool(subject.get("fp8_base") or subject.get("fp8_base_unet")) and subject.get("mixed_precision") == "no"


def _several_encoder_lrs(subject: Subject) -> bool:
    lrs = subject.get("text_encoder_lr")
    return isinstance(lrs, list) and len(set(lrs)) > 1 and _is_base(subject, "lora", "lora_fa", "dylora")


def _no_attention(subject: Subject) -> bool:
    return not any(subject.get(name) for name in ("sdpa", "flash_attn", "flash3", "sage_attn", "xformers"))


BITES: tuple[Bite, ...] = (
    # train_network.py:814-823; musubi-tuner's training/trainer_base.py:1684-1694
    Bite(
        "full_fp16",
        lambda s: s.get("full_fp16") and s.get("mixed_precision") != "fp16",
        "full_fp16 stops the trainer without mixed_precision = fp16",
    ),
    Bite(
        "full_bf16",
        lambda s: s.get("full_bf16") and not s.get("full_fp16") and s.get("mixed_precision") != "bf16",
        "full_bf16 stops the trainer without mixed_precision = bf16",
    ),
    # train_network.py:829-833 (Anima's script switches fp8 off: anima_train_network.py:44; HunyuanImage's with
    # fp8_scaled: hunyuan_image_train_network.py:334)
    Bite(
        "fp8_base",
        lambda s: _fp8_no_precision(s) and not s.get("fp8_scaled"),
        "fp8_base stops the trainer with mixed_precision = no (its default)",
        "Give mixed_precision fp16 or bf16",
        SD,
        tuple(f"{name}{_NETWORK}" for name in ("", "sdxl_", "flux_", "sd3_", "lumina_", "hunyuan_image_")),
    ),
    # anima_train_network.py:44
    Bite(
        "fp8_base",
        lambda s: s.get("fp8_base") or s.get("fp8_base_unet"),
        "fp8_base and fp8_base_unet are switched off for Anima",
        "",
        SD,
        ("anima_train_network.py",),
        "warning",
    ),
    # sdxl_train_network.py:39, anima_train_network.py:59
    Bite(
        "cache_text_encoder_outputs",
        lambda s: _caches_te(s) and not s.get("network_train_unet_only"),
        "cached text encoder outputs stop this script while text encoders train",
        "Add network_train_unet_only, or do not cache",
        SD,
        ("sdxl_train_network.py", "anima_train_network.py"),
    ),
    # flux_train_network.py:196, sd3_train_network.py:172
    Bite(
        "cache_text_encoder_outputs",
        lambda s: _caches_te(s) and _network_arg(s, "train_t5xxl") == "True",
        "cached text encoder outputs stop this script while T5 trains (train_t5xxl=True)",
        "Leave one of the two out",
        SD,
        ("flux_train_network.py", "sd3_train_network.py"),
    ),
    # flux_train_network.py:54
    Bite(
        "model_type",
        lambda s: s.get("model_type") == "chroma" and not s.get("apply_t5_attn_mask"),
        "model_type = chroma stops the trainer without apply_t5_attn_mask",
        "",
        SD,
        ("flux_train_network.py",),
    ),
    # flux_train_network.py:77, sd3_train_network.py:60, anima_train_network.py:63
    Bite(
        "blocks_to_swap",
        _on("blocks_to_swap", "cpu_offload_checkpointing"),
        "blocks_to_swap and cpu_offload_checkpointing stop the trainer together",
        "",
        SD,
        ("flux_train_network.py", "sd3_train_network.py", "anima_train_network.py"),
    ),
    # library/sdxl_train_util.py:349
    Bite("v2", _on("v2"), "v2 stops the SDXL script: it is for SD 2.x", "", SD, ("sdxl_train_network.py",)),
    # library/train_util.py:4443-4454
    Bite(
        "adaptive_noise_scale",
        lambda s: s.get("adaptive_noise_scale") is not None and s.get("noise_offset") is None,
        "adaptive_noise_scale stops the trainer without noise_offset",
        "",
        SD,
    ),
    Bite(
        "scale_v_pred_loss_like_noise_pred",
        _without("scale_v_pred_loss_like_noise_pred", "v_parameterization"),
        "scale_v_pred_loss_like_noise_pred stops the trainer without v_parameterization",
        "",
        SD,
    ),
    Bite(
        "v_pred_like_loss",
        _on("v_pred_like_loss", "v_parameterization"),
        "v_pred_like_loss stops the trainer with v_parameterization",
        "",
        SD,
    ),
    # train_network.py:521
    Bite(
        "train_data_dir",
        lambda s: s.get("dataset_config") and any(s.get(n) for n in ("train_data_dir", "reg_data_dir", "in_json")),
        "train_data_dir, reg_data_dir and in_json are ignored beside dataset_config",
        "",
        SD,
        severity="warning",
    ),
    # networks/lora.py has no prepare_optimizer_params_with_multiple_te_lrs: train_network.py:738 takes the first LR
    Bite(
        "text_encoder_lr",
        lambda s: _several_encoder_lrs(s) and not (has_grid(str(s.get("network_module"))) and s.config.network_args),
        "this network module knows one text_encoder_lr: every text encoder gets the first",
        "Under a grid each encoder has its own",
        SD,
        severity="warning",
    ),
    # networks/lora_flux.py:908: one name is unpacked from three sizes
    Bite(
        "split_qkv",
        lambda s: (
            _is_base(s, "lora_flux")
            and _network_arg(s, "split_qkv") == "True"
            and _network_arg(s, "train_blocks") != "single"
        ),
        "network_args: split_qkv=True stops networks.lora_flux at the double blocks (upstream's bug)",
        "Leave it out, or train_blocks=single",
        SD,
        ("flux_train_network.py",),
    ),
    # training/trainer_base.py:1394-1404, 1512
    Bite(
        "dataset_config",
        lambda s: not s.get("dataset_config"),
        "dataset_config is required",
        "",
        MUSUBI,
        needs_all=True,
    ),
    Bite("dit", lambda s: not s.get("dit"), "dit, the model's file, is required", "", MUSUBI, needs_all=True),
    Bite(
        "fp8_scaled",
        _without("fp8_scaled", "fp8_base"),
        "fp8_scaled stops the trainer without fp8_base",
        "",
        MUSUBI,
    ),
    Bite("sage_attn", _on("sage_attn"), "sage_attn cannot train: the trainer stops", "Give sdpa", MUSUBI),
    Bite(
        "sdpa",
        _no_attention,
        "one of sdpa, flash_attn, flash3 or xformers is required",
        "Give sdpa",
        MUSUBI,
        needs_all=True,
    ),
    # krea2_train_network.py:74, hidream_o1_train_network.py:98
    Bite(
        "fp8_base",
        _without("fp8_base", "fp8_scaled"),
        "fp8_base stops this script without fp8_scaled",
        "",
        MUSUBI,
        ("krea2_train_network.py", "hidream_o1_train_network.py"),
    ),
    # hidream_o1_train_network.py:96, ideogram4_train_network.py:65
    Bite(
        "weighting_scheme",
        lambda s: s.get("weighting_scheme") != "none",
        "this script stops at any weighting_scheme but none",
        "",
        MUSUBI,
        ("hidream_o1_train_network.py", "ideogram4_train_network.py"),
    ),
    # training/trainer_base.py:1568: load_file(True)
    Bite(
        "dim_from_weights",
        _on("dim_from_weights"),
        "dim_from_weights is broken in musubi-tuner: it stops",
        "Give network_dim and network_alpha of the file",
        MUSUBI,
    ),
    Bite(
        "dim_from_weights",
        lambda s: s.get("dim_from_weights") and not s.get("network_weights"),
        "dim_from_weights takes the ranks from a file: network_weights is missing",
        "",
        SD,
    ),
    # training/parser_common.py and library/train_util.py: the default of --learning_rate
    Bite(
        "learning_rate",
        lambda s: (
            "learning_rate" not in s.config.values
            and s.get("unet_lr") is None
            and not str(s.get("optimizer_type") or "").lower().startswith(("prodigy", "dadapt"))
        ),
        "no learning rate is given: the trainer's default is 2e-06, which is for full fine-tuning",
        severity="warning",
        needs_all=True,
    ),
)


def check_bites(subject: Subject) -> None:
    """Notes every combination of the table that the config has."""
    config = subject.config
    if config.trainer is None or not (config.script or "").endswith(_NETWORK):
        return
    for bite in BITES:
        if bite.trainer not in (None, config.trainer) or (bite.scripts and config.script not in bite.scripts):
            continue
        if bite.needs_all and not subject.is_whole:
            continue
        if bite.applies(subject):
            place = config.network_args_where.get(bite.at) or config.place(_given(subject, bite))
            subject.tell(bite.severity, place, bite.message, bite.cure)
    _check_required(subject)


def _check_required(subject: Subject) -> None:
    """The trainers parse the command line before they read the TOML: what the parser requires must stand there."""
    config = subject.config
    on_the_line = {one.dest for one in config.given if one.place.flag}
    for dest, option in options(config.trainer, config.script).items() if subject.is_whole else ():
        if option.required and dest not in on_the_line:
            where = Place(config.source, 0, f"--{dest}")
            subject.tell("error", where, f"{dest} must stand on the command line, also where the TOML has it")


def _given(subject: Subject, bite: Bite) -> str:
    """The argument of a bite that stands in the config: itself, or one of its family (``..._to_disk``)."""
    where = subject.config.where
    return bite.at if bite.at in where else next((name for name in where if name.startswith(bite.at)), bite.at)
