"""Watches a full fine-tuning run from inside: every tensor that an optimizer was given, and how far a step moved it.

It looks at torch's side only (constructors of optimizers, global hooks round their steps); nothing of lr-grid is
patched or imported. Names come from a walk of its own through the living modules: ``Flux.double_blocks.0...``.
"""

from __future__ import annotations

import atexit
import functools
import gc
import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch.optim.optimizer import Optimizer, register_optimizer_step_post_hook, register_optimizer_step_pre_hook

MOMENT = "exp_avg"


def install(report_file: Path) -> None:
    probe = FullProbe()
    probe.watch_constructors()
    register_optimizer_step_pre_hook(probe.before_step)
    register_optimizer_step_post_hook(probe.after_step)
    atexit.register(lambda: report_file.write_text(json.dumps(probe.report()), encoding="utf-8"))


class Watched:
    """A tensor in an optimizer: its value at first and after the last step that was seen, and how far it went."""

    def __init__(self, tensor: torch.nn.Parameter, name: str, lr: float) -> None:
        self.tensor, self.name, self.lr = tensor, name, lr
        self.first = digest(tensor)
        self.last = value(tensor)
        self.moved: list[float] = []  # the largest change of an element, step by step
        self.moment = ""  # digest of the first moment before the first step: not empty in a resumed run

    def move(self) -> float:
        now = value(self.tensor)
        self.last, before = now, self.last
        return float((now.float() - before.float()).abs().max()) if now.numel() else 0.0


class FullProbe:
    def __init__(self) -> None:
        self._watched: dict[int, Watched] = {}  # by id of the tensor, which is held so that no id is used again
        self._optimizers: list[Optimizer] = []  # the outermost ones
        self._names: dict[int, str] = {}
        self._steps: list[dict[str, Any]] = []
        self._constructing = self._stepping = 0

    # --- constructors ---

    def watch_constructors(self) -> None:
        original = Optimizer.__init__

        @functools.wraps(original)
        def __init__(optimizer: Any, params: Any, *args: Any, **kwargs: Any) -> None:
            self._constructing += 1
            try:
                original(optimizer, params, *args, **kwargs)
            finally:
                self._constructing -= 1
            self._constructed(optimizer)

        Optimizer.__init__ = __init__  # type: ignore[method-assign]

    def _constructed(self, optimizer: Optimizer) -> None:
        held = [(p, float(group.get("lr") or 0.0)) for group in optimizer.param_groups for p in group["params"]]
        if not all(id(p) in self._names for p, _ in held):
            self._names |= names_of_living_modules()
        for p, lr in held:
            if id(p) not in self._watched:
                self._watched[id(p)] = Watched(p, self._names.get(id(p), f"? {tuple(p.shape)}"), lr)

    # --- steps ---

    def before_step(self, optimizer: Optimizer, *_: Any) -> None:
        # a wrapper's step calls the step of what it wraps, and torch may wrap the step of a class and of its parent
        self._stepping += 1
        if self._stepping > 1:
            return
        if optimizer not in self._optimizers:
            self._optimizers.append(optimizer)
            self._remember_moments(optimizer)
            for watched in self._of(optimizer):
                watched.move()  # what happened since the constructor, such as a change of type, is no step
        groups = [{"lr": float(g["lr"]), "initial_lr": g.get("initial_lr"), "tensors": len(g["params"])}
                  for g in optimizer.param_groups]  # fmt: skip
        self._steps.append({"optimizer": self._optimizers.index(optimizer), "groups": groups})

    def after_step(self, optimizer: Optimizer, *_: Any) -> None:
        self._stepping -= 1
        if not self._stepping:
            for watched in self._of(optimizer):
                watched.moved.append(watched.move())

    def _of(self, optimizer: Optimizer) -> Iterable[Watched]:
        return [self._watched[id(p)] for group in optimizer.param_groups for p in group["params"]]

    def _remember_moments(self, optimizer: Optimizer) -> None:
        for p, held in optimizer.state.items():
            if MOMENT in held and id(p) in self._watched:
                self._watched[id(p)].moment = digest(held[MOMENT])

    # --- the report ---

    def report(self) -> dict[str, Any]:
        stateful = {id(p) for optimizer in self._optimizers for p, held in optimizer.state.items() if held}
        return {
            "optimizers": [class_name(optimizer) for optimizer in self._optimizers],
            "groups": [[self._group(group) for group in optimizer.param_groups] for optimizer in self._optimizers],
            "steps": self._steps,
            "tensors": [self._tensor(watched, id_ in stateful) for id_, watched in self._watched.items()],
        }

    def _group(self, group: dict[str, Any]) -> dict[str, Any]:
        labels = {key: held for key, held in group.items() if isinstance(held, str | int | float | bool)}
        return {"names": [self._names.get(id(p), "?") for p in group["params"]], "labels": labels}

    @staticmethod
    def _tensor(watched: Watched, state: bool) -> dict[str, Any]:
        moved = watched.moved
        rest = watched.move()  # what moved without a step: fused backward passes
        return {
            "name": watched.name,
            "shape": list(watched.tensor.shape),
            "dtype": str(watched.tensor.dtype),
            "lr": watched.lr,
            "moved": moved,
            "moved_outside": rest,
            "before": watched.first,
            "after": digest(watched.tensor),
            "moment": watched.moment,
            "state": state,
            "trainable": watched.tensor.requires_grad,
        }


def names_of_living_modules() -> dict[int, str]:
    """Id of a parameter -> the class of the outermost module that holds it and the path there.

    (``type`` and not ``isinstance``, because lazy proxies load themselves when asked.)
    """
    modules = [o for o in gc.get_objects() if issubclass(type(o), torch.nn.Module)]
    inner = {id(child) for module in modules for child in vars(module).get("_modules", {}).values()}
    names = {}
    for root in modules:
        if id(root) not in inner and "_modules" in vars(root):
            names |= {id(p): f"{type(root).__name__}.{name}" for name, p in root.named_parameters()}
    return names


def class_name(thing: Any) -> str:
    return f"{type(thing).__module__}.{type(thing).__qualname__}"


def value(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.detach().clone()


def digest(tensor: torch.Tensor) -> str:
    flat = tensor.detach().cpu().contiguous().flatten().view(torch.uint8)
    return hashlib.sha256(flat.numpy().tobytes()).hexdigest()[:16]
