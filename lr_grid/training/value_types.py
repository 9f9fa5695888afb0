"""Whether a value has the type that an option of a trainer wants. (From TOML the trainers convert nothing.)"""

from __future__ import annotations

from typing import Any

from lr_grid.training.tables import Option

_SCALAR_LISTS = ("text_encoder_lr",)
"""Lists that sd-scripts takes as one number, too (train_network.py: "backward compatibility for text_encoder_lr")."""


def wrong_type(option: Option, value: Any) -> str:
    """What is wrong with the type of a TOML value; empty where it is right (the trainers convert nothing)."""
    if option.is_flag:
        if isinstance(value, str):
            return f'wants true or false without quotes: any text counts as true, "{value}" too'
        return "" if isinstance(value, bool) else f"wants true or false, not {value!r}"
    if option.is_list:
        if isinstance(value, list):
            return next((text for item in value if (text := _wrong_scalar(option, item))), "")
        if option.dest in _SCALAR_LISTS and not _wrong_scalar(option, value):
            return ""
        single = f'["{value}"]' if isinstance(value, str) else f"[{value}]"
        kind = "a table" if isinstance(value, dict) else f"one value ({value!r})"
        return f"wants a list, not {kind}" + ("" if isinstance(value, dict) else f": write {single}")
    return _wrong_scalar(option, value)


def _wrong_scalar(option: Option, value: Any) -> str:
    if isinstance(value, (list, dict)):
        return f"wants one value, not {'a list' if isinstance(value, list) else 'a table'}"
    if option.type == "text":
        return "" if isinstance(value, str) else f'wants text, not {_shown(value)}: write "{_shown(value)}"'
    if isinstance(value, str):
        return f'wants a number, not the text "{value}": take the quotes off (the trainer converts nothing from TOML)'
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return f"wants a number, not {_shown(value)}"
    if option.type == "int" and isinstance(value, float):
        return f"wants a whole number, not {value!r}"
    return ""


def _shown(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
