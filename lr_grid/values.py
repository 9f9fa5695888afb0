"""Single values of the settings grammar: LRs, ranks, alphas, numbers. A parser's ValueError says what is allowed."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeGuard

NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
RATE = rf"{NUMBER}[xX]?"
_RATE = re.compile(RATE)
TRUE = ("true", "1", "yes", "on")
"""What people write for true."""


@dataclass(frozen=True)
class Rate:
    """A number as written: absolute (``4e-4``), or a multiple (``1.5x``) of what the setting is about: of a learning
    rate, the trainer's; of an alpha, the module's rank."""

    value: float
    relative: bool = False

    def resolve(self, base: float) -> float:
        """The absolute number, given what a multiple multiplies."""
        return self.value * base if self.relative else self.value

    def __str__(self) -> str:
        return f"{self.value:g}{'x' if self.relative else ''}"


def is_list(value: object) -> TypeGuard[Iterable[Any]]:
    """Whether a value is several (a list, a set, a range, an array) and neither text nor a table."""
    return isinstance(value, Iterable) and not isinstance(value, (str, bytes, Mapping))


def rate(value: object) -> Rate:
    """``4e-4`` -> absolute, ``1.5x`` -> a multiple of the trainer's LR."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return Rate(number(value))
    text = str(value).strip()
    if not _RATE.fullmatch(text):
        raise ValueError(
            f"{text!r} is not a learning rate: give a number (4e-4), or a multiple of the trainer's LR (1.5x)"
        )
    relative = text[-1] in "xX"
    return Rate(number(text[:-1] if relative else text), relative)


def alpha(value: object) -> Rate:
    """``8`` -> absolute, ``0.5x`` -> a multiple of the module's rank, 0 -> the rank (as kohya's modules read it)."""
    try:
        result = rate(value)
    except ValueError:
        result = None
    if result is None or result.value < 0 or (result.relative and result.value == 0):
        raise ValueError(f"{value!r} is no alpha: give a number (8), or a multiple of the module's rank (0.5x)")
    return result if result.value else Rate(1.0, relative=True)


def rank(value: object) -> int:
    """A rank; 0 means no LoRA."""
    try:
        return count(value)
    except ValueError:
        raise ValueError(f"{value!r} is no rank: give a whole number (16), or 0 for no LoRA there") from None


def at_least(smallest: int) -> Callable[[object], int]:
    """A parser of whole numbers from ``smallest`` on."""

    def parse(value: object) -> int:
        result = count(value)
        if result < smallest:
            raise ValueError(f"{value!r} is less than {smallest}")
        return result

    return parse


def number(value: object) -> float:
    """A finite number."""
    if isinstance(value, bool):
        raise ValueError(f"{value!r} is not a number")
    try:
        result = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"{value!r} is not a number") from None
    if not math.isfinite(result):
        raise ValueError(f"{value!r} is not a finite number")
    return result


def fraction(value: object) -> float:
    """A factor from 0 to 1."""
    result = number(value)
    if not 0 <= result <= 1:
        raise ValueError(f"{result:g} is outside 0..1")
    return result


def ratio(value: object) -> float:
    """A LoRA+ ratio: LR of the up side over LR of the down side, above 0."""
    result = number(value)
    if result <= 0:
        raise ValueError(f"{result:g} is not above 0: a LoRA+ ratio is the LR of lora_up over the LR of lora_down")
    return result


def flag(value: object) -> bool:
    """true or false, in the spellings people use."""
    if isinstance(value, bool):
        return value
    word = str(value).strip().lower()
    if word in TRUE:
        return True
    if word in ("false", "0", "no", "off"):
        return False
    raise ValueError(f"{value!r} is neither true nor false")


def count(value: object) -> int:
    """A whole number from 0."""
    result = number(value)
    if result != int(result) or result < 0:
        raise ValueError(f"{value!r} is not a whole number from 0")
    return int(result)
