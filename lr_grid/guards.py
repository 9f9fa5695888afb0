"""Optimizers and schedulers that cannot obey a grid, told before training starts.

What each does with group LRs was measured: equal gradients, LRs 1 and 0.5 (and 1 and -1) in two groups, the movement
compared.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable

from lr_grid.errors import Problems

_SWITCH = (
    "Use AdamW, AdamW8bit, Lion, AdamWScheduleFree or prodigyplus.ProdigyPlusScheduleFree"
    " (an own d for each group), or give every part the same LR"
)


def optimizer_name(args: argparse.Namespace) -> str:
    """The optimizer the trainer will build, in lower case (--use_8bit_adam, --use_lion_optimizer: older spellings)."""
    if getattr(args, "use_8bit_adam", False):
        return "adamw8bit"
    if getattr(args, "use_lion_optimizer", False):
        return "lion"
    return (getattr(args, "optimizer_type", None) or "AdamW").lower()


def _flattening(args: argparse.Namespace) -> str:
    """The option by which the trainer's scheduler gives all groups one LR; empty where it scales each group's own.

    torch's two do so unless max_lr (and CyclicLR's base_lr) is a list; musubi-tuner's rex (modules/lr_schedulers.py)
    does in its warmup.
    """
    name = getattr(args, "lr_scheduler_type", None) or ""
    given = dict(a.partition("=")[::2] for a in getattr(args, "lr_scheduler_args", None) or [])
    if name.lower().endswith(("onecyclelr", "cycliclr")):
        lists = ("max_lr", "base_lr") if name.lower().endswith("cycliclr") else ("max_lr",)
        scaled = all(given.get(key, "").strip().startswith(("[", "(")) for key in lists)
        return "" if scaled else f"--lr_scheduler_type {name}"
    rex = not name and (getattr(args, "lr_scheduler", None) or "").lower() == "rex"
    return "--lr_scheduler rex with --lr_warmup_steps" if rex and getattr(args, "lr_warmup_steps", 0) else ""


def _relative_step(args: argparse.Namespace, name: str) -> bool:
    """Whether this is an Adafactor that sets its own LR (relative_step is the default)."""
    if "adafactor" not in name.rpartition(".")[2]:
        return False
    given = dict(a.partition("=")[::2] for a in getattr(args, "optimizer_args", None) or [])
    off = given.get("relative_step", "").strip().lower() == "false"
    return not off or given.get("warmup_init", "").strip().lower() == "true"


def _knows_one_lr(name: str) -> bool:
    """prodigyopt's Prodigy and most of dadaptation stop at the first step when LRs differ; DAdaptAdaGrad, DAdaptAdan
    and all of pytorch_optimizer's silently move every group by the first group's."""
    cls = name.rpartition(".")[2]
    return cls == "prodigy" or cls.startswith("dadapt")


def _refuses_negative(name: str) -> str:
    """Why an optimizer cannot take a negative LR; empty where it can."""
    cls = name.rpartition(".")[2]
    if cls == "radamschedulefree":
        return "weighs its steps by the largest LR so far, which stays 0, so nothing would move"
    if cls.startswith(("dadapt", "prodigy")):
        return "estimates its step size on the way down, so a way up has none"
    return ""


def check_optimizer(args: argparse.Namespace, lrs: Iterable[float]) -> None:
    """Raises GridError where the trainer's optimizer cannot give the groups of a grid their LRs.

    Args:
        args: the trainer's arguments.
        lrs: the absolute LRs of all groups.
    """
    distinct = sorted(set(lrs))
    problems = Problems()
    name, shown = optimizer_name(args), _shown(args)
    unet_lr = getattr(args, "unet_lr", None)
    trainers = getattr(args, "learning_rate", None) if unet_lr is None else unet_lr
    if set(distinct) - {trainers} and _relative_step(args, name):
        problems.add(
            f"--optimizer_type {shown} with relative_step (its default) sets its own LR and ignores the grid's"
            f" {len(distinct)}. Add --optimizer_args relative_step=False scale_parameter=False warmup_init=False"
        )
    if len(distinct) > 1:
        if _knows_one_lr(name):
            problems.add(
                f"--optimizer_type {shown} knows one LR for all groups, this grid has {len(distinct)}: it would stop at"
                f" the first step, or silently use the first. {_SWITCH}"
            )
        flattening = _flattening(args)
        if flattening:
            problems.add(
                f"{flattening} gives all groups one LR and flattens the grid's {len(distinct)}."
                " Use constant, cosine, linear, polynomial or another that scales each group's own"
            )
    _note_negative(args, distinct, problems)
    problems.raise_if_any()


def check_negative(args: argparse.Namespace, lrs: Iterable[float]) -> None:
    """Raises GridError for a negative LR (unlearning) where the trainer's optimizer does not take one."""
    problems = Problems()
    _note_negative(args, sorted(set(lrs)), problems)
    problems.raise_if_any()


def _note_negative(args: argparse.Namespace, distinct: list[float], problems: Problems) -> None:
    if not distinct or distinct[0] >= 0:
        return
    reason = _refuses_negative(optimizer_name(args))
    if reason:
        problems.add(
            f"an LR of {distinct[0]:g} is negative (unlearning), and --optimizer_type {_shown(args)} {reason}."
            " Use AdamW"
        )
    if (getattr(args, "learning_rate", None) or 0) < 0:
        problems.add(
            f"--learning_rate {args.learning_rate:g}: optimizers refuse a negative default LR; give --learning_rate as"
            " a positive number and the negative one as --unet_lr or in the grid"
        )


# Of anima_train_network.py: it takes them, but only full fine-tuning reads them. -> what does it for a LoRA.
_FULL_TUNING_LRS = {
    "self_attn_lr": "self_attn_lr",
    "cross_attn_lr": "cross_attn_lr",
    "mlp_lr": "ffn_lr",
    "mod_lr": "mod_lr",
    "llm_adapter_lr": "block_lr=llm_adapter:...",
}


def idle_options(args: argparse.Namespace, base: str = "", takes_dropout: bool = True) -> list[str]:
    """Lines about options of the trainer that are taken and ignored: those that look like a grid's, and dropout where
    it does not reach the wrapped module."""
    lines = []
    if getattr(args, "network_dropout", None) and not takes_dropout:
        cure = ": give dropout=... in --network_args" if base.startswith("lycoris") else ""
        lines.append(f"--network_dropout {args.network_dropout:g} does nothing to {base} here{cure}")
    return lines + [
        f"--{option} is for full fine-tuning, the trainer ignores it here: put {key} into --network_args"
        for option, key in _FULL_TUNING_LRS.items()
        if getattr(args, option, None) is not None
    ]


def _shown(args: argparse.Namespace) -> str:
    return getattr(args, "optimizer_type", None) or optimizer_name(args)
