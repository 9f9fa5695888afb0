"""Block syntax: which blocks of which stack a setting speaks of. Text in, (stack, block) -> value out.

double_0-6:0.3,single:0.8,single_7:0     a stack, a block or a range, with a value; later entries win
double_block_0:0.3, double_blocks_0:0.3  other tools' spellings of double_0
0-3:0.5                                  no stack: allowed where the model has one only
1,1,0.5, ...                             positional: one value a block, stack after stack
0-3,7   all   none                       an index list (no values)
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

from lr_grid.errors import did_you_mean
from lr_grid.values import is_list

T = TypeVar("T")
Block = tuple[str, int]
Hint = Callable[[str | None, int], str]
"""Of blocks that are not there (the stack, None for a list over all stacks; how many it would have to have): words that
end the message."""

_RANGE = re.compile(r"(\d+)(?:\s*-\s*(\d+))?")


@dataclass(frozen=True)
class Entry(Generic[T]):
    """``double_0-6:0.3`` taken apart. ``stack`` None: the model's only stack; ``first`` None: every block of it."""

    text: str
    stack: str | None
    first: int | None
    last: int | None
    value: T


@dataclass(frozen=True)
class Resolved(Generic[T]):
    """A block setting held against the stacks of a model."""

    values: dict[Block, T]
    """The value of each block that has one."""
    reach: dict[Entry[T], list[Block]]
    """The blocks each entry sets in the end, later entries taken off (none for a positional list)."""
    problems: list[str]


def _no_hint(stack: str | None, blocks: int) -> str:
    return ""


@dataclass(frozen=True)
class BlockValues(Generic[T]):
    """A parsed block setting, not yet held against a model."""

    entries: tuple[Entry[T], ...] = ()
    positional: tuple[T, ...] | None = None

    def resolve(self, stacks: Mapping[str, int], model: str, hint: Hint = _no_hint) -> Resolved[T]:
        """Holds the setting against the model's stacks (name -> number of blocks)."""
        if self.positional is not None:
            return self._resolve_positional(self.positional, stacks, model, hint)
        winner: dict[Block, Entry[T]] = {}
        reach: dict[Entry[T], list[Block]] = {}
        problems: list[str] = []
        for entry in self.entries:
            problem, blocks = _blocks_of(entry, stacks, model, hint)
            if problem:
                problems.append(problem)
                continue
            reach[entry] = []
            winner.update(dict.fromkeys(blocks, entry))
        for block, entry in winner.items():
            reach[entry].append(block)
        return Resolved({block: entry.value for block, entry in winner.items()}, reach, problems)

    @staticmethod
    def _resolve_positional(values: tuple[T, ...], stacks: Mapping[str, int], model: str, hint: Hint) -> Resolved[T]:
        order = [(stack, i) for stack, n in stacks.items() for i in range(n)]
        if len(values) != len(order):
            layout = ", then ".join(f"{n} in {stack}" for stack, n in stacks.items())
            whose = hint(None, len(values))
            return Resolved({}, {}, [f"{len(values)} values, but {model} has {len(order)} blocks ({layout}){whose}"])
        return Resolved(dict(zip(order, values, strict=True)), {}, [])


def _blocks_of(entry: Entry[T], stacks: Mapping[str, int], model: str, hint: Hint) -> tuple[str, list[Block]]:
    """(problem or "", the blocks an entry names)."""
    stack = entry.stack
    if stack is None:
        if len(stacks) != 1:
            example = f": write e.g. {next(iter(stacks))}_{entry.text}" if stacks else ""
            return f"{entry.text!r} names no stack, and {model} has {describe(stacks)}{example}", []
        stack = next(iter(stacks))
    if stack not in stacks:
        return (
            f"{entry.text!r}: {model} has no stack {stack!r}.{did_you_mean(stack, stacks)} It has {describe(stacks)}",
            [],
        )
    size = stacks[stack]
    if entry.first is None or entry.last is None:
        return "", [(stack, i) for i in range(size)]
    if entry.last >= size:
        whose = hint(stack, entry.last + 1)
        return f"{entry.text!r}: block {entry.last} is out of range, {model} has {stack} 0-{size - 1}{whose}", []
    return "", [(stack, i) for i in range(entry.first, entry.last + 1)]


def describe(stacks: Mapping[str, int]) -> str:
    """``double 0-18, single 0-37``."""
    return ", ".join(f"{stack} 0-{n - 1}" for stack, n in stacks.items()) or "no stack of blocks"


def _split_key(text: str) -> tuple[str | None, int | None, int | None]:
    """``double_0-6`` -> ("double", 0, 6); ``single`` -> ("single", None, None); ``7`` -> (None, 7, 7)."""
    key = text.strip()
    match = re.fullmatch(r"(?:(.*?)(?:_blocks?)?_)?(\d+)(?:-(\d+))?", key)
    if match and (match[1] is None or re.fullmatch(r"[A-Za-z]\w*", match[1])):
        first = int(match[2])
        last = int(match[3]) if match[3] else first
        if last < first:
            raise ValueError(f"{text!r}: the range runs backwards")
        return match[1], first, last
    if re.fullmatch(r"[A-Za-z]\w*", key):
        return re.sub(r"_blocks?$", "", key), None, None
    raise ValueError(f"{text!r} is no block: write a stack, a block or a range (double, double_3, double_0-6)")


def parse_block_values(
    value: object, parse: Callable[[object], T], example: str = "double_0-6:0.3,single:0.8"
) -> BlockValues[T]:
    """Parses a block setting from text, a table (file) or a list (file). ``example`` is shown in messages.

    Raises: ValueError, naming the entry.
    """
    if isinstance(value, Mapping):
        pairs = [(str(k), v) for k, v in value.items()]
    elif is_list(value):
        value = list(value)
        if any(isinstance(v, str) and ":" in v for v in value):
            return parse_block_values(",".join(str(v) for v in value), parse, example)
        return BlockValues(positional=tuple(parse(v) for v in value))
    else:
        items = [item.strip() for item in str(value).split(",") if item.strip()]
        if not items:
            raise ValueError("is empty")
        if not any(":" in item for item in items):
            try:
                return BlockValues(positional=tuple(parse(item) for item in items))
            except ValueError as error:
                raise ValueError(f"{error}. Write block:value pairs ({example}), or one number a block") from None
        pairs = []
        for item in items:
            key, colon, text = item.rpartition(":")
            if not colon:
                raise ValueError(f"{item!r} has no value: write {item}:value (e.g. {example})")
            pairs.append((key, text))
    entries = []
    for key, raw in pairs:
        stack, first, last = _split_key(key)
        try:
            entries.append(Entry(f"{key}:{raw}", stack, first, last, parse(raw)))
        except ValueError as error:
            raise ValueError(f"{key}: {error}") from None
    if not entries:
        raise ValueError("is empty")
    return BlockValues(tuple(entries))


class Indices(NamedTuple):
    """An index list: ``0-3,7``, ``all`` or ``none``. ``ranges`` None means all."""

    ranges: tuple[tuple[int, int], ...] | None

    @property
    def least_size(self) -> int:
        """How many blocks the stack has to have."""
        return 1 + max((last for _, last in self.ranges or ()), default=-1)

    def resolve(self, size: int) -> tuple[set[int], list[str]]:
        """(the chosen blocks of a stack of ``size`` blocks, problems)."""
        if self.ranges is None:
            return set(range(size)), []
        problems = [f"block {last} is out of range 0-{size - 1}" for _, last in self.ranges if last >= size]
        return {i for first, last in self.ranges for i in range(first, min(last, size - 1) + 1)}, problems


def parse_indices(value: object) -> Indices:
    """Parses ``0-3,7``, ``all``, ``none`` or a list of whole numbers.

    Raises: ValueError, naming the entry.
    """
    text = ",".join(map(str, value)) if is_list(value) else str(value)
    text = text.strip().lower()
    if text == "all":
        return Indices(None)
    if text in ("none", ""):
        return Indices(())
    ranges = []
    for item in text.split(","):
        match = _RANGE.fullmatch(item.strip())
        if not match:
            raise ValueError(f"{item.strip()!r} is neither a block nor a range: write 0-3,7 or all or none")
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first:
            raise ValueError(f"{item.strip()!r}: the range runs backwards")
        ranges.append((first, last))
    return Indices(tuple(ranges))


def compact(blocks: Sequence[int]) -> str:
    """``[0, 1, 2, 5]`` -> ``0-2,5``."""
    parts: list[list[int]] = []
    for i in sorted(blocks):
        if parts and i == parts[-1][1] + 1:
            parts[-1][1] = i
        else:
            parts.append([i, i])
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in parts)
