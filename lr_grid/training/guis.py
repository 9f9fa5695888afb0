"""What GUIs around sd-scripts write into a --config_file though the trainer has no such argument, or no such choice.

Sources: bmaltais/kohya_ss, kohya_gui/lora_gui.py (config_toml_data); Akegarasu/lora-scripts, mikazuki/app/api.py.
"""

from __future__ import annotations

from typing import Any

_KOHYA_SS = (
    *("epoch", "noise_offset_type", "mem_eff_save", "stop_text_encoder_training", "no_token_padding", "lowvram"),
    *("single_blocks_to_swap", "double_blocks_to_swap", "save_clip", "save_t5xxl", "t5xxl_device", "t5xxl_dtype"),
)
_LORA_SCRIPTS = ("model_train_type", "gpu_ids")
_KEYS = {**dict.fromkeys(_KOHYA_SS, "kohya_ss"), **dict.fromkeys(_LORA_SCRIPTS, "lora-scripts")}
_VALUES = {
    ("max_token_length", 75): "what kohya_ss' GUI writes for the default length",
    ("max_token_length", 255): "what lora-scripts' GUI writes for 225",
}
"""The trainer makes as many chunks of 75 tokens of them as of none and of 225 (library/strategy_base.py)."""


def gui_of(key: str, value: Any) -> str:
    """The GUI that writes a key, though the trainer ignores it; empty where none is known to."""
    if key == "train_blocks" and value == "all":  # what it is anyway
        return "kohya_ss"
    return _KEYS.get(key, "")


def gui_of_value(key: str, value: Any) -> str:
    """What a value is that a GUI writes and the trainer's parser would refuse; empty for others."""
    return _VALUES.get((key, value), "") if isinstance(value, int) else ""
