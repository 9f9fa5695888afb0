"""Arguments that a wrapped module takes and then reads in a way nobody would guess; upstream says nothing of it.

Sources: sd-scripts' networks/*.py, musubi-tuner's networks/*.py, LyCORIS' kohya.py: the look-ups in create_network.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from lr_grid.errors import Problems, did_you_mean, listed
from lr_grid.passed_on import BLOCK_WEIGHTS
from lr_grid.values import TRUE

# Compared with the very text "True": anything else, ``true`` too, is false.
_ONLY_TRUE = ("split_qkv", "train_t5xxl", "verbose")
_IGNORES_CASE = ("networks.lora_anima",)
# Turned into a flag by bool(text): anything is true.
_ALWAYS_TRUE = {"networks.oft": ("enable_all_linear", "enable_conv"), "lycoris": ("decompose_both",)}
# Read only beside one of the others.
_NEEDS: dict[str, tuple[str, ...]] = {
    "block_lr_zero_threshold": BLOCK_WEIGHTS,
    "conv_alpha": ("conv_dim", "conv_block_dims"),
    "ggpo_beta": ("ggpo_sigma",),
    "ggpo_sigma": ("ggpo_beta",),
}
# Taken, and never used.
_NEVER_READ = {"networks.lora_lumina": ("conv_dim", "conv_alpha")}
# Take a dropout and never use it.
_NO_DROPOUT = ("networks.dylora", "networks.oft")


def takes_a_dropout(base: str) -> bool:
    """Whether a module uses the dropout that the trainer hands to it."""
    return not base.startswith(_NO_DROPOUT)


def check_flags(base: str, arguments: Mapping[str, Any], problems: Problems) -> None:
    """Notes flags whose text upstream takes for the opposite of what it says."""
    # A preset of the user's own may bring LoKr in.
    lokr = str(arguments.get("algo")).lower() == "lokr" or str(arguments.get("preset")).endswith(".toml")
    for prefix, keys in _ALWAYS_TRUE.items():
        for key in keys if base.startswith(prefix) else ():
            if key == "decompose_both" and not lokr:  # nobody else reads it
                continue
            if key in arguments and str(arguments[key]).strip().lower() not in TRUE:
                said = f"{key}: {base} takes every text for true, {arguments[key]!r} too"
                problems.add(f"{said}: leave it out, or give True")
    if base.startswith(("networks.lora_", "musubi_tuner.")) and base not in _IGNORES_CASE:
        for key in _ONLY_TRUE:
            text = str(arguments.get(key, ""))
            if text.strip().lower() in TRUE and text != "True":
                problems.add(
                    f"{key}: {base} takes {text!r} for False (only True, written so, is true there): give {key}=True"
                )
    if base == "networks.lora_lumina" and arguments.get("split_qkv") == "True":
        problems.add(f"split_qkv=True: {base} crashes when it saves (upstream's bug): leave it out")


def check_lycoris(base: ModuleType, arguments: Mapping[str, Any], problems: Problems) -> None:
    """Notes an algorithm or a preset that LyCORIS does not have: it would stop with the bare name."""
    algos = getattr(base, "network_module_dict", None)
    presets = getattr(base, "PRESET", None)
    algo, preset = str(arguments.get("algo") or "lora").lower(), str(arguments.get("preset", "full"))
    if isinstance(algos, Mapping) and algo not in algos:
        problems.add(f"algo: LyCORIS has no {algo!r}; it has {listed(algos, 20)}.{did_you_mean(algo, algos)}")
    if isinstance(presets, Mapping) and preset not in presets and not Path(preset).is_file():
        has = f"it has {listed(presets, 20)}, or takes the name of a .toml file"
        from lr_grid.presets import preset_names

        if preset in preset_names():
            has += f". {preset} is a preset of lr-grid: beside LyCORIS it is called grid_preset={preset}"
        problems.add(
            f"preset: LyCORIS has no {preset!r}, and there is no such file; {has}.{did_you_mean(preset, presets)}"
        )


def idle_arguments(base: str, arguments: Mapping[str, Any]) -> list[str]:
    """Lines about arguments that the module takes and has no use for in this combination."""
    if base.startswith("lycoris"):
        return []
    lines = [
        f"{key} has no effect without {' or '.join(needed)}"
        for key, needed in _NEEDS.items()
        if key in arguments and not any(other in arguments for other in needed)
    ]
    lines += [f"{key}: {base} takes it and never uses it" for key in _NEVER_READ.get(base, ()) if key in arguments]
    return lines
