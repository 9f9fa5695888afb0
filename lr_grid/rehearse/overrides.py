"""What a rehearsal changes of the arguments: where files go, what needs a GPU, what comes after the first steps."""

from __future__ import annotations

import argparse
import importlib.util
from pathlib import Path
from typing import Any

from lr_grid.rehearse.job import Job, Report

_TRACKERS_INSTALLED = {"wandb": "wandb", "tensorboard": "tensorboard", "all": "tensorboard"}
_KERNELS = {"xformers": "xformers", "flash_attn": "flash_attn", "mem_eff_attn": "", "sage_attn": "", "flash3": ""}
"""Flag of an attention kernel -> the package it needs."""
_QUIET: dict[str, Any] = {
    "console_log_file": None,
    "huggingface_repo_id": None,
    "save_state_to_huggingface": False,
    "sample_every_n_steps": None,
    "sample_every_n_epochs": None,
    "sample_at_first": False,
    "save_every_n_steps": None,
    "save_every_n_epochs": None,
    "save_n_epoch_ratio": None,
    "max_data_loader_n_workers": 0,
    "persistent_data_loader_workers": False,
    "debug_dataset": False,
    "cache_info": False,
    "disable_mmap_load_safetensors": False,
    "log_tracker_config": None,
    "wandb_api_key": None,
    "lowram": False,
}
"""Set without a word: it changes nothing that a rehearsal looks at."""
_OFF: dict[str, str] = {
    "fp8_base": "fp8 weights",
    "fp8_base_unet": "fp8 weights",
    "fp8_scaled": "fp8 weights",
    "fp8_vl": "fp8 weights",
    "fp8_vl_text_encoder": "fp8 weights",
    "blocks_to_swap": "block swap",
    "double_blocks_to_swap": "block swap",
    "single_blocks_to_swap": "block swap",
    "cpu_offload_checkpointing": "offloading",
    "gradient_checkpointing_cpu_offload": "offloading",
    "unsloth_offload_checkpointing": "offloading",
    "offload_inactive_dit": "offloading",
    "torch_compile": "torch.compile",
    "compile": "torch.compile",
    "deepspeed": "DeepSpeed",
    "ddp_static_graph": "DDP",
    "fused_backward_pass": "the fused backward pass",
    "base_weights": "merging --base_weights",
    "scale_weight_norms": "--scale_weight_norms",
}
"""Left out, and said so: argument -> what it is."""


def check_files(args: argparse.Namespace, report: Report) -> None:
    """What the run would need only later, or only on a GPU, and is visibly not here."""
    prompts = getattr(args, "sample_prompts", None)
    if prompts and not Path(prompts).is_file():
        report.find("arguments", f"--sample_prompts {prompts}: no such file")
    for flag, package in _KERNELS.items():
        if package and getattr(args, flag, None) and importlib.util.find_spec(package) is None:
            cure = f"pip install {package.replace('_', '-')}, or --sdpa instead"
            report.find("arguments", f"--{flag} is given, and {package} is not installed here", cure)
    tracker = getattr(args, "log_with", None)
    package = _TRACKERS_INSTALLED.get(str(tracker), "")
    if package and importlib.util.find_spec(package) is None:
        report.find("arguments", f"--log_with {tracker}: {package} is not installed here", f"pip install {package}")


def redirect(args: argparse.Namespace, job: Job, report: Report) -> None:
    """Before the trainer looks at its arguments: all of its output goes into the rehearsal's folder."""
    check_files(args, report)
    scratch = Path(job.scratch)
    args.output_dir = str(scratch / "output")
    if getattr(args, "logging_dir", None) is not None:
        has_tensorboard = importlib.util.find_spec("tensorboard") is not None
        args.logging_dir = str(scratch / "logs") if has_tensorboard else None
        args.log_with = "tensorboard" if has_tensorboard else None
    elif getattr(args, "log_with", None) == "wandb":  # it needs no folder; nothing is sent anywhere
        args.log_with = None
    for name, value in _QUIET.items():
        if hasattr(args, name):
            setattr(args, name, value)
    if getattr(args, "resume_from_huggingface", False):
        report.note("--resume_from_huggingface is left out: nothing is downloaded, and the resume is not rehearsed")
        args.resume_from_huggingface, args.resume = False, None


def onto_cpu(args: argparse.Namespace, report: Report) -> None:
    """After the trainer has checked its arguments: what only a GPU can do is replaced."""
    if getattr(args, "mixed_precision", None) == "fp16":
        args.mixed_precision = "bf16"
        if getattr(args, "full_fp16", False):
            args.full_fp16, args.full_bf16 = False, True
        report.note("fp16 was rehearsed as bf16: without loss scaling")
    left_out = {}
    for name, what in _OFF.items():
        value = getattr(args, name, None)
        if value:
            setattr(args, name, False if isinstance(value, bool) else None)
            left_out[what] = name
    kernels = [name for name in _KERNELS if getattr(args, name, None)]
    for name in kernels:
        setattr(args, name, False)
    if kernels:
        args.sdpa = True
    if getattr(args, "attn_mode", None):
        args.attn_mode = "torch"
    if left_out:
        report.note(f"left out: {', '.join(left_out)}")
    if hasattr(args, "sample_prompts"):
        args.sample_prompts = None
