"""Combinations of options that bite in sd-scripts (read off 48d368f)."""

from __future__ import annotations

from lr_grid.check.bite import NETWORK, SD, Bite, on, without
from lr_grid.check.network_module import has_grid
from lr_grid.check.subject import Subject

_CACHES_TE = ("cache_text_encoder_outputs", "cache_text_encoder_outputs_to_disk")


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


SD_SCRIPTS: tuple[Bite, ...] = (
    # train_network.py:829-833 (Anima's script switches fp8 off: anima_train_network.py:44; HunyuanImage's with
    # fp8_scaled: hunyuan_image_train_network.py:334)
    Bite(
        "fp8_base",
        lambda s: _fp8_no_precision(s) and not s.get("fp8_scaled"),
        "fp8_base stops the trainer with mixed_precision = no (its default)",
        "Give mixed_precision fp16 or bf16",
        SD,
        tuple(f"{name}{NETWORK}" for name in ("", "sdxl_", "flux_", "sd3_", "lumina_", "hunyuan_image_")),
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
        on("blocks_to_swap", "cpu_offload_checkpointing"),
        "blocks_to_swap and cpu_offload_checkpointing stop the trainer together",
        "",
        SD,
        ("flux_train_network.py", "sd3_train_network.py", "anima_train_network.py"),
    ),
    # library/sdxl_train_util.py:349
    Bite("v2", on("v2"), "v2 stops the SDXL script: it is for SD 2.x", "", SD, ("sdxl_train_network.py",)),
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
        without("scale_v_pred_loss_like_noise_pred", "v_parameterization"),
        "scale_v_pred_loss_like_noise_pred stops the trainer without v_parameterization",
        "",
        SD,
    ),
    Bite(
        "v_pred_like_loss",
        on("v_pred_like_loss", "v_parameterization"),
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
    Bite(
        "dim_from_weights",
        lambda s: s.get("dim_from_weights") and not s.get("network_weights"),
        "dim_from_weights takes the ranks from a file: network_weights is missing",
        "",
        SD,
    ),
)
