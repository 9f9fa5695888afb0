"""What lr-grid says when the input is wrong: every problem at once, each with its offender and a way out."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence


class GridError(ValueError):
    """Settings that cannot be obeyed. ``str(error)`` is the whole message, one numbered line a problem."""

    def __init__(self, problems: Iterable[str]):
        self.problems = list(problems)
        if len(self.problems) == 1:
            text = self.problems[0]
        else:
            lines = [f"  {i}. {p}" for i, p in enumerate(self.problems, 1)]
            text = "\n".join([f"{len(self.problems)} problems in the settings:", *lines])
        super().__init__(text)


class Problems:
    """Collects problems, so that all of them are told together."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def add(self, text: str) -> None:
        """Notes one problem; the same text twice is noted once."""
        if text not in self.found:
            self.found.append(text)

    def add_all(self, texts: Iterable[str]) -> None:
        """Notes several problems."""
        for text in texts:
            self.add(text)

    def about(self, key: str) -> bool:
        """Whether a problem was noted about a key (a problem's text begins with its key)."""
        return any(text.startswith(f"{key}:") for text in self.found)

    def raise_if_any(self) -> None:
        """Raises GridError when at least one problem was noted."""
        if self.found:
            raise GridError(self.found)


def tell_shared(found: Sequence[Mapping[str, str]], shared: str, problems: Problems) -> None:
    """Notes what several places found wrong: all of it, but of a setting that speaks of all of the places (its key
    begins with ``shared``) only what is wrong in each of them.

    Args:
        found: for each place, subject (beginning with the key of a setting) -> text.
    """
    for place in found:
        for subject, text in place.items():
            if not subject.startswith(shared) or all(subject in other for other in found):
                problems.add(text)


def did_you_mean(word: str, allowed: Iterable[str]) -> str:
    """`` Did you mean x?`` with a leading space, or an empty string when nothing is near."""
    near = difflib.get_close_matches(word.lower(), list(allowed), n=1, cutoff=0.75)
    return f" Did you mean {near[0]}?" if near else ""


def listed(names: Iterable[str], most: int = 12) -> str:
    """``a, b, c``; long lists are cut and say how many there are."""
    names = list(names)
    if len(names) <= most:
        return ", ".join(names) or "none"
    return ", ".join(names[:most]) + f", ... ({len(names)} in all)"
