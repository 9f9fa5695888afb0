"""What each optimizer does with the LRs of its groups, as measured (docs/optimizers.md).

Measured were torch 2.13.0, bitsandbytes 0.50.2 (CPU), transformers 4.54.1, lion-pytorch 0.2.3, prodigyopt 1.1.2,
dadaptation 3.2, schedulefree 1.4, prodigy-plus-schedule-free 1.9.2, came-pytorch 0.1.3 and pytorch-optimizer 3.9.0.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

HONOURS = "honours"
"""Moves every group by its own LR."""
FACTORS = "factors"
"""Finds a step size of its own; a group's LR is a factor of it."""
ONE_LR = "one LR"
"""Stops at the first step where LRs differ, or moves all groups by the first one's without a word."""
OWN_LR = "own LR"
"""Sets its own LR and leaves the groups' aside."""
BENDS = "bends"
"""Follows a group's LR, and something of each tensor's own beside it."""
FAR = "far"
"""Follows a group's LR so loosely that the ratios are lost."""
UNUSABLE = "unusable"
"""No trainer can train with it as it stands, whatever the grid."""


class Conduct(NamedTuple):
    """What an optimizer does with group LRs."""

    kind: str
    why: str = ""
    """Goes on after the optimizer's name: ``it stops at the first step``."""
    cure: str = ""
    """Where it is another than that of its kind."""


_HONOURS = Conduct(HONOURS)
_STOPS = Conduct(ONE_LR, "it stops at the first step")
_FIRST = Conduct(ONE_LR, "it silently moves all by the first group's")
_NORM = Conduct(BENDS, "scales every tensor's LR by the norm of its weights, which grows faster where the LR is higher")
_CLOSURE = Conduct(UNUSABLE, "wants a closure that computes the loss again, and the trainers give none")
_NO_GROUPS = Conduct(UNUSABLE, "takes no parameter groups")
_GRAPH = Conduct(UNUSABLE, "wants second derivatives (create_graph), and the trainers do not compute them")
_DISTRIBUTED = Conduct(UNUSABLE, "wants a process group of several GPUs")
_WRAPPER = Conduct(UNUSABLE, "wraps another optimizer, which no command line can hand it")
_MUON_GROUPS = Conduct(UNUSABLE, "wants use_muon in every parameter group", "Use Muon (torch's own)")
_OWN_COURSE = Conduct(OWN_LR, "sets its own LR in the course of the run")
_LOOSE = Conduct(FAR, "moves groups by other ratios than those of their LRs")
ADAFACTOR_FIXED = "relative_step=False scale_parameter=False warmup_init=False"


def _all(names: str, conduct: Conduct = _HONOURS) -> dict[str, Conduct]:
    return dict.fromkeys(names.lower().split(), conduct)


OPTIMIZERS: Mapping[str, Mapping[str, Conduct]] = {
    "torch": {
        **_all("Adadelta Adagrad Adam Adamax AdamW ASGD Muon NAdam RAdam RMSprop SGD"),
        "adafactor": _NORM,
        "rprop": Conduct(
            OWN_LR, "takes the LR for the size of its first step only (0 in a warm-up), then sets its own"
        ),
        "lbfgs": _NO_GROUPS,
        "sparseadam": Conduct(UNUSABLE, "takes sparse gradients only, and a LoRA's are dense"),
    },
    "bitsandbytes": {
        **_all("Adam Adam8bit Adam32bit PagedAdam PagedAdam8bit PagedAdam32bit AdamW AdamW8bit AdamW32bit PagedAdamW"),
        **_all("PagedAdamW8bit PagedAdamW32bit AdEMAMix AdEMAMix8bit PagedAdEMAMix PagedAdEMAMix8bit Lion Lion8bit"),
        **_all("Lion32bit PagedLion PagedLion8bit RMSprop RMSprop8bit Adagrad Adagrad8bit SGD SGD8bit"),
        **_all("LAMB LAMB8bit", _NORM),
    },
    "transformers": {"adafactor": Conduct(OWN_LR)},
    "lion_pytorch": _all("Lion"),
    "lr_grid": _all("AdamW Lion SGD"),
    "came_pytorch": _all("CAME"),
    "prodigyopt": {"prodigy": _STOPS},
    "dadaptation": {
        **_all("DAdaptAdam DAdaptAdamPreprint DAdaptLion DAdaptSGD", _STOPS),
        **_all("DAdaptAdaGrad DAdaptAdan DAdaptAdanIP", _FIRST),
    },
    "schedulefree": {
        **_all("AdamWScheduleFree RAdamScheduleFree SGDScheduleFree AdamWScheduleFreeReference"),
        **_all("AdamWScheduleFreeClosure RAdamScheduleFreeClosure SGDScheduleFreeClosure", _CLOSURE),
        "schedulefreewrapper": _WRAPPER,
    },
    "prodigyplus": {"prodigyplusschedulefree": Conduct(FACTORS)},
    "pytorch_optimizer": {
        **_all("AccSGD AdaBelief AdaDelta AdaGC AdaMax AdaMod AdaNorm AdaPNM AdaSmooth AdaTAM Adai Adalite Adam AdamC"),
        **_all("AdamG AdamP AdamS AdamW AdamWSN Adan AdEMAMix ADOPT AggMo Aida Amos Ano APOLLO AvaGrad BCOS CAME"),
        **_all("Conda DiffGrad EmoNeco EmoZeal EXAdam FAdam Fira FOCUS GaLore Grams GrokFastAdamW Kate LaProp Lion"),
        **_all("MARS MSVAG NAdam NovoGrad PAdam PID PNM QHM RACS RAdam RMSprop ScalableShampoo ScheduleFreeAdamW"),
        **_all("ScheduleFreeSGD"),
        **_all("SCION SCIONLight SGD SGDP SGDSaI SGDW SignSGD SimplifiedAdEMAMix SM3 SOAP SPAM SPlus StableAdamW"),
        **_all("Shampoo StableSPAM SWATS TAM Tiger VSGD Yogi"),
        **_all("Prodigy DAdaptAdaGrad DAdaptAdam DAdaptAdan DAdaptLion DAdaptSGD", _FIRST),
        **_all("A2Grad ApolloDQN EmoFact EmoLynx EmoNavi", _OWN_COURSE),
        "adafactor": Conduct(OWN_LR),
        **_all("Fromage LARS", _NORM),
        **_all("AdaBound ASGD FTRL Gravity Lamb MADGRAD Nero Ranger21 Ranger25 SRMM", _LOOSE),
        "kron": Conduct(BENDS, "draws at random when to renew its preconditioners, for each tensor by itself"),
        **_all("AliG", _CLOSURE),
        **_all("AdaHessian SophiaH", _GRAPH),
        **_all("AdaLOMO AdamMini LOMO LBFGS", _NO_GROUPS),
        **_all("DeMo DistributedMuon", _DISTRIBUTED),
        **_all("Muon AdaMuon AdaGO", _MUON_GROUPS),
        **_all("FriendlySAM GSAM SAM LookSAM WSAM BSAM Lookahead OrthoGrad TRAC ScheduleFreeWrapper", _WRAPPER),
        **_all("PCGrad SafeFP16Optimizer", _WRAPPER),
    },
}
"""Package -> class -> conduct, all in lower case. What is not here was not measured."""
