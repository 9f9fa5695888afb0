"""What a request is answered with, and the error that ends one."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

JSON = "application/json; charset=utf-8"


@dataclass(frozen=True)
class Answer:
    """Status, headers, body."""

    body: bytes
    type: str = JSON
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


class RequestError(Exception):
    """A request that is refused, with its status and a sentence for people."""

    def __init__(self, status: int, sentence: str, headers: Mapping[str, str] | None = None):
        self.status, self.headers = status, dict(headers or {})
        super().__init__(sentence)

    def answer(self) -> Answer:
        """As an answer: ``{"error": ...}``."""
        return Answer(as_json({"error": str(self)}), status=self.status, headers=self.headers)


def problems_json(
    problems: Iterable[str], line_of: Callable[[str], int | None] = lambda problem: None
) -> dict[str, Any]:
    """What is wrong in a question that was understood.

    Args:
        line_of: the line that a problem is about, where it can be told.
    """
    return {"problems": [{"text": problem, "line": line_of(problem)} for problem in problems]}


def as_json(data: Any) -> bytes:
    """A document as UTF-8, without NaN and infinity (None in their place: JSON has neither)."""
    try:
        return json.dumps(data, separators=(",", ":"), allow_nan=False).encode()
    except ValueError:
        return json.dumps(_finite(data), separators=(",", ":"), allow_nan=False).encode()


def _finite(data: Any) -> Any:
    if isinstance(data, float):
        return data if data - data == 0 else None
    if isinstance(data, Mapping):
        return {key: _finite(value) for key, value in data.items()}
    return [_finite(value) for value in data] if isinstance(data, (list, tuple)) else data
