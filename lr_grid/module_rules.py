"""Rules that speak of modules by regex: ``regex:value,regex:value``, first match wins."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from lr_grid.values import RATE, is_list

T = TypeVar("T")


@dataclass(frozen=True)
class ModuleRule(Generic[T]):
    """``regex:value`` of module_lr, module_dims, module_alphas (or of upstream's network_reg_lrs)."""

    pattern: re.Pattern[str]
    value: T
    whole: bool = False
    """True: it must match the whole dotted path. False: it is searched in the path or the LoRA name."""

    def matches(self, path: str, name: str) -> bool:
        """Whether it is found in a module's dotted path or its LoRA name."""
        return bool(self.pattern.search(path) or self.pattern.search(name))


def parse_module_rules(
    value: object,
    parse: Callable[[object], T],
    example: str = "double_blocks\\.0\\.:1e-4,img_mlp:0.5x",
    what: str = "LR",
) -> tuple[ModuleRule[T], ...]:
    """``regex:1e-4,regex:0.5x``, or a table / list of such (file). A regex may hold commas and colons.

    Args:
        parse: parses one value (a number, perhaps with an x behind it).
        example, what: how such a setting looks, and what its values are, for messages.

    Raises: ValueError, naming the regex.
    """
    pairs = list(value.items()) if isinstance(value, Mapping) else list(_split(value, example, what))
    if not pairs:
        raise ValueError(f"is empty; write regex:{what}")
    rules = []
    for pattern, raw in pairs:
        try:
            compiled = re.compile(str(pattern))
        except (re.error, OverflowError) as error:
            raise ValueError(f"the regex {pattern!r} does not compile: {error}") from None
        try:
            rules.append(ModuleRule(compiled, parse(raw)))
        except ValueError as error:
            raise ValueError(f"{pattern}: {error}") from None
    return tuple(rules)


def _split(value: object, example: str, what: str) -> Iterable[tuple[str, str]]:
    rest = ",".join(map(str, value)) if is_list(value) else str(value).strip()
    while rest:
        match = re.match(rf"(.+?):\s*({RATE})\s*(?:,|$)", rest)
        if not match:
            raise ValueError(f"{rest!r} is not regex:{what} (e.g. {example})")
        yield match[1].strip(), match[2]
        rest = rest[match.end() :].strip()


def first_match(rules: Iterable[ModuleRule[T]], path: str, name: str) -> ModuleRule[T] | None:
    """The rule that wins at a module."""
    return next((rule for rule in rules if rule.matches(path, name)), None)
