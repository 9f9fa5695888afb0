"""Optimizers by class: how the LR of each stands to AdamW's, and how it follows the batch size."""

from __future__ import annotations

from dataclasses import dataclass

from lr_grid.errors import GridError
from lr_grid.recommend.names import find, nearest


@dataclass(frozen=True, slots=True)
class OptimizerClass:
    """``low``, ``typical``, ``high``: its LR over AdamW's; None where no ratio is known. Batch exponents: low,
    typical, high e of LR ~ batch^e."""

    title: str
    ratio: tuple[float, float, float] | None
    batch: tuple[float, float, float]
    why: str
    source: str
    own_lr: bool = False
    """It finds its LR itself: the trainer's LR is 1."""


# The low exponent is what our sweep of batch 12, 48, 192 gave under Adam (best LR 1.2e-2, 1.2e-2, 2.4e-2).
_ROOT = (0.25, 0.5, 0.5)
_LINEAR = (0.5, 1.0, 1.0)

_ADAM = OptimizerClass("Adam-like", (1, 1, 1), _ROOT, "steps of AdamW's size", "the anchors are AdamW's own")
_FACTORED = OptimizerClass(
    "Adafactor, CAME",
    (1, 1, 1),
    _ROOT,
    "as AdamW, with a fixed LR: Adafactor needs relative_step=False scale_parameter=False warmup_init=False (with "
    "relative_step it sets its own LR and a grid does nothing)",
    "sd-scripts docs/flux_train_network.md (its Adafactor arguments); no ratio to AdamW is published",
)
_LION = OptimizerClass(
    "Lion",
    (1 / 10, 1 / 5, 1 / 3),
    _ROOT,
    "the sign of every element: larger steps, so 3 to 10 times lower (and weight decay as much higher)",
    "Lion, arXiv 2302.06675, section 5",
)
_MUON = OptimizerClass(
    "Muon",
    (1, 1, 10),
    _ROOT,
    "AdamW's LR where its updates are scaled to AdamW's size (adjust_lr_fn='match_rms_adamw' in torch); torch's "
    "default scaling makes smaller steps and wants up to about ten times more",
    "Moonlight, arXiv 2502.16982 (0.2 sqrt(max side) matches AdamW's RMS)",
)
_SCHEDULE_FREE = OptimizerClass(
    "schedule-free Adam",
    (1, 1, 10),
    _ROOT,
    "1 to 10 times AdamW's; begin at 1 and go up; no LR scheduler beside it",
    "schedule_free's README (AdamW: 1x to 10x)",
)
_SGD = OptimizerClass(
    "SGD",
    None,
    _LINEAR,
    "its LR has the unit of weights over gradients: no ratio to AdamW's LR exists",
    "linear batch rule: arXiv 1706.02677",
)
_OWN_SCALE = OptimizerClass(
    "layer-wise or accumulating", None, _ROOT, "no ratio to AdamW's LR is published", "none found"
)
_FINDS_ITS_LR = OptimizerClass(
    "Prodigy, D-Adaptation",
    (1, 1, 1),
    (0, 0, 0),
    "it finds its own LR: set 1. No grid: with different LRs a group it stops at the first step, or uses the first "
    "group's for all (prodigy-plus-schedule-free takes group LRs, as factors of the step size it finds)",
    "measured: prodigyopt, dadaptation, pytorch_optimizer",
    own_lr=True,
)

OPTIMIZERS: dict[str, OptimizerClass] = {
    **dict.fromkeys(
        ("AdamW", "AdamW8bit", "PagedAdamW", "PagedAdamW8bit", "PagedAdamW32bit", "Adam", "Adam8bit", "NAdam", "RAdam"),
        _ADAM,
    ),
    **dict.fromkeys(("AdEMAMix", "AdEMAMix8bit", "Adopt", "RMSprop", "RMSprop8bit"), _ADAM),
    **dict.fromkeys(("AdaFactor", "CAME", "CAME8bit"), _FACTORED),
    **dict.fromkeys(("Lion", "Lion8bit", "PagedLion8bit", "Tiger"), _LION),
    **dict.fromkeys(("Muon", "AdaMuon"), _MUON),
    **dict.fromkeys(("AdamWScheduleFree", "RAdamScheduleFree"), _SCHEDULE_FREE),
    **dict.fromkeys(("SGD", "SGD8bit", "SGDNesterov", "SGDNesterov8bit", "SGDScheduleFree"), _SGD),
    **dict.fromkeys(
        ("Adagrad", "Adagrad8bit", "Lars", "Lars8bit", "Lamb", "Lamb8bit", "SimplifiedAdEMAMix"), _OWN_SCALE
    ),
    **dict.fromkeys(("Prodigy", "ProdigyPlusScheduleFree", "DAdaptation", "DAdaptAdamPreprint"), _FINDS_ITS_LR),
    **dict.fromkeys(("DAdaptAdaGrad", "DAdaptAdam", "DAdaptAdan", "DAdaptAdanIP"), _FINDS_ITS_LR),
    **dict.fromkeys(("DAdaptLion", "DAdaptSGD"), _FINDS_ITS_LR),
}
_ALIASES = {"Lam": "Lamb", "Lam8bit": "Lamb8bit", "adamw_fused": "AdamW"}


def find_optimizer(name: str, option: str = "--optimizer") -> tuple[str, OptimizerClass]:
    """(its usual name, its class). A dotted path (``bitsandbytes.optim.AdEMAMix8bit``) is known by its last word.

    Args:
        option: what a message names.

    Raises: GridError with a near name.
    """
    word = name.rpartition(".")[2]
    found = find(word, OPTIMIZERS, _ALIASES)
    if found is None:
        near = nearest(word, OPTIMIZERS, _ALIASES)
        raise GridError([f"{option}: {name!r} is unknown; there are {', '.join(OPTIMIZERS)}.{near}"])
    return found, OPTIMIZERS[found]
