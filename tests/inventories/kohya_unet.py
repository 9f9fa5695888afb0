"""Where kohya counts a module of a U-Net in diffusers' names, worked out from the name alone.

SDXL goes by way of the original repository's names, as kohya's converter has them (down_blocks.i.resnets.j ->
input_blocks.(3i+j+1), ...); SD counts resnets and downsamplers on the way down, the mid block, resnets on the way up.
"""

from __future__ import annotations

import re


def sdxl_position(path: str) -> int:
    """0-22; every module of SDXL's U-Net has a position."""
    way, kind, i, j = _taken_apart(path)
    if way in ("time_embedding", "add_embedding"):  # time_embed, label_emb
        return 0
    if way == "conv_in":  # input_blocks.0
        return 1
    if way == "down_blocks":  # input_blocks
        return 1 + (3 * (i + 1) if kind == "downsamplers" else 3 * i + j + 1)
    if way == "mid_block":  # middle_block
        return 10 + (1 if kind == "attentions" else 2 * i)
    if way == "up_blocks":  # output_blocks
        return 13 + 3 * i + (2 if kind == "upsamplers" else j)
    return 22  # out


def sd_position(path: str) -> int | None:
    """0-24; None for what stands outside (time embedding, conv_out)."""
    way, kind, i, j = _taken_apart(path)
    if way == "conv_in":
        return 0
    if way == "down_blocks":
        return 1 + 3 * i + (2 if kind == "downsamplers" else j)
    if way == "mid_block":
        return 12
    if way == "up_blocks":
        return 13 + 3 * i + (2 if kind == "upsamplers" else j)
    return None


def _taken_apart(path: str) -> tuple[str, str, int, int]:
    """``down_blocks.1.resnets.0.conv1`` -> ("down_blocks", "resnets", 1, 0)."""
    numbers = [int(n) for n in re.findall(r"\.(\d+)(?=\.|$)", path)]
    i, j = [*numbers, 0, 0][:2]
    kind = re.search(r"\b(resnets|attentions|downsamplers|upsamplers)\b", path)
    return path.partition(".")[0], kind[1] if kind else "", i, j
