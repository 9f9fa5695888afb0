"""A regex for module_lr for every cell of a model: it matches just that cell's modules, by path or by LoRA name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from lr_grid.sites import Site
from lr_grid.words import MAIN_PART

Cell = tuple[str, int, str]
"""(stack, block, component)"""


class Modules:
    """The modules of a network, that a rule by regex is held against."""

    def __init__(self, sites: Sequence[Site]):
        self.sites = sites
        self.lines: list[str] = []
        self.owner: list[int] = []
        for index, site in enumerate(sites):
            for line in dict.fromkeys((site.path, site.name)):
                self.lines.append(line)
                self.owner.append(index)

    def matched(self, pattern: re.Pattern[str]) -> frozenset[int]:
        """Indices of the sites that a rule with this regex speaks of."""
        return frozenset(self.owner[at] for at, line in enumerate(self.lines) if pattern.search(line))


def cell_names(sites: Sequence[Site], cells: Iterable[Cell]) -> dict[Cell, str]:
    """The regex of each cell; a cell that none of them fits is not in it.

    Args:
        sites: everything that a network module may adapt, also what it does only when asked.
    """
    modules = Modules(sites)
    here: dict[Cell, set[int]] = {}
    for index, site in enumerate(sites):
        if site.part == MAIN_PART and site.stack is not None and site.block is not None:
            here.setdefault((site.stack, site.block, site.component), set()).add(index)
    tree = _Tree(site.path for site in sites)
    found: dict[Cell, str] = {}
    tried: dict[str, frozenset[int]] = {}
    for cell in cells:
        wanted = frozenset(here.get(cell, ()))
        for text in _candidates(tree, sorted(sites[index].path for index in wanted)) if wanted else ():
            if text not in tried:
                tried[text] = modules.matched(re.compile(text))
            if tried[text] == wanted:
                found[cell] = text
                break
    anchored = {(stack, component) for (stack, _, component), text in found.items() if text.startswith("^")}
    return {
        # One form for a whole row: the paths begin with these words, so the anchor takes nothing away.
        cell: f"^{text.removeprefix('^')}" if (cell[0], cell[2]) in anchored else text
        for cell, text in found.items()
    }


class _Tree:
    """The dotted paths of all modules, word by word."""

    def __init__(self, paths: Iterable[str]):
        self.count: dict[tuple[str, ...], int] = {}
        for path in paths:
            words = tuple(path.split("."))
            for end in range(1, len(words) + 1):
                self.count[words[:end]] = self.count.get(words[:end], 0) + 1

    def beginnings(self, paths: Sequence[str]) -> list[tuple[str, ...]]:
        """The shortest beginnings that lead to these paths and to no other; a whole path ends in an empty word."""
        inside: dict[tuple[str, ...], int] = {}
        split = [tuple(path.split(".")) for path in paths]
        for words in split:
            for end in range(1, len(words) + 1):
                inside[words[:end]] = inside.get(words[:end], 0) + 1
        found = {}
        for words in split:
            end = next((e for e in range(1, len(words)) if inside[words[:e]] == self.count[words[:e]]), len(words))
            found[words[:end] if end < len(words) else (*words, "")] = True
        return list(found)


def _candidates(tree: _Tree, paths: Sequence[str]) -> Iterable[str]:
    """Regexes that may match just these paths, the shortest to read first."""
    exact = tree.beginnings(paths)
    shared = 0
    while len({words[shared] for words in exact if len(words) > shared}) == 1 and all(len(w) > shared for w in exact):
        shared += 1
    loose = [words[:shared] + tuple("\\d+" if w.isdigit() else w for w in words[shared:]) for words in exact]
    for beginnings in (list(dict.fromkeys(loose)), exact):
        text = _joined(beginnings)
        yield from (text, f"^{text}")


def _joined(beginnings: Sequence[tuple[str, ...]]) -> str:
    """``double_blocks\\.0\\.(img_mlp\\.|txt_mlp\\.)`` of its beginnings."""
    texts = [".".join(words) if words[-1] else ".".join(words[:-1]) + "$" for words in beginnings]
    texts = [text if text.endswith("$") else f"{text}." for text in texts]
    if len(texts) == 1:
        return _escaped(texts[0])
    shared = 0
    while len({text[: shared + 1] for text in texts}) == 1:
        shared += 1
    shared = texts[0].rfind(".", 0, shared) + 1  # whole words are easier to read
    return _escaped(texts[0][:shared]) + "(" + "|".join(_escaped(text[shared:]) for text in texts) + ")"


def _escaped(text: str) -> str:
    return re.sub(r"\.", r"\\.", text)


def template(names: Mapping[int, str], blocks: Sequence[int]) -> str | None:
    """One text with ``{}`` for the number of the block that gives the names of all blocks; None where there is none."""
    if not all(block in names for block in blocks):
        return None
    made = {re.sub(rf"(?<=\\\.){block}(?=\\\.)", "{}", names[block], count=1) for block in blocks}
    one = made.pop()
    if made or one.count("{}") != 1:
        return None
    return one
