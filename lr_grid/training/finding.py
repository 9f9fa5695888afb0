"""What a reader or a check has to say about a training config: how bad, where, what, and the way out."""

from __future__ import annotations

from dataclasses import dataclass

SEVERITIES = ("error", "warning", "note")
"""An error stops the run or makes it another than the one that was written down; a warning probably does; a note is
what could not be told, or is good to know."""

COMMAND_LINE = "command line"


@dataclass(frozen=True, slots=True)
class Place:
    """Where something was written: a line of a file, or a flag of a command line that is no file."""

    file: str = COMMAND_LINE
    line: int = 0
    """From 1; 0: of the whole file."""
    flag: str = ""
    """As it was written (``--network_args``); empty in a TOML."""

    def __str__(self) -> str:
        if self.file == COMMAND_LINE:
            return f"{self.file} {self.flag}".rstrip()
        return f"{self.file}:{self.line}" if self.line else self.file

    @property
    def order(self) -> tuple[bool, str, int, str]:
        """Sorts by file and line, the command line last."""
        return self.file == COMMAND_LINE, self.file, self.line, self.flag


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong, or that could not be told."""

    severity: str
    place: Place
    message: str
    cure: str = ""
    stops: bool = True
    """Of an error: whether the run stops at it, or trains another thing than its plan says; else what was meant is
    probably another thing than what is written."""

    def __post_init__(self) -> None:
        assert self.severity in SEVERITIES

    def __str__(self) -> str:
        return f"{self.place}  {self.severity}  {self.text}"

    @property
    def text(self) -> str:
        """Message and cure, as one sentence after the other."""
        end = "" if self.message.endswith((".", "?")) else "."
        return f"{self.message}{end} {self.cure}" if self.cure else self.message
