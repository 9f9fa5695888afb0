"""The body of a request: JSON, an object, of a length that was announced."""

from __future__ import annotations

import json
import math
import re
from email.message import Message
from typing import Any

from lr_grid.ui.answer import RequestError

MOST = 1 << 20
"""Bytes of a body, where its address says nothing else."""
_DEEPEST = 100


def length_of(headers: Message, most: int = MOST) -> int:
    """The length of the body that a POST announces.

    Args:
        most: bytes that are read.

    Raises: RequestError for one that is not announced plainly, or is too long.
    """
    if headers.get("Transfer-Encoding") is not None:
        raise RequestError(411, "give the body's length (Content-Length): chunks are not read")
    lengths = headers.get_all("Content-Length") or []
    if not lengths:
        raise RequestError(411, "the body's length (Content-Length) is missing")
    text = lengths[0].strip()
    if len(lengths) > 1 or not re.fullmatch(r"[0-9]{1,15}", text):
        raise RequestError(400, "Content-Length is no number")
    if int(text) > most:
        raise RequestError(413, f"the body holds {int(text):,} bytes, {most:,} at most are read")
    return int(text)


def check_type(headers: Message) -> None:
    """Raises: RequestError for a body that is not JSON by its header (a form of another site never is)."""
    given = headers.get_content_type() if headers.get("Content-Type") else "nothing"
    if given != "application/json":
        raise RequestError(415, f"a body is application/json, not {given:.60}")
    if (headers.get_content_charset() or "utf-8") not in ("utf-8", "utf8", "us-ascii"):
        raise RequestError(415, "a body is UTF-8")


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no number in JSON")


def _number(text: str) -> float:
    if (number := float(text)) in (math.inf, -math.inf):
        raise ValueError(f"{text:.40} is too large for a number")
    return number


def read_object(body: bytes) -> dict[str, Any]:
    """The object of a body.

    Raises: RequestError where it is none.
    """
    try:
        data = json.loads(body.decode("utf-8"), parse_constant=_no_constant, parse_float=_number)
        if b"\\u" in body:
            json.dumps(data, ensure_ascii=False).encode()  # half a surrogate pair is no text
    except (ValueError, RecursionError) as error:
        what = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise RequestError(400, f"the body is not valid JSON: {what:.200}") from None
    if not isinstance(data, dict):
        raise RequestError(400, f"the body holds a {type(data).__name__}, not an object")
    if _depth(data) > _DEEPEST:
        raise RequestError(400, "the body is not valid JSON: nested too deeply")
    return data


def _depth(data: Any) -> int:
    """How deeply lists and objects are nested, without recursion."""
    depth, level = 0, [data]
    while level and depth <= _DEEPEST:
        depth += 1
        level = [
            inner
            for value in level
            if isinstance(value, (dict, list))
            for inner in (value.values() if isinstance(value, dict) else value)
        ]
    return depth
