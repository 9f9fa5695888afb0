"""--resume under a grid: what the saved state is, what is to happen to it, and the state that the trainer then loads.

A saved state holds its groups by position and brings its own LRs back. Under another layout it would hand parameters
the moments of others, without a word; under other LRs it would quietly train on with the old ones. Here every parameter
keeps its own moments, by name, and the LRs are those that were asked for.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from lr_grid.errors import GridError
from lr_grid.living import living
from lr_grid.plan import Plan
from lr_grid.resume.carry import carry
from lr_grid.resume.change import Change, change_of
from lr_grid.resume.folder import beside, remove
from lr_grid.resume.group_state import kinds_of_groups
from lr_grid.resume.layout import Layout, misfit, name_by_layout
from lr_grid.resume.moments import foreign_moments
from lr_grid.resume.same_optimizer import same_optimizer
from lr_grid.resume.saved import NAMES, OPTIMIZER, SCHEDULER, SavedState, load, load_weights, read_state
from lr_grid.resume.schedule import carry_schedule, floor_of
from lr_grid.resume.summary import summary
from lr_grid.sides import side_of
from lr_grid.sites import Site

POLICIES = ("remap", "keep", "error")
"""resume_grid: the new LRs with every parameter's own moments; the saved LRs; nothing but the same grid."""
FRESH_START = "To go on from its weights with a fresh optimizer, give --network_weights instead of --resume"


@dataclass
class Resumed:
    """A state to resume, from the trainer's arguments to the folder that the trainer loads."""

    saved: SavedState
    policy: str
    change: Change | None = None
    """What is to be carried over; None: the state is loaded as it stands."""
    carried_to: Path | None = None

    @property
    def shown(self) -> str:
        return f"--resume {self.saved.folder}"

    def identify(self, layouts: Callable[[], Sequence[Layout]], base: str) -> None:
        """Gives a state of the wrapped module its names, and makes sure that its moments belong to its weights.

        Args:
            layouts: the groups that the wrapped module makes.

        Raises: GridError where nothing proves whose moments are whose.
        """
        if not self.saved.named:
            named, difference = name_by_layout(self.saved, layouts())
            if named is None:
                raise GridError(
                    [
                        f"{self.shown}: this state holds no names, and its layout is not the one that {base} makes of"
                        f" this network: {difference}. Resume it with --network_module {base} and the arguments"
                        f" that it was saved under. {FRESH_START}"
                    ]
                )
            self.saved = named
        self._check_moments()

    def _check_moments(self) -> None:
        foreign = foreign_moments(self.saved, load_weights(self.saved.folder))
        if foreign:
            raise GridError(
                [
                    f"{self.shown}: the order of this state's optimizer is not that of its weights: by all that the"
                    f" weights tell, the moments of {foreign[0]} stand at {foreign[1]}. {FRESH_START}"
                ]
            )

    def check_optimizer(self, name: str) -> None:
        """Raises GridError where another optimizer saved the state: its moments mean other things.

        Args:
            name: the optimizer's, in the trainer's words and lower case.
        """
        then = self.saved.record.get("optimizer")
        if then and not same_optimizer(then, name):
            raise GridError(
                [
                    f"{self.shown}: was saved by --optimizer_type {then}, and this run has {name}: give {then}."
                    f" {FRESH_START}"
                ]
            )

    def check_shapes(self, shapes: Mapping[str, Sequence[int]]) -> None:
        """Raises GridError where the saved weights are not of this network: other ranks, modules that it lacks.

        Args:
            shapes: of the network's state_dict.
        """
        lost = sorted({name.partition(".")[0] for name in self.saved.weights if name not in shapes})
        if lost:
            raise GridError(
                [
                    f"{self.shown}: holds trained weights that this network has no place for ({len(lost)} modules,"
                    f" e.g. {lost[0]}): they would be lost. Train the same parts with the same rank arguments"
                    f" as then; an LR of 0 freezes what is not to change. {FRESH_START}"
                ]
            )
        other = {
            name: shape
            for name, shape in self.saved.weights.items()
            if tuple(shapes[name]) != shape and not name.endswith(".alpha")
        }
        if other:
            name, shape = next(iter(other.items()))
            raise GridError(
                [
                    f"{self.shown}: was saved at other ranks: {name} is {shape} there and {tuple(shapes[name])} here"
                    f" ({len(other)} tensors differ). Give each module the rank it was trained with. {FRESH_START}"
                ]
            )
        for names in self.saved.names:
            for name in names:
                wrong = misfit(self.saved.state_of(name), tuple(shapes.get(name, ())))
                if wrong:
                    raise GridError([f"{self.shown}: the moments of {name} have the shape {wrong}: not its own"])

    def with_saved_lrs(self, plan: Plan, parameters: Mapping[str, Iterable[tuple[str, Any]]]) -> Plan:
        """The plan with the LRs of the state, where the policy is to keep them and a module trained then."""
        if self.policy != "keep":
            return plan
        rows = []
        for row in plan.rows:
            lrs = {
                side_of(name): lr
                for name, _ in parameters.get(row.site.name, ())
                if (lr := self.saved.lr_of(name)) is not None
            }
            if lrs and not row.frozen:
                down, up = lrs.get("down", row.lr_down), lrs.get("up", lrs.get("down", row.lr_up))
                kept = row._replace(lr_down=down, lr_up=up, rule="resume_grid", why="kept from the resumed state")
                rows.append(kept)
            else:
                rows.append(row)
        return replace(plan, rows=tuple(rows))

    def keep_lrs_in(self, groups: Sequence[dict[str, Any]]) -> None:
        """Gives groups that are not the grid's the LRs of the state, where the policy is to keep them."""
        for group in groups if self.policy == "keep" else ():
            lrs = {lr for name in group[NAMES] if (lr := self.saved.lr_of(name)) is not None}
            if len(lrs) > 1:
                raise GridError(
                    [
                        f"{self.shown}: was saved under a grid of several LRs: resume_grid=keep cannot keep them"
                        " without one. Give the same grid again"
                    ]
                )
            if lrs:
                group["lr"] = lrs.pop()

    def kinds(self, names: Iterable[str]) -> Mapping[str, Hashable]:
        """What must be equal in parameters that share a group, by name; empty where all may."""
        return kinds_of_groups(self.saved, names)

    def compare(self, groups: Sequence[Mapping[str, Any]]) -> None:
        """Decides what is to be carried over into these groups.

        Raises: GridError where something is and the policy is ``error``.
        """
        change = change_of(self.saved, groups)
        if change.nothing and not self.saved.inferred:
            return
        if self.policy == "error" and not change.nothing:
            raise GridError([f"{self.shown}: {difference(change)}, and resume_grid=error. {FRESH_START}"])
        self.change = change

    def lines(self, sites: Mapping[str, Site], base: str) -> list[str]:
        """What happens to the state, for people; nothing where it is loaded as it stands."""
        if self.change is None:
            return []
        where = str(self.saved.folder)
        return summary(self.change, sites, where, self.policy == "keep", base if self.saved.inferred else "")

    def carry_over(self, network: nn.Module, args: argparse.Namespace) -> None:
        """Points the trainer's --resume at a folder with the state in this run's layout; the saved one stays as it is.

        Called when optimizer and scheduler exist, before the trainer loads the state.
        """
        if self.change is not None:
            self.carried_to = self._carried(network)
            args.resume = str(self.carried_to)
        # The state is read where it lies in the file, which the trainer may overwrite at the end of the run.
        self.saved = replace(self.saved, groups=(), state={})

    def _carried(self, network: nn.Module) -> Path:
        held = {id(parameter) for parameter in network.parameters()}
        optimizer = next(
            (
                found
                for found in living(Optimizer)
                if not hasattr(found, "optimizer")  # no wrapper, such as accelerate's
                and any(id(p) in held for group in found.param_groups for p in group["params"])
            ),
            None,
        )
        if optimizer is None:
            raise GridError(
                [f"{self.shown}: the trainer's optimizer was not found, so its state cannot be carried over"]
            )
        file = self.saved.folder / SCHEDULER
        schedule = load(file) if file.is_file() else None
        carried = carry(self.saved, optimizer.param_groups, floor_of(schedule or {}))
        files: dict[str, Any] = {OPTIMIZER: carried.state_dict}
        live = _scheduler_of(optimizer)
        if schedule is not None and live is not None:
            lrs = [float(group["lr"]) for group in carried.state_dict["param_groups"]]
            files[SCHEDULER] = carry_schedule(schedule, live.state_dict(), carried.donors, lrs, len(self.saved.groups))
        new = {name: tensor for name, tensor in network.state_dict().items() if name not in self.saved.weights}
        weights = None
        if new:
            prefix = self.saved.prefix
            weights = load_weights(self.saved.folder) | {prefix + name: value.cpu() for name, value in new.items()}
        return beside(self.saved.folder, files, weights)

    def done(self, args: argparse.Namespace) -> None:
        """After the trainer has loaded the state: the folder made for it goes."""
        if self.carried_to is not None:
            args.resume = str(self.saved.folder)
            remove(self.carried_to)
            self.carried_to = None


def resumed_state(args: argparse.Namespace | None, policy: str) -> Resumed | None:
    """The state that the trainer will resume; None without --resume, or where its folder holds no optimizer.bin.

    Raises: GridError for a state that cannot be read, or not from here.
    """
    folder = getattr(args, "resume", None)
    if not folder:
        return None
    if getattr(args, "resume_from_huggingface", False):
        raise GridError(["--resume_from_huggingface: give a local folder: the state is looked at before training"])
    saved = read_state(Path(folder))
    return None if saved is None or not saved.groups else Resumed(saved, policy)


def difference(change: Change) -> str:
    """A change in one clause, for people."""
    if change.frozen or change.fresh:
        names = [*change.frozen, *change.fresh]
        return f"this state trains other parameters than this run ({len(names)} differ, e.g. {names[0]})"
    if change.lrs:
        name, (old, new) = next(iter(change.lrs.items()))
        then = "none of its own" if old is None else f"{old:g}"
        return f"this state has other LRs for {len(change.lrs)} parameters (e.g. {name}: {then}, here {new:g})"
    return "this state has its parameters in other groups, or in another order"


def _scheduler_of(optimizer: Optimizer) -> Any:
    """The scheduler that moves an optimizer, the outermost where one holds others."""
    found = [scheduler for scheduler in living(LRScheduler) if getattr(scheduler, "optimizer", None) is optimizer]
    inner = {id(held) for scheduler in found for held in getattr(scheduler, "_schedulers", ())}
    return next((scheduler for scheduler in found if id(scheduler) not in inner), None)
