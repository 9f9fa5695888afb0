"""Which line of a text a problem is about."""

from __future__ import annotations

import re


def line_of(problem: str, text: str) -> int | None:
    """The line of a text that a problem is about, from 1; None where that cannot be told, or there is one line only."""
    told = re.search(r"\bline (\d+)", problem)
    if told:
        return int(told[1])
    lines = text.splitlines()
    if len([line for line in lines if line.strip()]) < 2:
        return None
    for quoted in re.findall(r"'([^']+)'", problem)[:1]:
        found = [number for number, line in enumerate(lines, 1) if quoted in line]
        if len(found) == 1:
            return found[0]
    key = re.match(r"(?:--)?(\w+)", problem)
    found = [n for n, line in enumerate(lines, 1) if key and re.search(rf"(?<!\w){re.escape(key[1])}(?!\w)", line)]
    return found[0] if found else None
