"""From what the user trains to a range of base LRs, by anchors.py and rules.py."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TypeVar

from lr_grid.errors import GridError, Problems
from lr_grid.models.catalogue import canonical_name
from lr_grid.recommend import rules
from lr_grid.recommend.models import full_anchor, lora_anchor
from lr_grid.recommend.optimizers import find_optimizer
from lr_grid.recommend.rules import Rule
from lr_grid.recommend.run_setup import Known, Setup, assumed, problems_of

T = TypeVar("T")

LIMITS = (
    "Anchors, not measurements of your run: sweep two or three values of the range, or take a probe (--probe-command).",
    "On one small diffusion model a base LR twice too high cost 3.8 % in loss, half of it 6.3 %: more than a grid's "
    "shape ever gained.",
    "The LR is the schedule's peak.",
)


@dataclass(frozen=True, slots=True)
class Range:
    """Absolute LRs."""

    low: float
    typical: float
    high: float

    def under(self, rules: Iterable[Rule]) -> Range:
        """The range under rules: the typical values multiply; how far low and high are from them adds in squares (of
        logarithms), as the uncertainties have nothing to do with each other."""
        parts = [(self.low, self.typical, self.high), *((rule.low, rule.typical, rule.high) for rule in rules)]
        typical = math.prod(part[1] for part in parts)
        down = math.hypot(*(math.log(part[1] / part[0]) for part in parts))
        up = math.hypot(*(math.log(part[2] / part[1]) for part in parts))
        return Range(typical * math.exp(-down), typical, typical * math.exp(up))


@dataclass(frozen=True)
class Recommendation:
    """The range, and how it came about."""

    model: str | None
    optimizer: str
    anchor: Range
    anchor_source: str
    rules: tuple[Rule, ...]
    lr: Range
    own_lr: bool = False
    """The optimizer finds its LR itself; ``lr`` is 1 and takes no grid."""
    notes: list[str] = field(default_factory=list)
    assumed: list[str] = field(default_factory=list)
    """What was taken for granted, as nobody gave it."""


def recommend(setup: Setup) -> Recommendation:
    """The range of base LRs (absolute) for a setup.

    Raises: GridError with everything that is wrong in it.
    """
    problems = problems_of(setup)
    if setup.model is None and setup.known is None:
        problems.add("--model: which model? (or --known lr=..., a run of your own that went well)")
    model = _try(problems, canonical_name, setup.model) if setup.model is not None else None
    optimizer = _try(problems, find_optimizer, setup.optimizer)
    if setup.known and setup.known.optimizer is not None:
        _try(problems, lambda word: find_optimizer(word, "--known optimizer"), setup.known.optimizer)
    problems.raise_if_any()
    assert optimizer is not None
    name, kind = optimizer
    if kind.own_lr:
        own = Range(1.0, 1.0, 1.0)
        return Recommendation(model, name, own, kind.source, (rules.optimizer_rule(name, kind),), own, own_lr=True)
    anchor, source, steps, notes = _from_known(setup, setup.known) if setup.known else _from_anchor(setup, model)
    from_batch = setup.known.batch if setup.known else 1
    if setup.batch != from_batch:
        steps.append(rules.batch_rule(setup.batch, from_batch, kind))
    steps += _optimizer_steps(setup, name)
    if setup.loraplus is not None and setup.loraplus != 1:
        steps.append(rules.loraplus_rule(setup.loraplus))
    lr = anchor.under(steps)
    return Recommendation(model, name, anchor, source, tuple(steps), lr, notes=notes, assumed=assumed(setup))


def from_probe(optimizer: str, loraplus: float | None) -> list[Rule]:
    """The rules that still count after a probe, which was taken with the run's own model, rank, alpha and batch.

    Raises: GridError with everything that is wrong.
    """
    problems = problems_of(Setup(loraplus=loraplus))
    found = _try(problems, find_optimizer, optimizer)
    problems.raise_if_any()
    assert found is not None
    name, kind = found
    if kind.own_lr:
        raise GridError([f"--optimizer {name}: it finds its LR itself: set 1, no probe is needed"])
    steps = _optimizer_steps(Setup(optimizer=name), name)
    return steps + ([rules.loraplus_rule(loraplus)] if loraplus not in (None, 1) else [])


def _try(problems: Problems, look_up: Callable[[str], T], word: str) -> T | None:
    """The result of a look-up, or None with its problems noted."""
    try:
        return look_up(word)
    except GridError as error:
        problems.add_all(error.problems)
        return None


def _from_known(setup: Setup, known: Known) -> tuple[Range, str, list[Rule], list[str]]:
    anchor = Range(known.lr, known.lr, known.lr)
    steps = []
    if setup.rank is not None:
        rank, alpha = known.lora
        steps.append(rules.alpha_rule(setup.lora_alpha, setup.rank, alpha, rank, counts_as=setup.counts_as))
    return anchor, "your own run (--known)", steps, []


def _from_anchor(setup: Setup, model: str | None) -> tuple[Range, str, list[Rule], list[str]]:
    assert model is not None
    full = full_anchor(model) if setup.full_finetune else None
    if full:
        return Range(full.low, math.sqrt(full.low * full.high), full.high), full.source, [], []
    lora = lora_anchor(model)
    anchor = Range(lora.low, math.sqrt(lora.low * lora.high), lora.high)
    if setup.full_finetune:
        to_full = rules.alpha_rule(rules.FULL_ALPHA, lora.rank, lora.alpha, lora.rank)
        notes = [f"No document gives an LR for a full fine-tune of {model}: it comes from the LoRA's."]
        return anchor, lora.source, [to_full, rules.full_rule()], notes
    if setup.rank is None:
        notes = [f"No --rank given: the anchor's rank {lora.rank:g} and alpha {lora.alpha:g} are meant."]
        return anchor, lora.source, [], notes
    rule = rules.alpha_rule(setup.lora_alpha, setup.rank, lora.alpha, lora.rank, counts_as=setup.counts_as)
    return anchor, lora.source, [rule], []


def _optimizer_steps(setup: Setup, name: str) -> list[Rule]:
    """The rule from the anchor's optimizer to the one that is used.

    Raises: GridError where no ratio is known.
    """
    kind = find_optimizer(name)[1]
    word = (setup.known.optimizer if setup.known else "AdamW") or name
    before_name, before = find_optimizer(word, "--known optimizer")
    if before is kind:
        return [rules.optimizer_rule(name, kind)] if setup.known is None else []
    if before.own_lr:
        raise GridError([f"--known optimizer={before_name}: its LR, 1, says nothing of {name}'s; see --from-probe"])
    if kind.ratio is None or before.ratio is None:
        which, why = (name, kind.why) if kind.ratio is None else (before_name, before.why)
        cure = f"Give --known lr=... optimizer={name}, a run of your own with it"
        raise GridError([f"--optimizer {name}: no rule leads from {before_name}'s LR to it ({which}: {why}). {cure}"])
    rule = rules.optimizer_rule(name, kind)
    low, typical, high = (new / old for new, old in zip(kind.ratio, reversed(before.ratio), strict=True))
    return [Rule(f"{before_name} to {name}", low, typical, high, rule.why, rule.source)]
