"""Watches a training run from inside and writes what it saw as JSON: parameter groups, learning rates, gradient norms.

It looks at torch's and accelerate's side only (a global optimizer hook, a wrapper round ``clip_grad_norm_``); nothing
of lr-grid is patched or imported, so what it reports is what the optimizer really got.
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

import accelerate
import torch
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

LISTS = ("unet_loras", "unet_ofts")  # what networks keep their U-Net modules in


def install(report_file: Path) -> None:
    probe = Probe()
    register_optimizer_step_pre_hook(probe.before_step)
    register_optimizer_step_post_hook(probe.after_step)
    probe.watch_clipping()
    atexit.register(lambda: report_file.write_text(json.dumps(probe.report), encoding="utf-8"))


class Probe:
    def __init__(self) -> None:
        self.report: dict[str, Any] = {"optimizer": None, "network": None, "groups": [], "steps": [], "clips": []}
        self._names: dict[int, str] = {}  # id of a network parameter -> its name
        self._parameters: list[torch.Tensor] = []  # the network's, held so that no id is used again
        self._depth = 0

    # --- the optimizer ---

    def before_step(self, optimizer: Any, *_: Any) -> None:
        # torch wraps `step` of a class and of the class it inherits from: one step then calls this hook twice, nested
        self._depth += 1
        if self._depth > 1:
            return
        groups = optimizer.param_groups
        if not self.report["steps"]:
            self._find_network(p for group in groups for p in group["params"])
            self.report["optimizer"] = type(optimizer).__name__
            self.report["groups"] = [self._group_names(group) for group in groups]
            self.report["moments"] = self._moments(optimizer)
        outside = self._outside(p for group in groups for p in group["params"])
        self.report["steps"].append(
            {
                "groups": [
                    {
                        "lr": float(group["lr"]),
                        "initial_lr": float(group["initial_lr"]) if "initial_lr" in group else None,
                        "tensors": len(group["params"]),
                    }
                    for group in groups
                ],
                "outside_with_grad": sum(p.grad is not None for p in outside),
            }
        )

    def _moments(self, optimizer: Any) -> dict[str, str]:
        """Of what a resumed optimizer holds of each parameter before its first step: a digest of the first moment."""
        return {
            self._names.get(id(p), "?"): hashlib.sha256(held["exp_avg"].float().numpy().tobytes()).hexdigest()
            for p, held in optimizer.state.items()
            if "exp_avg" in held
        }

    def after_step(self, *_: Any) -> None:
        self._depth -= 1

    def _group_names(self, group: dict[str, Any]) -> dict[str, Any]:
        names = [self._names.get(id(p), f"(not in the network) {tuple(p.shape)}") for p in group["params"]]
        others = {k: v for k, v in group.items() if isinstance(v, str)}
        return {"names": names, "param_names": group.get("param_names"), "labels": others}

    # --- clipping ---

    def watch_clipping(self) -> None:
        original = accelerate.Accelerator.clip_grad_norm_

        @functools.wraps(original)
        def clip_grad_norm_(accelerator: Any, parameters: Any, *args: Any, **kwargs: Any) -> Any:
            parameters = list(parameters) if not isinstance(parameters, torch.Tensor) else [parameters]
            held = [p for opt in accelerator._optimizers for group in opt.param_groups for p in group["params"]]
            self._find_network(held)
            outside = self._outside(held)
            record = {
                "clipped_tensors": len(parameters),
                "optimizer_norm": _grad_norm(held),
                "outside_norm": _grad_norm(outside),
                "outside_with_grad": sum(p.grad is not None for p in outside),
            }
            total = original(accelerator, parameters, *args, **kwargs)  # scales the gradients, so the norms come first
            self.report["clips"].append(record | {"total_norm": None if total is None else float(total)})
            return total

        accelerate.Accelerator.clip_grad_norm_ = clip_grad_norm_

    # --- the network ---

    def _find_network(self, held: Iterable[torch.Tensor]) -> None:
        """Find the live network among all objects: the one with a module list that owns most tensors in the optimizer.

        (There may be others, such as networks merged with ``--base_weights``. ``vars`` is not fooled by wrappers, which
        pass look-ups on; ``type`` and not ``isinstance``, because lazy proxies load themselves when asked.)
        """
        if self._parameters:
            return
        ids = {id(p) for p in held}
        modules = [o for o in gc.get_objects() if issubclass(type(o), torch.nn.Module)]
        networks = [o for o in modules if not vars(o).keys().isdisjoint(LISTS)]
        if not networks:
            return
        network = max(networks, key=lambda n: sum(id(p) in ids for p in n.parameters()))
        self._names = {id(p): name for name, p in network.named_parameters()}
        self._parameters = list(network.parameters())
        self.report["network"] = {
            "class": f"{type(network).__module__}.{type(network).__qualname__}",
            "tensors": len(self._parameters),
            "trainable": sum(p.requires_grad for p in self._parameters),
        }

    def _outside(self, held: Iterable[torch.Tensor]) -> list[torch.Tensor]:
        """The network's parameters that the optimizer does not hold."""
        ids = {id(p) for p in held}
        return [p for p in self._parameters if id(p) not in ids]


def _grad_norm(parameters: Iterable[torch.Tensor]) -> float:
    squares = (float(p.grad.detach().float().norm()) ** 2 for p in parameters if p.grad is not None)
    return sum(squares) ** 0.5
