"""What a conversion could not carry, and what is said of what it did carry."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass
class Losses:
    """Lines for people. It is true, and has a length, by what was lost; notes alone are no loss."""

    lost: list[str] = field(default_factory=list)
    """What the other side says and this one cannot, one line each, with a cure where there is one."""
    notes: list[str] = field(default_factory=list)
    """What was carried and means something else there, or has to be known."""

    def lose(self, text: str) -> None:
        """Notes one loss; the same text twice is noted once."""
        if text not in self.lost:
            self.lost.append(text)

    def note(self, text: str) -> None:
        """Notes one remark; the same text twice is noted once."""
        if text not in self.notes:
            self.notes.append(text)

    def add(self, other: Losses) -> None:
        """Takes over the lines of another."""
        for text in other.lost:
            self.lose(text)
        for text in other.notes:
            self.note(text)

    def __iter__(self) -> Iterator[str]:
        return iter(self.lost)

    def __len__(self) -> int:
        return len(self.lost)
