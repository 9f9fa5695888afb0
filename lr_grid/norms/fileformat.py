"""The norms file: chunks that are only ever appended, each whole or passed over; a run is one head and its steps.

A chunk is b"LRGN", its kind (``H`` or ``S``), the run's number (4 bytes), the length of its content (4 bytes), the
content, and a CRC-32 of all that. Integers are little-endian. Several runs may stand in one file, also mixed.

- ``H``: JSON. What a run's steps hold, and of what: ``version``, ``cells``, ``quantities``, ``byteorder``, facts.
- ``S``: one step after the other: its number (4 bytes), then bfloat16 numbers (the upper half of a float32), for each
  quantity one of every cell, in the head's order.
"""

from __future__ import annotations

import json
import struct
import sys
import zlib
from array import array
from collections.abc import Iterator
from typing import Any

VERSION = 1
SUFFIX = ".lr_grid.norms"
HEAD, STEPS = b"H", b"S"
_MARK = b"LRGN"
_FRAME = struct.Struct("<4scII")
_STEP = struct.Struct("<I")
_CRC = struct.Struct("<I")
_NUMBER = 2
"""Bytes of a bfloat16."""


def chunk(kind: bytes, run: int, content: bytes) -> bytes:
    """A chunk, ready to be appended."""
    body = _FRAME.pack(_MARK, kind, run, len(content)) + content
    return body + _CRC.pack(zlib.crc32(body))


def head_chunk(run: int, facts: dict[str, Any]) -> bytes:
    """The first chunk of a run. ``facts`` holds at least ``cells`` and ``quantities``."""
    data = {"version": VERSION, "byteorder": sys.byteorder, **facts}
    return chunk(HEAD, run, json.dumps(data, separators=(",", ":")).encode())


def record(step: int, numbers: bytes) -> bytes:
    """One step: its number and the bfloat16 numbers of all cells."""
    return _STEP.pack(step) + numbers


def record_size(cells: int, quantities: int) -> int:
    """Bytes of one step."""
    return _STEP.size + _NUMBER * cells * quantities


def chunks(data: bytes) -> Iterator[tuple[bytes, int, bytes]]:
    """(kind, run, content) of every whole chunk; what is damaged or cut off is passed over."""
    at = data.find(_MARK)
    while at >= 0:
        end = at + _FRAME.size
        if end > len(data):
            return
        _, kind, run, length = _FRAME.unpack_from(data, at)
        stop = end + length + _CRC.size
        if stop <= len(data) and _CRC.unpack_from(data, end + length)[0] == zlib.crc32(data[at : end + length]):
            yield kind, run, data[end : end + length]
            at = data.find(_MARK, stop)
        else:
            at = data.find(_MARK, at + 1)


def whole_bytes(data: bytes) -> int:
    """How many bytes of ``data`` belong to whole chunks."""
    frame = _FRAME.size + _CRC.size
    return sum(frame + len(content) for _, _, content in chunks(data))


def unpack(content: bytes, size: int, byteorder: str) -> tuple[list[int], array[float]]:
    """(step numbers, their numbers one step after the other) of a chunk of steps.

    Args:
        size: of one step, in bytes.
    """
    steps: list[int] = []
    raw = bytearray()
    for begin in range(0, len(content) - size + 1, size):
        steps.append(_STEP.unpack_from(content, begin)[0])
        raw += content[begin + _STEP.size : begin + size]
    wide = bytearray(2 * len(raw))
    first, second = (2, 3) if byteorder == "little" else (0, 1)
    wide[first::4], wide[second::4] = raw[0::2], raw[1::2]
    numbers = array("f", bytes(wide))
    if byteorder != sys.byteorder:
        numbers.byteswap()
    return steps, numbers
