"""The grid of one live optimizer: a factor on its group's LR for each parameter, also after a state was loaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from lr_grid.errors import GridError
from lr_grid.full.parts import SAVED, Parts
from lr_grid.full.planning import Planned
from lr_grid.group_keys import FULL, NAMES
from lr_grid.proof import Proof
from lr_grid.report.announce import say
from lr_grid.scales import SCALES, scale_between

_UNNAMED = "(frozen by the trainer)"
"""In place of the name of a tensor that did not train when the plan was made."""


class OptimizerGrid:
    """Keeps the factors of one optimizer's groups."""

    def __init__(
        self, groups: Sequence[dict[str, Any]], planned: Mapping[int, Planned], policy: str, run: object = None
    ):
        """
        Args:
            run: held as long as the optimizer lives.
            groups: the optimizer's; they get ``lr_scales`` and ``param_names``.
            planned: by id of the tensor; one that is not there did not train before either and keeps its group's LR.
            policy: resume_grid.
        """
        self.parts: Parts | None = None
        """The groups taken apart, for an optimizer that takes no factors itself."""
        self.policy, self.run = policy, run
        self.proof: Proof | None = None
        """Watches for the optimizer's first step."""
        self.frozen: list[nn.Parameter] = []
        """What an LR of 0 keeps still."""
        self._lrs: list[list[float]] = []
        """Of each group the planned LR (absolute) of each parameter."""
        self._places: dict[nn.Parameter, tuple[int, int]] = {}
        self._bases = [float(group["lr"]) for group in groups]
        self.names: list[list[str]] = []
        for group, base in zip(groups, self._bases, strict=True):
            told = [planned.get(id(parameter)) for parameter in group["params"]]
            self._lrs.append([base if one is None else one.lr for one in told])
            self.names.append([f"{_UNNAMED} {i}" if one is None else one.name for i, one in enumerate(told)])
            self.frozen += [p for p, one in zip(group["params"], told, strict=True) if one is not None and one.lr == 0]
        self.put_into(groups)

    def put_into(self, groups: Sequence[dict[str, Any]], bases: Sequence[float] | None = None) -> None:
        """Gives groups their factors and names.

        Args:
            bases: the LR (absolute) that each group's schedule starts from, where that is not the one it was made with.
        """
        for group, base, lrs, names in zip(groups, bases or self._bases, self._lrs, self.names, strict=False):
            group[SCALES] = [1.0 if lr == base else scale_between(base, lr) if lr else 0.0 for lr in lrs]
            group[NAMES] = list(names)
            group[FULL] = True

    def drop_frozen(self) -> None:
        """Forgets gradients of what is frozen, where a script has asked for them again."""
        for parameter in self.frozen:
            parameter.grad = None

    def group_for(
        self, parameter: nn.Parameter, group: Mapping[str, Any], groups: Sequence[Mapping[str, Any]]
    ) -> dict[str, Any] | None:
        """What takes the place of a trainer's group where one parameter is moved by itself: a copy with the LR that its
        factor makes; None for one that is frozen.

        Args:
            groups: the optimizer's.
        """
        if parameter not in self._places:
            self._places = {p: (i, j) for i, each in enumerate(groups) for j, p in enumerate(each["params"])}
        i, j = self._places[parameter]
        scale = groups[i][SCALES][j]
        return {**group, "lr": group["lr"] * scale} if scale else None

    def before_load(self, state_dict: Mapping[str, Any]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """(the saved groups as they are, the state without what a grid put into its groups).

        Raises: GridError where the saved parameters are others than this run's.
        """
        saved = [dict(group) for group in state_dict["param_groups"]]
        problems = []
        for index, (group, names) in enumerate(zip(saved, self.names, strict=False)):
            theirs = group.get(NAMES)
            if theirs is None or state_dict["state"] == {}:
                continue
            pairs = (pair for pair in zip(theirs, names, strict=False) if not any(n.startswith(_UNNAMED) for n in pair))
            differs = next((pair for pair in pairs if pair[0] != pair[1]), None)
            if len(theirs) != len(names):
                problems.append(
                    f"group {index} of the saved state has {len(theirs)} parameters, this run's {len(names)}"
                )
            elif differs:
                problems.append(f"group {index}: the saved state has {differs[0]} where this run has {differs[1]}")
        if problems:
            raise GridError([f"the state to resume is of other parameters: {text}" for text in problems])
        plain = [{k: v for k, v in group.items() if k not in (SCALES, NAMES, SAVED, FULL)} for group in saved]
        return saved, {**state_dict, "param_groups": plain}

    def after_load(self, saved: Sequence[Mapping[str, Any]], groups: Sequence[dict[str, Any]]) -> None:
        """Puts this run's factors into groups that a state was loaded into, whatever base LR it brought back.

        Raises: GridError with resume_grid=error where the saved factors are others.
        """
        bases = []
        for group, base in zip(groups, self._bases, strict=False):
            back = group.get("initial_lr", group["lr"])
            # A scheduler with LRs of its own (OneCycleLR) says max_lr; its initial_lr is no base.
            bases.append(base if "max_lr" in group or not back else float(back))
        self.put_into(groups, bases)
        pairs = [
            (old, new)
            for theirs, ours in zip(saved, groups, strict=False)
            for old, new in zip(theirs.get(SCALES) or [1.0] * len(ours[SCALES]), ours[SCALES], strict=False)
        ]
        changed = sum(old != new for old, new in pairs)
        if not changed:
            return
        if self.policy == "error":
            raise GridError(
                [
                    f"resume_grid=error: {changed} of {len(pairs)} parameters have another LR under this grid than in"
                    " the saved state"
                ]
            )
        if self.policy == "keep":
            for group, theirs in zip(groups, saved, strict=False):
                group[SCALES] = list(theirs.get(SCALES) or [1.0] * len(group[SCALES]))
            say(f"resumed: resume_grid=keep: {changed} of {len(pairs)} parameters keep the saved state's LR")
            return
        say(
            f"resumed: {changed} of {len(pairs)} parameters take another LR than in the saved state, their moments stay"
        )
