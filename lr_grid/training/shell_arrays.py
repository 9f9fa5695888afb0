"""Arrays of bash and PowerShell, in which scripts collect the words of a command.

bash: ``ARGS=(--seed 1)``, ``ARGS+=(--v2)``, ``"${ARGS[@]}"``. PowerShell: ``$a = @("--seed", "1")``,
``[System.Collections.ArrayList]::new()``, ``$a.Add("--v2")``, ``@a`` and ``$a``. What is added under a condition may be
there or not.
"""

from __future__ import annotations

import re

from lr_grid.training.shell_words import BASH, POWERSHELL, Shell, Word

_BASH_BEGIN = re.compile(r"(\w+)(\+?)=\(")
_BASH_USE = re.compile(r"(\"?)\$\{(\w+)\[[@*]\]\}\1(?=[\s;|&)]|$)")
_BASH_BEFORE = {"then", "do", "else", "{", "declare", "-a", "local", "export", "readonly", "typeset"}
_PS_BEGIN = re.compile(r"\$(\w+)\s*(\+?)=\s*@\(")
_PS_NEW = re.compile(r"\$(\w+)\s*=\s*(?:\[[\w.]+(?:\[\w+\])?\]::new\(\)|New-Object\s+[\w.]*ArrayList\b)", re.IGNORECASE)
_PS_ADD = re.compile(r"(?:\[void\]\s*)?\$(\w+)\.Add\(", re.IGNORECASE)
_PS_USE = re.compile(r"[@$](\w+)(?=[\s;|&)]|$)")


class Arrays:
    """The arrays that a script has filled so far."""

    def __init__(self, shell: Shell) -> None:
        self.shell = shell
        self.items: dict[str, list[Word]] = {}
        self.name = ""
        """Of the array whose items are being read."""
        self.adds = False
        self.depth = 0
        """How many conditions and loops stand around the place."""
        self.braces = 0

    @property
    def is_open(self) -> bool:
        """Whether the items of one are being read."""
        return bool(self.name)

    def begin(self, text: str, at: int, before: list[str]) -> int:
        """The length of what begins an array, or makes an empty one, at a place; 0 where nothing does.

        Args:
            before: the words of the command so far.
        """
        self.braces = before.count("{") - before.count("}")
        if self.shell is BASH:
            return self._open(_BASH_BEGIN.match(text, at)) if set(before) <= _BASH_BEFORE else 0
        if self.shell is not POWERSHELL:
            return 0
        if not before or before[-1] == "{":
            empty = _PS_NEW.match(text, at)
            if empty:
                self.items[empty[1].lower()] = []
                return len(empty[0])
            length = self._open(_PS_BEGIN.match(text, at))
            if length:
                return length
        added = _PS_ADD.match(text, at)
        if added is None or added[1].lower() not in self.items:
            return 0
        self.name, self.adds = added[1].lower(), True
        return len(added[0])

    def _open(self, match: re.Match[str] | None) -> int:
        if match is None:
            return 0
        self.name, self.adds = match[1], bool(match[2])
        if self.shell is POWERSHELL:
            self.name = self.name.lower()
        return len(match[0])

    def close(self, words: list[Word]) -> None:
        """Takes the items that were read."""
        name, self.name = self.name, ""
        kept = self.items.get(name, []) if self.adds else []
        if self.depth + self.braces > 0:
            line = words[0].line if words else 0
            kept = [*self.items.get(name, []), Word(self._shown(name), line, resolved=False)]
            words = []
        self.items[name] = [*kept, *words]

    def _shown(self, name: str) -> str:
        return f"${{{name}[@]}}" if self.shell is BASH else f"${name}"

    def use(self, text: str, at: int) -> tuple[list[Word], int] | None:
        """(the items of the array that stands at a place, the length of its name there); None for no array."""
        match = _BASH_USE.match(text, at) if self.shell is BASH else None
        match = _PS_USE.match(text, at) if self.shell is POWERSHELL else match
        name = (match[2] if self.shell is BASH else match[1].lower()) if match else ""
        if match is None or name not in self.items:
            return None
        return self.items[name], len(match[0])

    def pass_by(self, words: list[str]) -> None:
        """Counts the conditions and loops that a command begins and ends."""
        if self.shell is BASH:
            self.depth += words[0] in ("if", "for", "while", "until", "case")
            self.depth -= words[0] in ("fi", "done", "esac")
        elif self.shell is POWERSHELL:
            self.depth += sum(word.count("{") - word.count("}") for word in words if set(word) <= set("{}()"))
        self.depth = max(self.depth, 0)
