"""What each scheduler does with the ratios between group LRs, as measured (docs/optimizers.md).

By the names that the trainers give to --lr_scheduler, and by the classes that --lr_scheduler_type can name in torch
2.13.0, transformers 4.54.1, diffusers 0.32.1 and pytorch-optimizer 3.9.0.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

KEEPS = "keeps"
"""Scales every group's own LR."""
LISTS = "lists"
"""Takes its LRs from options: one number for all groups, or a list with one for each."""
FLATTENS = "flattens"
"""Gives all groups one LR, whatever it is given."""
FLOOR = "floor"
"""Lets all groups sink to one absolute LR."""
UNUSABLE = "unusable"
"""No trainer can build or step it."""


class Conduct(NamedTuple):
    """What a scheduler does with group LRs."""

    kind: str
    options: tuple[str, ...] = ()
    """Of LISTS: those that must be lists. Of FLOOR: the one that is the floor, 0 by default."""
    why: str = ""
    cure: str = ""


_KEEPS = Conduct(KEEPS)
_ANNEALING = Conduct(FLOOR, ("eta_min",))
_FUNCTION = Conduct(UNUSABLE, why="wants a function, which no command line can hand it")
_SCHEDULERS = Conduct(UNUSABLE, why="wants other schedulers, which no command line can hand it")
_MEASURE = Conduct(UNUSABLE, why="wants a measured loss at every step, and the trainers give none")
_PEAK = Conduct(FLATTENS)
_UNBUILT = Conduct(UNUSABLE, why="is built by neither trainer (it gets an argument that it does not take)")
_TORCH = {
    **dict.fromkeys(("steplr", "multisteplr", "exponentiallr", "linearlr", "constantlr", "polynomiallr"), _KEEPS),
    **dict.fromkeys(("cosineannealinglr", "cosineannealingwarmrestarts"), _ANNEALING),
    "onecyclelr": Conduct(LISTS, ("max_lr",)),
    "cycliclr": Conduct(LISTS, ("base_lr", "max_lr")),
    "swalr": Conduct(LISTS, ("swa_lr",)),
    "reducelronplateau": _MEASURE,
    **dict.fromkeys(("lambdalr", "multiplicativelr"), _FUNCTION),
    **dict.fromkeys(("sequentiallr", "chainedscheduler"), _SCHEDULERS),
}
_NAMES = "constant constant_with_warmup linear cosine cosine_with_restarts polynomial inverse_sqrt cosine_with_min_lr"
_FUNCTIONS = {
    f"get_{name}": _KEEPS
    for name in (
        *("constant_schedule", "constant_schedule_with_warmup", "linear_schedule_with_warmup", "inverse_sqrt_schedule"),
        *("cosine_schedule_with_warmup", "cosine_with_hard_restarts_schedule_with_warmup", "wsd_schedule"),
        *("polynomial_decay_schedule_with_warmup", "cosine_with_min_lr_schedule_with_warmup"),
        "piecewise_constant_schedule",
    )
}

SCHEDULERS: Mapping[str, Mapping[str, Conduct]] = {
    "": {
        **dict.fromkeys((*_NAMES.split(), "warmup_stable_decay", "piecewise_constant", "rex"), _KEEPS),
        "adafactor": Conduct(FLATTENS),
        "reduce_lr_on_plateau": _UNBUILT,
        "cosine_warmup_with_min_lr": Conduct(UNUSABLE, why=_UNBUILT.why, cure="Use cosine_with_min_lr"),
    },
    "torch": _TORCH,
    "transformers": _FUNCTIONS,
    "diffusers": _FUNCTIONS,
    "pytorch_optimizer": {
        **_TORCH,
        **dict.fromkeys(("get_chebyshev_schedule", "get_wsd_schedule"), _KEEPS),
        **dict.fromkeys(("cosineannealingwarmuprestarts", "rexscheduler", "cosinescheduler"), _PEAK),
        **dict.fromkeys(("linearscheduler", "polyscheduler"), _PEAK),
    },
}
"""Package ("": the trainers' own names) -> class or name -> conduct, all in lower case."""
