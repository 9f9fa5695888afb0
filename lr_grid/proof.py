"""Proof at the first step: the optimizer holds exactly the plan's parameters, at the plan's LRs, or the run stops.

It looks at the optimizer that really steps, through whatever wraps it, after a resumed state was loaded.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import nn
from torch.optim import Optimizer

from lr_grid.errors import GridError
from lr_grid.scales import SCALES, lrs_of, scales_of
from lr_grid.sites import Site
from lr_grid.steps import StepWatch

_TOLERANCE = 1e-6
"""Relative, of LRs that should be equal."""
_SHARE_TOLERANCE = 1e-3
"""Relative, of the shares of their base LRs at which a schedule has the groups."""
_MOST = 5
_NAMES = "param_names"


class Proof:
    """Watches for the first steps of the optimizer that was given some groups."""

    def __init__(
        self,
        groups: Sequence[Mapping[str, Any]],
        sites: Mapping[str, Site],
        tell: Callable[[str], None],
        resumed: bool = False,
        at_first_step: Callable[[], None] | None = None,
        own_lrs: bool = True,
    ):
        """
        Args:
            groups: as handed to the trainer: ``params``, ``param_names`` and the plan's ``lr`` (absolute), with
                ``lr_scales`` where parameters have factors of their own.
            sites: place of each module, by its name.
            tell: takes the line that says it is proven.
            resumed: whether the trainer has loaded a saved state: then a schedule in its middle is told, no error.
            at_first_step: called before the first step, proven or not.
            own_lrs: whether the LRs have to be the groups'; False in a run without a grid that resumes a state, which
                brings back its LRs.
        """
        self._planned = {
            id(p): (name, lr)
            for group in groups
            for p, name, lr in zip(group["params"], group[_NAMES], lrs_of(group), strict=True)
        }
        self._sites = sites
        self._tell = tell
        self._resumed = resumed
        self._at_first_step = at_first_step
        self._own_lrs = own_lrs
        self._proven = False
        self._done = False
        parameters: list[nn.Parameter] = [p for group in groups for p in group["params"]]
        self._watch = StepWatch(parameters, self._before)

    def close(self) -> None:
        self._watch.close()

    def look(self, optimizer: Optimizer) -> None:
        """Looks at an optimizer that moves its parameters without a step() (--fused_backward_pass).

        Raises: GridError where it is not what the plan says.
        """
        if not self._done:
            self._before(optimizer)

    def _before(self, optimizer: Optimizer) -> None:
        if not self._proven:
            if self._at_first_step is not None:
                self._at_first_step()
            lrs = self._check_groups(optimizer)
            self._proven = True
            names = ", the resumed state's names agree" if self._resumed else ""
            self._tell(
                f"first step: {type(optimizer).__name__} holds exactly the plan's {len(self._planned)} parameters in"
                f" {len(optimizer.param_groups)} groups{names}{lrs}"
            )
        if any(group.get("lr") != 0 for group in optimizer.param_groups):
            # With warm-up, every LR is 0 at first: the shares are looked at where there are any.
            self._check_shares(optimizer)
            self._done = True
            self.close()

    def _check_groups(self, optimizer: Optimizer) -> str:
        """Raises GridError where parameters, names or base LRs differ from the plan; returns words about the LRs."""
        missing = dict(self._planned)
        wrong: list[str] = []
        ratios: list[tuple[float, str, float]] = []
        strangers = 0
        for group in optimizer.param_groups:
            of_group = _base_lr(group)
            names = group.get(_NAMES)
            scales = scales_of(group)
            if SCALES in group and not getattr(optimizer, "takes_lr_scales", False):
                wrong.append(f"{type(optimizer).__name__} does not know {SCALES}, and its groups have them")
            for i, parameter in enumerate(group["params"]):
                base = None if of_group is None else of_group * scales[i]
                planned = missing.pop(id(parameter), None)
                if planned is None:
                    strangers += 1
                    continue
                name, lr = planned
                if names is not None and names[i] != name:
                    wrong.append(f"{self._where(name)}: the state calls it {names[i]}")
                if base is not None and (base or lr):  # an LR of 0 (frozen) is in every ratio to 0
                    ratios.append((base / lr if lr else math.inf if base else 1.0, name, base))
        if strangers:
            wrong.append(f"{strangers} tensors that no group of the plan holds (or that are held twice)")
        if missing:
            first = next(iter(missing.values()))[0]
            wrong.append(f"{len(missing)} parameters are missing (e.g. {self._where(first)})")
        if not self._own_lrs or not ratios:
            self._raise(wrong)
            return "" if ratios else "; it sets its LR itself"
        # A scheduler with lists of its own (OneCycleLR, CyclicLR) may stand at a multiple of the plan; a state may not.
        scaled = not self._resumed or any("max_lr" in group for group in optimizer.param_groups)
        common = ratios[0][0] if scaled and all(_close(ratio, ratios[0][0]) for ratio, _, _ in ratios) else 1.0
        for ratio, name, base in ratios:
            if not _close(ratio, common):
                lr = self._planned_lr(name)
                wrong.append(f"{self._where(name)}: LR {base:g}, the plan says {lr:g}")
        self._raise(wrong)
        if _close(common, 1.0):
            return ", at the plan's LRs"
        return f", at {common:.4g} times the plan's LRs (the scheduler takes LRs of its own)"

    def _check_shares(self, optimizer: Optimizer) -> None:
        """A schedule multiplies every group's base LR by the same number, or it bends the grid."""
        shares = []
        for group in optimizer.param_groups:
            base, now = _base_lr(group), group.get("lr")
            if base and now is not None and group["params"]:
                planned = self._planned.get(id(group["params"][0]))
                shares.append((float(now) / base, planned[0] if planned else "?", float(now), base))
        if not shares:
            return
        first = shares[0][0]
        bent = [share for share in shares if not math.isclose(share[0], first, rel_tol=_SHARE_TOLERANCE)]
        if not bent:
            return
        _, name, now, base = bent[0]
        text = (
            f"the scheduler has {len(bent)} of {len(shares)} groups at another share of their base LR than the first"
            f" ({first:.4g}): {self._where(name)} stands at {now:g} of {base:g}"
        )
        if self._resumed:
            self._tell(f"note: {text}")
        else:
            raise GridError([f"first step: {text}. Take a scheduler that scales every group alike"])

    def _planned_lr(self, name: str) -> float:
        return next(lr for other, lr in self._planned.values() if other == name)

    def _where(self, name: str) -> str:
        """The cell of a parameter, and its name."""
        site = self._sites.get(name.partition(".")[0])
        if site is None:
            return name
        place = "outside" if site.place is None else f"{site.stack} {site.block}"
        part = "" if site.part == "unet" else f"{site.part} "
        return f"{part}{place} {site.component} ({name})"

    @staticmethod
    def _raise(wrong: Sequence[str]) -> None:
        if wrong:
            more = [f"... and {len(wrong) - _MOST} more"] if len(wrong) > _MOST else []
            raise GridError(
                [f"first step: the optimizer is not what the plan says: {text}" for text in wrong[:_MOST]] + more
            )


def _close(a: float, b: float) -> bool:
    return math.isclose(a, b, rel_tol=_TOLERANCE)


def _base_lr(group: Mapping[str, Any]) -> float | None:
    """The LR (absolute) that a group's schedule starts from, or goes up to (OneCycleLR); None: the optimizer's own."""
    lr = group.get("max_lr", group.get("initial_lr", group.get("lr")))
    return None if lr is None else float(lr)
