"""Which format a text is in, where that is beyond doubt."""

from __future__ import annotations

import re

from lr_grid.convert import anima, down_mid_up, lbw
from lr_grid.convert.block_lr import BLOCKS
from lr_grid.convert.network_reg_lrs import KEY
from lr_grid.convert.texts import config_arguments, is_json, looks_like_toml, read_json, read_toml
from lr_grid.errors import GridError
from lr_grid.gridfile import ONETRAINER_BLOCK, PUBLISHED_BLOCK
from lr_grid.keys import is_grid_key
from lr_grid.passed_on import BLOCK_WEIGHTS
from lr_grid.values import NUMBER


def detect(text: str) -> str:
    """The name of a text's format.

    Raises: GridError where it is none of them, or could be several.
    """
    if not text.strip():
        raise GridError(["the input is empty"])
    found = _candidates(text)
    if len(found) == 1:
        return found[0]
    if found:
        raise GridError([f"the input could be {' or '.join(found)}: say which with --from"])
    raise GridError([f"cannot tell what the input is ({text.strip()[:40]!r}): say with --from which format it has"])


def _candidates(text: str) -> list[str]:
    if is_json(text):
        return _of_json(text)
    return (_of_toml(text) if looks_like_toml(text) else []) or _of_line(text)


def _of_json(text: str) -> list[str]:
    data = read_json(text)
    blocks = {PUBLISHED_BLOCK: "serenity", ONETRAINER_BLOCK: "onetrainer"}
    found = [name for key, name in blocks.items() if isinstance(data.get(key), dict)]
    return found or (["toml"] if any(map(is_grid_key, data)) else [])


def _of_toml(text: str) -> list[str]:
    data = read_toml(text)
    arguments = config_arguments(data)
    if arguments is not None:
        return [_of_arguments(arguments, "config")]
    component_lr = data.get("component_lr")
    if isinstance(component_lr, dict):
        theirs = set(component_lr) & {"mlp", "adaln", "llm_adapter", "base", "text_encoder"}
        ours = set(component_lr) & {"ffn", "norm", "mod", "fused", "embed", "other"}
        others = set(data) - {"component_lr"}
        if theirs and not ours:
            return ["anima"]
        if not theirs and not ours and not any(map(is_grid_key, others)):
            return ["toml", "anima"]
        return ["toml"]
    flat = {key for table in (data, *data.values()) if isinstance(table, dict) for key in table}
    if {"mlp_lr", "llm_adapter_lr"} & flat:
        return ["anima"]
    if isinstance(data.get("block_lr"), str) and len(data) > 1 and "pretrained_model_name_or_path" in data:
        return ["block_lr"]
    return ["toml"] if any(map(is_grid_key, data)) else []


def _of_arguments(arguments: dict[str, str], other: str) -> str:
    """What a list of network arguments is: upstream's block weights or regexes alone, or the grid's."""
    if any(map(is_grid_key, arguments)):
        return other
    if any(key in arguments for key in BLOCK_WEIGHTS):
        return down_mid_up.FORMAT.name
    return KEY if KEY in arguments else other


def _of_line(text: str) -> list[str]:
    one = text.strip()
    values = one.rpartition(":")[2].split(",")
    all_numbers = all(re.fullmatch(NUMBER, value.strip()) for value in values)
    if re.search(r"(^|\s)--block_lr\b", one) or (all_numbers and ":" not in one and len(values) == BLOCKS):
        return ["block_lr"]
    if any(re.search(rf"(^|\s)--{flag}\b", one) for flag in anima.FLAGS):
        return ["anima"]
    lines = [line for line in one.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    if lines and all(_is_block_weights(line) for line in lines):
        return ["lbw"]
    keys = dict(re.findall(r"(?:^|\s)['\"]?(\w+)=(\S*)", one))
    if any(key in keys for key in (*BLOCK_WEIGHTS, KEY)) or any(map(is_grid_key, keys)):
        return [_of_arguments(keys, "args")]
    pairs = [pair for pair in one.split(",") if pair.strip()]
    if all(re.fullmatch(rf"[^=]+=\s*{NUMBER}\s*", pair) for pair in pairs):
        return [KEY]
    return []


def _is_block_weights(line: str) -> bool:
    name, colon, text = line.rpartition(":")
    values = [value.strip() for value in text.split(",")]
    known = len(values) in (*lbw.COUNTS, 27) or bool(colon and re.fullmatch(r"[\w .+-]+", name) and len(values) > 9)
    return known and all(re.fullmatch(rf"{NUMBER}|[RUXABruab]\S*", value) for value in values)
