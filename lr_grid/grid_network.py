"""The grid on a live network: what the trainer calls between making the network and the last step."""

from __future__ import annotations

import argparse
import functools
import weakref
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from lr_grid.advice import many_groups, one_sided, one_te_lr, same_names
from lr_grid.arguments import GRID_OFF
from lr_grid.binding import BoundGrid
from lr_grid.errors import GridError
from lr_grid.facts import facts_of, lrs_of_args, named_parameters, trainer_lrs
from lr_grid.folding import scheduled_lrs
from lr_grid.group_keys import NAMES, RECORD
from lr_grid.groups import build_groups
from lr_grid.guards import (
    bending,
    check_groups,
    check_negative,
    check_optimizer,
    check_repeats,
    idle_options,
    optimizer_name,
    overruled,
)
from lr_grid.log_names import about_folding, log_names
from lr_grid.norms.start import norms_file, start_norms
from lr_grid.own_optimizers import takes_scales
from lr_grid.plan import ModuleFacts, Plan, lrs_of_rows
from lr_grid.planner import NOTHING_TRAINS, make_plan
from lr_grid.proof import Proof
from lr_grid.report.announce import announce, say
from lr_grid.report.jsonfile import run_record
from lr_grid.report.trackers import log_picture
from lr_grid.sites import part_of
from lr_grid.upstream import module_name, network_modules, replace_modules
from lr_grid.watched import plan_of_groups
from lr_grid.weights import check_ranks, trained_names
from lr_grid.words import MAIN_PART

if TYPE_CHECKING:
    from lr_grid.resume import Resumed


@dataclass
class GridState:
    """What the swapped network remembers of its grid."""

    base: str
    grid: BoundGrid
    active: bool
    """False: no grid argument was given, the optimizer groups are the wrapped module's."""
    notices: list[str] = field(default_factory=list)
    """What the user should know, beside the plan's own notices."""
    takes_dropout: bool = True
    """Whether the trainer's --network_dropout reached the wrapped module, and it uses it."""
    args: argparse.Namespace | None = None
    """The trainer's arguments, once prepare_network has shown them."""
    plan: Plan | None = None
    trainable: list[nn.Parameter] = field(default_factory=list)
    frozen: list[nn.Parameter] = field(default_factory=list)
    """Parameters that no optimizer group holds."""
    frozen_modules: list[nn.Module] = field(default_factory=list)
    """Modules of the network that the plan freezes and that stand all the same, for their trained weights."""
    dropped: dict[str, ModuleFacts] = field(default_factory=dict)
    """Modules that an LR or a rank of 0 kept from being made: they stay rows of the plan."""
    logged: bool = False
    """Whether the trainer's log was offered the plan's picture."""
    resumed: Resumed | None = None
    """The state that the trainer will load."""
    proof: Proof | None = None
    """Watches for the first step."""


def swap_class(network: nn.Module, state: GridState) -> None:
    """Makes a network a grid network: its class becomes a subclass, the mixin first. isinstance checks keep holding."""
    base = type(network)
    members: dict[str, Any] = {}
    # Only where there is one: the trainer asks whether the network has it.
    if hasattr(base, "apply_max_norm_regularization"):
        members["apply_max_norm_regularization"] = _keeping_frozen(base.apply_max_norm_regularization)
    if state.active:
        members[_MULTIPLE_TE_LRS] = _with_own_groups
    elif hasattr(base, _MULTIPLE_TE_LRS):
        members[_MULTIPLE_TE_LRS] = _watching(getattr(base, _MULTIPLE_TE_LRS))
    network.__class__ = type(f"Grid{base.__name__}", (GridMixin, base), members)
    network._grid_state = state  # type: ignore[assignment]


def _no_type_error(method: Callable[..., Any]) -> Callable[..., Any]:
    """The trainer takes a TypeError of these methods for an old signature and calls them again with fewer arguments."""

    @functools.wraps(method)
    def wrapped(self: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return method(self, *args, **kwargs)
        except TypeError as error:
            raise RuntimeError(f"lr-grid: {error}") from error

    return wrapped


_MULTIPLE_TE_LRS = "prepare_optimizer_params_with_multiple_te_lrs"
"""The method that the trainer looks for to hand over a list of text encoder LRs; networks.lora does not have it."""


def _with_own_groups(self: Any, text_encoder_lr: Any, unet_lr: Any, default_lr: Any) -> Any:
    """As prepare_optimizer_params, with a list of text encoder LRs, one per encoder."""
    return self._grid_groups(text_encoder_lr, unet_lr, default_lr)


def _watching(prepare: Callable[..., Any]) -> Callable[..., Any]:
    """The wrapped module's own way to its groups, shown."""

    @functools.wraps(prepare)
    def wrapped(self: Any, text_encoder_lr: Any, unet_lr: Any, default_lr: Any) -> Any:
        result = prepare(self, text_encoder_lr, unet_lr, default_lr)
        return self._grid_watch(result, text_encoder_lr, unet_lr, default_lr)

    return wrapped


class GridMixin:
    """Overrides of the network methods that the trainers call. ``super()`` is the wrapped module's network."""

    _grid_state: GridState

    @property
    def grid_plan(self) -> Plan:
        """The plan the optimizer groups were made from (after prepare_optimizer_params)."""
        plan = self._grid_state.plan
        if plan is None:
            raise RuntimeError("the plan exists once the optimizer's parameters are prepared")
        return plan

    def prepare_network(self, args: argparse.Namespace) -> None:
        """Called by the trainer before apply_to: the only sight of its arguments."""
        self._grid_state.args = args
        check_repeats(args)
        self._grid_state.notices += overruled(args)
        self._grid_state.notices += idle_options(args, self._grid_state.base, self._grid_state.takes_dropout)
        parent = getattr(super(), "prepare_network", None)
        if parent is not None:
            parent(args)

    def apply_to(self, text_encoder: Any, unet: Any, apply_text_encoder: bool = True, apply_unet: bool = True) -> Any:
        """Leaves frozen modules out, then attaches the rest."""
        state = self._grid_state
        if state.active and state.args is not None:
            parts = self._grid_parts(apply_text_encoder, apply_unet)
            modules = network_modules(self, state.base)  # type: ignore[arg-type]
            facts = {module_name(m): facts_of(m) for m in modules}
            if len(facts) < len(modules) and apply_text_encoder:
                raise GridError([same_names(state.base)])
            plan = make_plan(state.grid, facts, lrs_of_args(state.args), parts)
            lrs = lrs_of_rows(plan.rows)
            scheduled = scheduled_lrs(plan, getattr(state.args, "optimizer_type", None))
            check_optimizer(state.args, lrs, scheduled)
            state.notices += bending(state.args, lrs, scheduled)
            if state.grid.rank_why:
                check_ranks(state.args, modules, state.grid.no_lora)
            keep = trained_names(state.args)
            lost = _without_a_place(keep, facts, parts)
            if lost:
                state.notices.append(
                    f"the starting weights hold {len(lost)} modules that this network does not have"
                    f" (e.g. {min(lost)}): they are not in the LoRA that is saved"
                )
            frozen = {row.site.name for row in plan.rows if row.frozen} - keep
            here = {site.name for site in state.grid.sites.all if site.part in parts}
            state.dropped = {name: f for name, f in state.dropped.items() if name in here}
            state.dropped |= {name: facts[name].never_made() for name in frozen}
            replace_modules(self, dict.fromkeys(frozen))  # type: ignore[arg-type]
        return super().apply_to(text_encoder, unet, apply_text_encoder, apply_unet)  # type: ignore[misc]

    def prepare_optimizer_params(self, *args: Any, **kwargs: Any) -> Any:
        """``(text_encoder_lr, unet_lr, default_lr)``: groups and their descriptions."""
        if self._grid_state.active:
            return self._grid_groups(*args, **kwargs)
        return self._grid_watch(super().prepare_optimizer_params(*args, **kwargs), *args, **kwargs)  # type: ignore[misc]

    def prepare_grad_etc(self, *args: Any, **kwargs: Any) -> Any:
        """Upstream asks for gradients of everything; what no optimizer group holds is frozen again."""
        result = super().prepare_grad_etc(*args, **kwargs)  # type: ignore[misc]
        for parameter in self._grid_state.frozen:
            if parameter.requires_grad:
                # DyLoRA asks for gradients again in every forward pass.
                parameter.register_post_accumulate_grad_hook(_forget_gradient)
            parameter.requires_grad_(False)
            parameter.grad = None
        state = self._grid_state
        if state.resumed is not None and state.args is not None:
            # Optimizer and scheduler exist now; the trainer loads the state next.
            state.resumed.carry_over(self, state.args)  # type: ignore[arg-type]
        return result

    def on_epoch_start(self, *args: Any, **kwargs: Any) -> Any:
        """The first call of the trainers after their logs are open: the plan's picture goes in, norms begin."""
        state = self._grid_state
        if not state.logged and state.plan is not None and state.args is not None:
            state.logged = True
            log_picture(state.plan, state.args)
            if state.grid.settings.log_grad_norms:
                self._record_norms(state.plan, _plan_file(state.args))
        return super().on_epoch_start(*args, **kwargs)  # type: ignore[misc]

    def _record_norms(self, plan: Plan, plan_file: Path | None) -> None:
        """log_grad_norms, for as long as the network lives."""
        modules = network_modules(self, self._grid_state.base)  # type: ignore[arg-type]
        named = {module_name(module): named_parameters(module, module_name(module)) for module in modules}
        recorder = start_norms(plan, named, plan_file and norms_file(plan_file))
        if recorder is not None:
            weakref.finalize(self, recorder.close)

    def get_trainable_params(self) -> Iterable[nn.Parameter]:
        """The optimizer's parameters: what gradient clipping measures."""
        state = self._grid_state
        return state.trainable if state.active else super().get_trainable_params()  # type: ignore[misc]

    def _grid_parts(self, text_encoders: bool, unet: bool) -> list[str]:
        """The parts the trainer trains."""
        parts = dict.fromkeys(site.part for site in self._grid_state.grid.sites.all)
        return [part for part in parts if (unet if part == MAIN_PART else text_encoders)]

    @_no_type_error
    def _grid_groups(self, text_encoder_lr: Any = None, unet_lr: Any = None, default_lr: Any = None, **_: Any) -> Any:
        """The grid's own groups."""
        state = self._grid_state
        self.requires_grad_(True)  # type: ignore[attr-defined]
        modules = {module_name(m): m for m in network_modules(self, state.base)}  # type: ignore[arg-type]
        parts = {site.part for site in state.grid.sites.all if site.name in modules or site.name in state.dropped}
        facts = {**state.dropped, **{name: facts_of(module) for name, module in modules.items()}}
        lrs = trainer_lrs(text_encoder_lr, unet_lr, default_lr)
        plan = replace(make_plan(state.grid, facts, lrs, sorted(parts)), element_size=_element_size(state.args))
        named = {name: named_parameters(m, name) for name, m in modules.items()}
        kinds: Mapping[str, Hashable] = {}
        state.resumed = self._grid_resumed(text_encoder_lr, unet_lr, default_lr)
        if state.resumed is not None:
            plan = state.resumed.with_saved_lrs(plan, named)
            kinds = state.resumed.kinds(name for parameters in named.values() for name, _ in parameters)
        state.plan = plan
        folded = takes_scales(getattr(state.args, "optimizer_type", None))
        groups, descriptions = build_groups(plan, named, kinds, folded)
        notices = [*state.notices, *many_groups(len(groups), state.grid.settings), *one_sided(state.plan, state.base)]
        state.plan = _with_notices(state.plan, notices)
        state.trainable = [parameter for group in groups for parameter in group["params"]]
        held = {id(parameter) for parameter in state.trainable}
        state.frozen = [p for p in self.parameters() if id(p) not in held]  # type: ignore[attr-defined]
        for parameter in state.frozen:
            parameter.requires_grad_(False)
        state.frozen_modules = [modules[r.site.name] for r in state.plan.rows if r.frozen and r.site.name in modules]
        if state.args is not None:
            check_groups(state.args, [group["lr"] for group in groups])
        logged = log_names(state.plan, groups, descriptions)
        if getattr(state.args, "logging_dir", None) or getattr(state.args, "log_with", None):
            state.plan = _with_notices(state.plan, about_folding(logged))
        self._grid_announce(groups, groups, descriptions, logged)
        return groups, logged

    def _grid_announce(
        self,
        groups: Sequence[dict[str, Any]],
        planned: Sequence[dict[str, Any]],
        descriptions: Sequence[str] | None,
        logged: Sequence[str] | None = None,
    ) -> None:
        """Prints the grid and what becomes of a resumed state; has the first step proven.

        Args:
            groups: as handed to the trainer.
            planned: the same, each with its ``lr`` and ``param_names``.
            logged: what the trainer's log calls the groups, where that is not ``descriptions``.
        """
        state = self._grid_state
        assert state.plan is not None
        sites = {site.name: site for site in state.grid.sites.all}
        upstreams_lrs = False
        if state.resumed is not None and (state.active or state.resumed.policy):
            state.resumed.compare(planned)
            state.plan = _with_notices(state.plan, state.resumed.lines(sites, state.base))
        elif state.resumed is not None:
            from lr_grid.resume import check_without_grid

            state.plan = _with_notices(state.plan, check_without_grid(state.resumed, planned))
            upstreams_lrs = True
        announce(state.plan, state.base, groups, descriptions, _plan_file(state.args), logged=logged)
        record = run_record(state.plan, state.base, state.active, optimizer_name(state.args) if state.args else None)
        for group, plain in zip(groups, planned, strict=True):
            group[RECORD] = {"lr": plain["lr"], "run": record, "grid": state.active}
        resumed, args = state.resumed, state.args
        state.proof = Proof(
            planned,
            sites,
            say,
            resumed=bool(getattr(args, "resume", None)),
            at_first_step=None if resumed is None or args is None else lambda: resumed.done(args),
            own_lrs=not upstreams_lrs,
        )

    def _grid_resumed(self, *lrs: Any) -> Resumed | None:
        """The state that the trainer will resume, with names, checked against this network."""
        state = self._grid_state
        policy = state.grid.settings.resume_grid
        if not getattr(state.args, "resume", None):
            return None
        from lr_grid.resume import layouts_of, resumed_state  # here: the trainer's start need not wait for it

        state_to_resume = resumed_state(state.args, policy)
        if state_to_resume is None or not (state.active or policy):
            return state_to_resume
        base = super()
        prepare = getattr(base, _MULTIPLE_TE_LRS, None) or base.prepare_optimizer_params  # type: ignore[attr-defined]
        if state.args is not None:
            state_to_resume.check_optimizer(optimizer_name(state.args))
        state_to_resume.check_shapes({name: tuple(t.shape) for name, t in self.state_dict().items()})  # type: ignore[attr-defined]
        state_to_resume.identify(lambda: layouts_of(self, state.base, prepare, lrs), state.base)  # type: ignore[arg-type]
        return state_to_resume

    @_no_type_error
    def _grid_watch(
        self, result: Any, text_encoder_lr: Any = None, unet_lr: Any = None, default_lr: Any = None, **_: Any
    ) -> Any:
        """Without a grid argument: the wrapped module's groups, untouched, shown as they are."""
        state = self._grid_state
        groups, descriptions = result if isinstance(result, tuple) else (result, None)
        # A group's params may be a view that can be read once: it is handed on as a list of the same order.
        for group in groups:
            group["params"] = list(group["params"])
        modules = network_modules(self, state.base)  # type: ignore[arg-type]
        lrs = trainer_lrs(text_encoder_lr, unet_lr, default_lr)
        names = {id(parameter): name for name, parameter in self.named_parameters()}  # type: ignore[attr-defined]
        for group in groups:
            group[NAMES] = [names[id(parameter)] for parameter in group["params"]]
        state.resumed = self._grid_resumed(text_encoder_lr, unet_lr, default_lr)
        if state.resumed is not None:
            state.resumed.keep_lrs_in(groups)
        plan = plan_of_groups(modules, state.base, state.grid, groups, lrs)
        state.plan = replace(plan, element_size=_element_size(state.args))
        state.notices += one_sided(state.plan, state.base)
        if not any(group["params"] for group in groups):
            raise GridError([NOTHING_TRAINS])
        if state.args is not None:
            check_negative(state.args, lrs_of_rows(state.plan.rows))
            given = getattr(state.args, "text_encoder_lr", None)
            if not hasattr(self, _MULTIPLE_TE_LRS) and isinstance(given, (list, tuple)) and len(set(given)) > 1:
                state.notices.append(one_te_lr(state.base, given[0]))
        state.plan = _with_notices(state.plan, [GRID_OFF.format(state.base), *state.notices])
        planned = [{**group, "lr": float(group.get("lr", lrs.default))} for group in groups]
        self._grid_announce(groups, planned, descriptions)
        return result


DEFAULT_OUTPUT_NAME = "last"
"""What the trainers call a LoRA without --output_name."""


def _plan_file(args: argparse.Namespace | None) -> Path | None:
    """Where the plan is written: beside the LoRA that the trainer saves."""
    folder = getattr(args, "output_dir", None)
    return (
        Path(folder) / f"{getattr(args, 'output_name', None) or DEFAULT_OUTPUT_NAME}.lr_grid.json" if folder else None
    )


def _element_size(args: argparse.Namespace | None) -> int:
    """Bytes of a trained number."""
    return 2 if getattr(args, "full_fp16", False) or getattr(args, "full_bf16", False) else 4


def _keeping_frozen(regularize: Callable[..., Any]) -> Callable[..., Any]:
    """--scale_weight_norms, leaving frozen weights as they are."""

    @functools.wraps(regularize)
    def wrapped(self: Any, *args: Any, **kwargs: Any) -> Any:
        # Buffers too: LyCORIS scales a buffer of the module.
        frozen = [
            tensor for module in self._grid_state.frozen_modules for tensor in (*module.parameters(), *module.buffers())
        ]
        kept = [(tensor, tensor.detach().clone()) for tensor in frozen]
        result = regularize(self, *args, **kwargs)
        for tensor, value in kept:
            tensor.data.copy_(value)
        return result

    return wrapped


def _with_notices(plan: Plan, notices: Sequence[str]) -> Plan:
    return replace(plan, notices=(*plan.notices, *notices))


def _forget_gradient(parameter: nn.Parameter) -> None:
    parameter.grad = None


def _without_a_place(names: set[str], facts: Mapping[str, ModuleFacts], parts: Sequence[str]) -> set[str]:
    """Of the modules that starting weights hold, those of the trained parts that the network has no place for."""
    return {name for name in names - facts.keys() if part_of(name) in parts}
