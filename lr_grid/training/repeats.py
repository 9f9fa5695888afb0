"""What one argument loses to another: flags that are given twice, lists that the command line replaces."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from lr_grid.training.config import Given
from lr_grid.training.finding import Finding
from lr_grid.training.tables import Option


def _shown(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def _joined(before: list[Any], after: list[Any]) -> list[Any]:
    """Both lists in one; of key=value pairs with the same key only the later one."""
    keys = {key for key, equals, _ in (str(item).partition("=") for item in after) if equals}
    return [item for item in before if str(item).partition("=")[0] not in keys] + after


def tell_repeats(given: Sequence[Given], findings: list[Finding], table: Mapping[str, Option]) -> None:
    """Notes flags of one command line that are given more than once: argparse keeps the last."""
    last: dict[str, Given] = {}
    whole: dict[str, list[Any]] = {}
    for one in given:
        before = last.get(one.dest) if one.known else None
        last[one.dest] = one
        if isinstance(one.value, list):
            whole[one.dest] = _joined(whole.get(one.dest, []), one.value)
        if before is None or not one.known:
            continue
        flag = one.place.flag or f"--{one.dest}"
        if before.value == one.value:
            findings.append(Finding("note", one.place, f"{flag} is given twice, with the same value"))
        elif table[one.dest].is_list:
            message = f"{flag} is given twice: only the last counts, {_shown(before.value)} is dropped"
            together = " ".join(shlex.quote(str(value)) for value in whole[one.dest])
            findings.append(Finding("error", one.place, message, f"Put all values behind one: {flag} {together}"))
        else:
            message = f"{flag} is given twice: {_shown(one.value)} counts, {_shown(before.value)} is dropped"
            findings.append(Finding("warning", one.place, message))


def tell_overruled(below: Sequence[Given], above: Sequence[Given], findings: list[Finding]) -> None:
    """Notes lists of a --config_file that the command line replaces as a whole: people expect them to be added."""
    lists = {one.dest: one for one in below if one.known and isinstance(one.value, list) and one.value}
    for one in {one.dest: one for one in above if one.known}.values():
        lost = lists.get(one.dest)
        if lost is not None and lost.value != one.value and isinstance(one.value, list):
            missing = [item for item in lost.value if item not in one.value]
            if missing:
                message = f"{one.place.flag} replaces the whole list of {lost.place}: {_shown(missing)} is dropped"
                findings.append(Finding("warning", one.place, message, "Repeat here what shall stay"))
