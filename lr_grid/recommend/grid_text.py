"""The text of a grid file with other LRs in it: its comments, its order and everything else stay."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lr_grid.gridfile import PUBLISHED_BLOCK
from lr_grid.recommend.toml_spans import top_end, values
from lr_grid.settings import PUBLISHED_DEFAULTS
from lr_grid.values import NUMBER, flag
from lr_grid.words import COMPONENTS

OUR_COMMENT = "lr-grid recommend:"
"""What the comment behind a recommended default_lr begins with."""
_OUR_COMMENT = re.compile(rf"#\s*{OUR_COMMENT}[^\r\n]*")
_COMPONENT_KEYS = tuple(f"{component}_lr" for component in COMPONENTS)
KEYS = frozenset((*_COMPONENT_KEYS, "component_lr", "default_lr", "block_lr", "module_lr"))
"""Whose values are LRs of the U-Net or DiT."""
# An LR in a value: what stands before it, and no key behind it ("7" = ...). module_lr's regexes may hold numbers
# between brackets and commas: there an LR stands behind a colon, or is the whole value.
_END = r"(?=\s*(?:[\"',\]}]|$))(?![\"']?\s*=)"
_WHOLE = rf"(?P<quote>[\"'])(?P<whole>{NUMBER})[xX](?P=quote)(?!\s*=)"
_BARE = rf"(?P<number>{NUMBER})(?P<x>[xX]?){_END}"
_RATE = re.compile(rf"(?P<before>^|[\"':,\[{{=\s])(?:{_WHOLE}|{_BARE})")
_MODULE_RATE = re.compile(rf"(?P<before>^[\"']?|[:=]\s*[\"']?)(?:{_WHOLE}|{_BARE})")


def text_of(lr: float) -> str:
    """A TOML float of six digits."""
    text = f"{lr:.6g}"
    return text if re.search(r"[.e]", text) else f"{text}.0"


@dataclass
class Rewritten:
    """The new text, and one line for each key: changed, or an absolute LR that follows no base and stays."""

    text: str
    changes: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)


def rewrite(text: str, lr: float, scale: float | None, comment: str) -> Rewritten:
    """The text with every LR that follows the base replaced.

    Args:
        lr: what 1x becomes (absolute).
        scale: what absolute LRs are multiplied with; None: they stay.
        comment: where the LR comes from; takes the place of the one that an earlier recommendation left.
    """
    absolute = False

    def replaced(match: re.Match[str]) -> str:
        nonlocal absolute
        if match["whole"]:
            return match["before"] + text_of(float(match["whole"]) * lr)
        number = float(match["number"])
        if match["x"]:
            return match["before"] + text_of(number * lr)
        absolute = absolute or number != 0
        return match["before"] + text_of(number * scale) if scale and number else match[0]

    result, done, notes = [], 0, Rewritten("")
    for value in values(text):
        name = value.section or value.key
        if name not in KEYS:
            continue
        pattern = _MODULE_RATE if name == "module_lr" else _RATE
        old = [text[start:end] for start, end in value.code]
        absolute = False
        new = [pattern.sub(replaced, piece) for piece in old]
        renewed = name == "default_lr" and (absolute or new != old)  # no base of 0
        remarks = ""
        for (start, end), piece in zip(value.code, new, strict=True):
            between = text[done:start]
            remark = _OUR_COMMENT.sub(f"# {comment}", between) if renewed and start > value.code[0][0] else between
            remarks += f"  {remark.strip()}" if remark != between else ""
            result += [remark, piece]
            done = end
        key = f"{value.section}.{value.key}" if value.section else value.key
        written = f"{key} = {' '.join(''.join(new).split())}"
        if new != old or remarks:
            notes.changes.append(written if new != old else written + remarks)
        if absolute and not scale:
            notes.kept.append(written)
    notes.text = "".join(result) + text[done:]
    return notes


def published_only(table: Mapping[str, Any]) -> list[str]:
    """Component LRs that per_layer_lr=true fills with its published defaults, as the file does not give them."""
    if not flag(table.get(PUBLISHED_BLOCK, False)) or "component_lr" in table:
        return []
    return [key for key in _COMPONENT_KEYS if key in PUBLISHED_DEFAULTS and key not in table]


def insert(text: str, lines: list[str]) -> str:
    """Adds lines below the last key of the top."""
    if not lines:
        return text
    end = top_end(text)
    newline = "\r\n" if "\r\n" in text else "\n"
    head = text[:end].rstrip()
    return head + newline * bool(head) + newline.join(lines) + (text[len(head) : end] or newline) + text[end:]
