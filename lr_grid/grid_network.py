"""The grid on a live network: what the trainer calls between making the network and the last step."""

from __future__ import annotations

import argparse
import functools
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from lr_grid.advice import same_names
from lr_grid.errors import GridError
from lr_grid.facts import facts_and_parameters, lrs_of_args
from lr_grid.folding import scheduled_lrs
from lr_grid.grid_state import GridState
from lr_grid.guards import bending, check_optimizer, check_repeats, idle_options, overruled
from lr_grid.network_groups import MULTIPLE_TE_LRS, own_groups, watch_groups
from lr_grid.plan import ModuleFacts, Plan, lrs_of_rows
from lr_grid.planner import make_plan
from lr_grid.report.trackers import log_picture
from lr_grid.sites import part_of
from lr_grid.upstream import network_modules, replace_modules
from lr_grid.weights import check_ranks, trained_names
from lr_grid.words import MAIN_PART


def swap_class(network: nn.Module, state: GridState) -> None:
    """Makes a network a grid network: its class becomes a subclass, the mixin first. isinstance checks keep holding."""
    base = type(network)
    members: dict[str, Any] = {}
    # Only where there is one: the trainer asks whether the network has it.
    if hasattr(base, "apply_max_norm_regularization"):
        members["apply_max_norm_regularization"] = _keeping_frozen(base.apply_max_norm_regularization)
    if state.active:
        members[MULTIPLE_TE_LRS] = _with_own_groups
    elif hasattr(base, MULTIPLE_TE_LRS):
        members[MULTIPLE_TE_LRS] = _watching(getattr(base, MULTIPLE_TE_LRS))
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
            facts, _ = facts_and_parameters(modules)
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
                self._record_norms(state.plan, state.plan_file)
        return super().on_epoch_start(*args, **kwargs)  # type: ignore[misc]

    def _record_norms(self, plan: Plan, plan_file: Path | None) -> None:
        """log_grad_norms, for as long as the network lives."""
        from lr_grid.norms.start import norms_file, start_norms  # here: most runs record none

        modules = network_modules(self, self._grid_state.base)  # type: ignore[arg-type]
        _, named = facts_and_parameters(modules)
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
        lrs = (text_encoder_lr, unet_lr, default_lr)
        return own_groups(self, self._grid_state, lrs, self._base_prepare)  # type: ignore[arg-type]

    @_no_type_error
    def _grid_watch(
        self, result: Any, text_encoder_lr: Any = None, unet_lr: Any = None, default_lr: Any = None, **_: Any
    ) -> Any:
        """Without a grid argument: the wrapped module's groups, untouched, shown as they are."""
        lrs = (text_encoder_lr, unet_lr, default_lr)
        watch_groups(self, self._grid_state, result, lrs, self._base_prepare)  # type: ignore[arg-type]
        return result

    @property
    def _base_prepare(self) -> Callable[..., Any]:
        """The wrapped module's own way to its groups."""
        base = super()
        return getattr(base, MULTIPLE_TE_LRS, None) or base.prepare_optimizer_params  # type: ignore[attr-defined]


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


def _forget_gradient(parameter: nn.Parameter) -> None:
    parameter.grad = None


def _without_a_place(names: set[str], facts: Mapping[str, ModuleFacts], parts: Sequence[str]) -> set[str]:
    """Of the modules that starting weights hold, those of the trained parts that the network has no place for."""
    return {name for name in names - facts.keys() if part_of(name) in parts}
