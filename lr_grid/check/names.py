"""Names of optimizers and schedulers, and lists that go with them: what the trainers stop at only when they are used.

Read off sd-scripts 48d368f (library/train_util.py, get_optimizer and get_scheduler_fix; sdxl_train.py) and musubi-tuner
30c658c (training/trainer_base.py, get_optimizer and get_lr_scheduler), torch 2.13's and transformers 4.54's names.
"""

from __future__ import annotations

import ast

from lr_grid.check.subject import Subject
from lr_grid.errors import did_you_mean, listed
from lr_grid.training.finding import Place

_TORCH = (
    *("Adadelta", "Adafactor", "Adagrad", "Adam", "Adamax", "AdamW", "ASGD", "LBFGS", "Muon", "NAdam", "RAdam"),
    *("RMSprop", "Rprop", "SGD", "SparseAdam"),
)
"""Classes of torch.optim, which both trainers take by their very name."""
_OWN = {
    "sd-scripts": (
        *("AdamW", "AdamW8bit", "PagedAdamW", "PagedAdamW8bit", "PagedAdamW32bit", "Lion", "Lion8bit"),
        *("PagedLion8bit", "SGDNesterov", "SGDNesterov8bit", "Adafactor", "Prodigy", "DAdaptation", "DAdaptAdam"),
        *("DAdaptAdamPreprint", "DAdaptAdaGrad", "DAdaptAdan", "DAdaptAdanIP", "DAdaptLion", "DAdaptSGD"),
        *("AdamWScheduleFree", "RAdamScheduleFree", "SGDScheduleFree"),
    ),
    "musubi-tuner": ("AdamW", "AdamW8bit", "Adafactor"),
}
"""What the trainers know themselves, in any case."""
_SCHEDULERS = (
    *("linear", "cosine", "cosine_with_restarts", "polynomial", "constant", "constant_with_warmup", "inverse_sqrt"),
    *("reduce_lr_on_plateau", "cosine_with_min_lr", "cosine_warmup_with_min_lr", "warmup_stable_decay"),
    "piecewise_constant",
)
_BLOCK_LRS = 23


def check_names(subject: Subject) -> None:
    """Notes names that do not exist, and lists that the trainer cannot read."""
    if subject.config.trainer is None:
        return
    _check_optimizer(subject)
    _check_scheduler(subject)
    for dest in ("optimizer_args", "lr_scheduler_args"):
        _check_pairs(subject, dest)
    _check_block_lr(subject)


def _given(subject: Subject, dest: str) -> str:
    """A text that was given and is known; empty for none."""
    value = subject.config.values.get(dest)
    return value if isinstance(value, str) and subject.is_known(dest) else ""


def _check_optimizer(subject: Subject) -> None:
    name = _given(subject, "optimizer_type")
    own = _OWN[str(subject.config.trainer)]
    # A dotted name is a class of another package.
    if not name or "." in name or name in _TORCH or name.lower() in map(str.lower, own):
        return
    known = list(dict.fromkeys((*own, *_TORCH)))
    spelled = {one.lower(): one for one in known}
    near = did_you_mean(name, spelled)
    near = next((near.replace(low, one) for low, one in spelled.items() if near == f" Did you mean {low}?"), "")
    message = f"optimizer_type: {name!r} is no optimizer that {subject.config.trainer} or torch.optim has"
    subject.tell("error", "optimizer_type", message, near.strip() or "Another package's is written package.Class")


def _check_scheduler(subject: Subject) -> None:
    name = _given(subject, "lr_scheduler")
    if not name or subject.get("lr_scheduler_type") or name.startswith("adafactor"):
        return
    if str(subject.get("optimizer_type") or "").lower().endswith("schedulefree"):  # it takes none
        return
    known = (*_SCHEDULERS, "rex") if subject.config.trainer == "musubi-tuner" else _SCHEDULERS
    if name not in known and not (name.lower() == "rex" and "rex" in known):
        near = did_you_mean(name, known).strip()
        cure = near or "A class of another package is given as lr_scheduler_type"
        subject.tell(
            "error", "lr_scheduler", f"lr_scheduler: {name!r} is no scheduler; there are {listed(known, 20)}", cure
        )


def _check_pairs(subject: Subject, dest: str) -> None:
    """The trainers split each at its ``=`` and read the value as Python's."""
    given = next((one for one in reversed(subject.config.given) if one.dest == dest and one.known), None)
    if given is None or not given.resolved or not isinstance(given.value, list):
        return
    for position, text in enumerate(map(str, given.value)):
        place: str | Place = given.items[position] if position < len(given.items) else dest
        key, equals, value = text.partition("=")
        if not equals or "=" in value or not key.strip():
            subject.tell("error", place, f"{dest}: {text!r} is no key=value pair, and the trainer stops at it")
        elif not _is_literal(value):
            message = f"{dest}: {text!r}: the trainer cannot read {value!r} (a number, True, False, None, a list or a"
            subject.tell("error", place, f"{message} text in quotes)")


def _is_literal(text: str) -> bool:
    try:
        ast.literal_eval(text)
    except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
        return False
    return True


def _check_block_lr(subject: Subject) -> None:
    """sdxl_train.py asserts the count."""
    text = _given(subject, "block_lr")
    count = len(text.split(","))
    if text and count != _BLOCK_LRS:
        message = f"block_lr: {count} values, and SDXL has {_BLOCK_LRS} blocks: the trainer stops"
        subject.tell("error", "block_lr", message, "0 embeddings, 1-9 input, 10-12 middle, 13-21 output, 22 out")
