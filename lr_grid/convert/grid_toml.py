"""lr-grid's own grid file: TOML with the keys of --network_args (a JSON file with them is read, too)."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from lr_grid.blocks import parse_block_values
from lr_grid.convert.arguments import MODULE_KEYS, as_text, note_components, settings_of
from lr_grid.convert.base import Arguments, Format, Job
from lr_grid.convert.texts import is_json, number_text, read_json, read_toml
from lr_grid.errors import GridError, Problems, did_you_mean
from lr_grid.keys import HINTS, is_grid_key, split_section
from lr_grid.module_rules import parse_module_rules
from lr_grid.values import NUMBER, Rate, flag, is_list, rate

BLOCK_KEYS = ("block_lr_weight", "block_lr", "block_dims", "block_alphas", "conv_block_dims", "conv_block_alphas")
_WIDTH = 100
COMMENTS = {
    "per_layer_lr": "what is not given takes the published defaults",
    "default_lr": "components without an LR of their own",
    "depth_strategy": "the curve over the blocks of a stack",
    "min_depth_factor": "its lowest value",
    "peak_position": "where it peaks, 0..1",
    "component_lr": 'LR of each component: absolute, or a multiple of the trainer\'s ("1.5x"); 0 freezes',
    "block_lr_weight": "multiplies whatever stands in a block; later entries win",
    "block_lr": "takes the place of component LR and depth in a block",
    "module_lr": "regex = LR; first match wins, and is final",
    "log_grad_norms": "record gradient, weight and update norms (lr-grid norms shows them)",
    "loraplus_lr_ratio": "LR of lora_up over LR of lora_down",
}


def read(text: str, job: Job) -> Arguments:
    """The settings of a grid file."""
    data = read_json(text) if is_json(text) else read_toml(text)
    if not data:
        raise GridError(["toml: the file holds nothing"])
    problems = Problems()
    for key in data:
        if not is_grid_key(key) or key == "grid":
            problems.add(f"toml: {key!r} is no setting of a grid.{did_you_mean(key, HINTS)}")
    problems.raise_if_any()
    settings_of(data)
    return data


def write(arguments: Arguments, job: Job) -> str:
    """A grid file: plain settings first, then tables; comments say what each is."""
    settings_of(arguments)
    values: dict[str, Any] = {}
    for key, value in arguments.items():
        if not is_grid_key(key):
            job.losses.lose(
                f"{key}={as_text(value)}: a grid file holds settings of the grid only: keep it in --network_args"
            )
            continue
        values[key] = _typed(key, value)
    if not values:
        raise GridError([f"toml: nothing of {', '.join(arguments)} is a setting of the grid"])
    note_components(values, job)
    lines = ["# A grid for lr-grid: --network_args grid=/path/to/this.toml"]
    plain = {key: value for key, value in values.items() if not isinstance(value, dict)}
    for key, value in plain.items():
        lines.append(_commented(f"{key} = {_value(value)}", key))
    for key, value in values.items():
        if isinstance(value, dict):
            lines += ["", _commented(f"[{key}]", key)]
            lines += [f"{_key(name)} = {_value(item)}" for name, item in value.items()]
    return "\n".join(lines) + "\n"


def _commented(line: str, key: str) -> str:
    comment = COMMENTS.get(split_section(key)[1])
    return f"{line}  # {comment}" if comment and "\n" not in line else line


def _typed(key: str, value: Any) -> Any:
    """A value as TOML has it: a table where the text is a list of pairs, a number where it is one."""
    name = split_section(key)[1]
    if isinstance(value, Mapping):
        return {str(item): _number(part) for item, part in value.items()}
    if name in ("per_layer_lr", "log_grad_norms"):
        return flag(value)
    if name in BLOCK_KEYS:
        return _blocks(value)
    if name in MODULE_KEYS:
        rules = [(rule.pattern.pattern, str(rule.value)) for rule in parse_module_rules(value, _exact)]
        return {p: _number(v) for p, v in rules} if len({p for p, _ in rules}) == len(rules) else as_text(value)
    if name == "component_lr":
        pairs = [item.rpartition(":") for item in str(value).split(",") if item.strip()]
        return {component.strip(): _number(lr) for component, _, lr in pairs}
    if is_list(value):
        return as_text(value)
    return _number(value)


class _Exact(str):
    """A value as it was written (a Rate's own text is rounded)."""


def _exact(value: object) -> _Exact:
    rate(value)
    return _Exact(as_text(value))


def _blocks(value: Any) -> Any:
    parsed = parse_block_values(value, _exact)
    if parsed.positional is not None:
        return [_number(item) for item in parsed.positional]
    pairs = [(entry.text.rpartition(":")[0].strip(), entry.value) for entry in parsed.entries]
    # A name given twice would be lost in a table.
    return {k: _number(v) for k, v in pairs} if len({k for k, _ in pairs}) == len(pairs) else as_text(value)


def _number(value: Any) -> Any:
    """Text that is a number as that number; everything else as it is."""
    if isinstance(value, Rate):
        value = f"{number_text(value.value)}{'x' if value.relative else ''}"
    if not isinstance(value, str):
        return value
    text = value.strip()
    if re.fullmatch(r"[+-]?\d+", text):
        return int(text)
    return float(text) if re.fullmatch(NUMBER, text) else text


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _text(name)


def _text(value: str) -> str:
    """A TOML string: in single quotes where that saves backslashes."""
    if "\\" in value and "'" not in value and value.isprintable():
        return f"'{value}'"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return number_text(value)
    if isinstance(value, list):
        items = [_value(item) for item in value]
        line = f"[{', '.join(items)}]"
        if len(line) <= _WIDTH:
            return line
        rows = [", ".join(items[i : i + 5]) for i in range(0, len(items), 5)]
        return "[\n" + "".join(f"    {row},\n" for row in rows) + "]"
    return _text(str(value))


FORMAT = Format(
    name="toml",
    title="lr-grid's grid file",
    holds="everything of the grid",
    example='depth_strategy = "linear"',
    read=read,
    write=write,
)
