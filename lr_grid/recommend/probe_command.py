"""The user's own command as a Prodigy probe: flat, 50 steps, its state saved, everything else as it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lr_grid.errors import GridError, Problems
from lr_grid.keys import is_grid_key
from lr_grid.recommend.bounds import LR
from lr_grid.recommend.probe import D0, STEPS

_GRID_PACKAGES = ("lr_grid.musubi.", "networks.")
_LYCORIS = "lycoris.kohya"
# What may stay of keys that the grid knows: upstream's own choice of blocks sets no LR.
_UPSTREAM_SELECTION = ("train_double_block_indices", "train_single_block_indices")
# Upstream's own ways to give parts of a network an LR of their own: Prodigy stops at different LRs.
_UPSTREAM_RATES = (
    "network_reg_lrs",
    "down_lr_weight",
    "mid_lr_weight",
    "up_lr_weight",
    "block_lr_zero_threshold",
    "base",
    "resume_grid",
    "log_grad_norms",
)
_SCHEDULE = ("lr_warmup_steps", "lr_decay_steps", "lr_scheduler_num_cycles", "lr_scheduler_power", "lr_scheduler_args")
_SCHEDULE_TOO = ("lr_scheduler_type", "lr_scheduler_timescale", "lr_scheduler_min_lr_ratio")
_OPTIMIZER = ("use_8bit_adam", "use_lion_optimizer", "fused_backward_pass", "blockwise_fused_optimizers")
_LENGTH = ("max_train_epochs", "resume", "initial_epoch", "initial_step", "skip_until_initial_step", "autoresume")
_SAVING = ("save_every_n_epochs", "save_every_n_steps", "save_n_epoch_ratio", "save_last_n_epochs", "save_last_n_steps")
_SAVING_TOO = ("save_last_n_epochs_state", "save_last_n_steps_state", "save_state_on_train_end")
_HUGGINGFACE = ("huggingface_repo_id", "save_state_to_huggingface", "resume_from_huggingface")
_SAMPLING = ("sample_every_n_steps", "sample_every_n_epochs", "sample_at_first", "sample_prompts")
_ENCODER_RATES = ("text_encoder_lr", "text_encoder_lr1", "text_encoder_lr2")
_LEFT_OUT = frozenset(
    (
        "config_file",
        *_SCHEDULE,
        *_SCHEDULE_TOO,
        *_OPTIMIZER,
        *_LENGTH,
        *_SAVING,
        *_SAVING_TOO,
        *_HUGGINGFACE,
        *_SAMPLING,
    )
)


@dataclass(frozen=True)
class ProbeCommand:
    """``argv`` runs the probe; ``state`` is the folder that --from-probe reads afterwards."""

    argv: list[str]
    state: str
    left_out: list[str]
    """What of the user's own command is not in it, as it was written there."""


def probe_command(
    trainer: str | None,
    script: str | None,
    launch: Sequence[str],
    values: Mapping[str, Any],
    network_args: Mapping[str, str],
    d0: float = D0,
) -> ProbeCommand:
    """Turns a training run into its probe.

    Args:
        trainer: sd-scripts or musubi-tuner.
        script: the training script's file name.
        launch: what stands before it (accelerate and its options); empty for ``accelerate launch``.
        values: argument -> value, as the trainer's parser types them.
        network_args: the pairs of --network_args.

    Raises: GridError where there is no script or no network module to probe.
    """
    problems = Problems()
    module = values.get("network_module")
    if not script:
        problems.add("--probe-command: the training script cannot be told: give the whole command line")
    if not module:
        problems.add("--probe-command: there is no network_module: the probe is for LoRAs and their kin")
    if not LR[0] <= d0 < 1:
        problems.add(f"--probe_d0 must be from {LR[0]:g} to below 1, not {d0:g}")
    problems.raise_if_any()
    assert script is not None
    base, kept = _base_network(str(module), network_args)
    name = f"{values.get('output_name') or 'last'}_probe"
    output_dir = values.get("output_dir")
    changed: dict[str, Any] = {
        "network_module": base,
        "network_args": [f"{key}={value}" for key, value in kept.items()] or None,
        "output_name": name,
        # sd-scripts logs d under its own name for Prodigy alone; musubi-tuner knows only the class's path.
        "optimizer_type": "prodigyopt.Prodigy" if trainer == "musubi-tuner" else "Prodigy",
        "optimizer_args": [f"d0={d0:g}", "use_bias_correction=True", "safeguard_warmup=True"],
        "learning_rate": 1,
        "lr_scheduler": "constant",
        "max_train_steps": STEPS,
        "save_state": True,
    }
    left_out = [f"network_args {key}={value}" for key, value in network_args.items() if key not in kept]
    if values.get("network_train_text_encoder_only"):
        rates: tuple[str, ...] = ("unet_lr", *_ENCODER_RATES)
    else:
        # The base LR is that of the U-Net or DiT. Text encoders at the same LR, far above their own, would move d.
        rates = ("unet_lr",)
        if trainer == "sd-scripts" and not values.get("network_train_unet_only"):
            left_out.append("training of the text encoders: the LR looked for is the U-Net's or DiT's")
            changed["network_train_unet_only"] = True
    changed |= {rate: _as_one(values[rate]) for rate in rates if values.get(rate) is not None}
    argv = [*(launch or ("accelerate", "launch")), script]
    for key, value in values.items():
        if key in _LEFT_OUT or (key in _ENCODER_RATES and key not in changed):
            left_out += [f"{key} {value}"] * bool(_words(key, value))
        elif key not in changed:
            argv += _words(key, value)
    for key, value in changed.items():
        argv += _words(key, value)
    folder = f"{str(output_dir).rstrip('/')}/" if output_dir else ""
    return ProbeCommand(argv, f"{folder}{name}-state", left_out)


def _as_one(rate: Any) -> Any:
    """1 for every LR; 0 (not trained) stays."""
    if isinstance(rate, (list, tuple)):
        return [_as_one(one) for one in rate]
    return 1 if float(rate) else 0


def _words(key: str, value: Any) -> list[str]:
    """One argument on a command line; nothing for a switch that is off or a value that was not given."""
    if value is None or value is False or value == []:
        return []
    if value is True:
        return [f"--{key}"]
    items = value if isinstance(value, (list, tuple)) else [value]
    return [f"--{key}", *(str(item) for item in items)]


def _base_network(module: str, network_args: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    """(the module that the grid wraps, the network arguments that are left to it)."""
    base = module
    if module == "lr_grid.network":
        base = network_args.get("base", "")
        if not base:
            raise GridError(["--probe-command: network_module lr_grid.network needs base=... in network_args"])
    elif module.endswith("_grid") and module.startswith(_GRID_PACKAGES):
        name = module.rpartition(".")[2].removesuffix("_grid")
        base = _LYCORIS if name == "lycoris" else f"networks.{name}"
    # LyCORIS' own preset chooses modules, and stays.
    upstreams = (*_UPSTREAM_SELECTION, "preset") if base == _LYCORIS else _UPSTREAM_SELECTION
    kept = {
        key: value
        for key, value in network_args.items()
        if key not in _UPSTREAM_RATES and (not is_grid_key(key) or key in upstreams)
    }
    return base, kept
