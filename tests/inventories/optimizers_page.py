"""Writes docs/optimizers.md out of what was measured and what the guards say of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from inventories import optimizers
from inventories.optimizer_cases import SCHEDULERS
from inventories.optimizer_verdicts import Verdict, arguments_of, verdict

PAGE = Path(__file__).parents[2] / "docs" / "optimizers.md"
YES, NOTE, NO, TRAINER = "yes", "note", "no", "–"
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_OUTCOMES = {
    optimizers.KEPT: "2 : 1",
    optimizers.FLAT: "1 : 1",
    optimizers.BENT: "other than 2 : 1",
    optimizers.STILL: "no movement",
    optimizers.REFUSED: "not built",
    optimizers.DIED: "an exception",
}
_PLAIN = "AdamW"

Cells = Mapping[str, Mapping[str, str]]

INTRO = """\
# Optimizers and schedulers under a grid

Which optimizers give every group of a grid its own LR, and under which schedulers: measured with the trainers' own
functions (sd-scripts' `get_optimizer` and `get_scheduler_fix`, musubi-tuner's `get_optimizer` and `get_lr_scheduler`)
on two groups whose LRs stand 2 : 1 and whose gradients are equal, for 16 steps. What moves 2 : 1 (to 1 %) in every step
is trained as the plan says. On a CPU, torch 2.13.0; bitsandbytes 0.50.2, transformers 4.54.1 (musubi-tuner: 4.57.6),
lion-pytorch 0.2.3, prodigyopt 1.1.2, dadaptation 3.2, schedulefree 1.4, prodigy-plus-schedule-free 1.9.2, came-pytorch
0.1.3, pytorch-optimizer 3.9.0. What is not here was not measured: lr-grid says so in a note, and `lr-grid rehearse`
measures it.

- **yes**: every step moves by the plan.
- **note**: the run goes, and a note beside the grid says what bends (or that LRs are factors here).
- **no**: lr-grid stops the run before its first step and says what to use instead. Where the grid has one LR only, what
  knows no other is let through.
- **–**: the trainer, or the class itself, stops with a message of its own before the first step.

This page is made from `tests/inventories/movements.json`; every run of the tests measures a part of it again
(`LR_GRID_WRITE_PAGES=1 pytest tests/test_optimizers_measured.py` measures all of it and writes the page anew).

## Prodigy and its like

Prodigy and D-Adaptation take one LR for all groups. prodigyopt's and most of dadaptation's stop at the first step where
LRs differ; `DAdaptAdaGrad`, `DAdaptAdan`, `DAdaptAdanIP` and all of pytorch_optimizer's move every group alike, without
a word, while their groups show the LRs that were asked for. What works:

- `--optimizer_type prodigyplus.ProdigyPlusScheduleFree --learning_rate 1` with the grid's shape in multiples
  (`ffn_lr=0.5x`): a group's LR is a factor of the step size it finds. Its `split_groups` (the default) tracks a step
  size for each group and takes their mean for all. With `split_groups_mean=False` each group's would be its own, which
  undoes the grid's ratios: that is refused;
- a flat grid: what trains at all, ranks and alphas are independent of LRs.

## What scales LRs by the weights

Adafactor with `scale_parameter`, torch's Adafactor, LAMB, LARS and Fromage multiply a tensor's LR by the size of its
weights, which grow faster where the LR is higher: 2 : 1 became 2.07 : 1 within 300 steps at an LR of 1e-3 (Adafactor),
1.997 to 2 with AdamW. `scale_parameter=False` makes it 2 again.
"""


def word(cell: Verdict, outcome: str) -> str:
    """yes, note, no or –."""
    if cell.refused:
        return NO
    if outcome == optimizers.REFUSED:
        return TRAINER
    return NOTE if cell.notices else YES


def words(trainer: str, outcomes: Cells) -> dict[str, dict[str, str]]:
    """Optimizer -> scheduler -> yes, note, no or –."""
    return {
        optimizer: {key: word(verdict(trainer, optimizer, key), name) for key, name in cells.items()}
        for optimizer, cells in outcomes.items()
    }


def page() -> str:
    """The whole page."""
    known = optimizers.known()
    parts = [INTRO]
    sd = known["sd-scripts"]
    whole = {name: cells for name, cells in sd.items() if len(cells) == len(SCHEDULERS)}
    rest = {name: cells for name, cells in sd.items() if name not in whole}
    parts.append(_schedulers(known))
    parts.append(f"## sd-scripts\n\n{_matrix('sd-scripts', whole)}")
    parts.append(f"## musubi-tuner\n\n{_matrix('musubi-tuner', known['musubi-tuner'])}")
    parts.append(
        "## pytorch_optimizer\n\nUnder sd-scripts, with a few schedulers that keep the ratios.\n\n"
        + _matrix("sd-scripts", rest)
    )
    return "\n".join(parts)


def _schedulers(known: Mapping[str, Cells]) -> str:
    lines = ["## Schedulers under AdamW", "", "| arguments | sd-scripts | musubi-tuner | movement | |", "|-|-|-|-|-|"]
    tables = {trainer: words(trainer, {_PLAIN: cells[_PLAIN]})[_PLAIN] for trainer, cells in known.items()}
    for key in SCHEDULERS:
        shown = " ".join(SCHEDULERS[key]).replace("|", "\\|")
        outcomes = [_OUTCOMES[cells[_PLAIN][key]] for cells in known.values()]
        movement = outcomes[0] if len(set(outcomes)) == 1 else " / ".join(outcomes)
        cells = [verdict(trainer, _PLAIN, key) for trainer in known]
        texts = list(dict.fromkeys(text for cell in cells for text in (*cell.refused, *cell.notices)))
        said = " ".join(texts).replace("|", "\\|")
        row = (f"`{shown}`", tables["sd-scripts"][key], tables["musubi-tuner"][key], movement, said)
        lines.append(f"| {' | '.join(row)} |")
    return "\n".join(lines) + "\n"


def _matrix(trainer: str, outcomes: Cells) -> str:
    """Optimizers with equal rows together, schedulers with equal columns together."""
    table = words(trainer, outcomes)
    keys = list(next(iter(table.values())))
    columns: dict[tuple[str, ...], list[str]] = {}
    for key in keys:
        columns.setdefault(tuple(cells[key] for cells in table.values()), []).append(key)
    rows: dict[tuple[str, ...], list[str]] = {}
    firsts = [names[0] for names in columns.values()]
    for optimizer, cells in table.items():
        rows.setdefault(tuple(cells[key] for key in firsts), []).append(optimizer)
    letters = _LETTERS[: len(firsts)]
    lines = [f"- {letter}: {'; '.join(names)}" for letter, names in zip(letters, columns.values(), strict=True)]
    lines += [
        "",
        f"| --optimizer_type | {' | '.join(letters)} | movement under constant |",
        "|-|" + "-|" * (len(letters) + 1),
    ]
    for row, names in rows.items():
        moved = list(dict.fromkeys(_OUTCOMES[outcomes[name]["constant"]] for name in names))
        listed = ", ".join(f"`{name}`" for name in names)
        lines.append(f"| {listed} | {' | '.join(row)} | {', '.join(moved)} |")
    why: dict[str, str] = {}
    for names in rows.values():
        for name in names:
            cell = verdict(trainer, name, "constant")
            for text in (*cell.refused, *cell.notices):
                why.setdefault(text, name)
    lines += ["", "What is said of them with the scheduler constant:", ""]
    lines += [f"- {text}" for text in _once(why)]
    return "\n".join(lines) + "\n"


def _once(texts: Mapping[str, str]) -> list[str]:
    """Texts that differ in the optimizer's name only, once; the names together."""
    groups: dict[str, list[str]] = {}
    for text, _ in texts.items():
        head, name, *tail = text.split(" ", 2)
        groups.setdefault(f"{head} {{}} {tail[0] if tail else ''}", []).append(name)
    return [pattern.replace("{}", ", ".join(names)) for pattern, names in groups.items()]


__all__ = ["PAGE", "arguments_of", "page", "words"]
