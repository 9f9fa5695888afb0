"""What --known, --optimizer and the rest mean: from the command's arguments to a Setup or to LRTool's Configuration."""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

from lr_grid.errors import GridError, Problems, did_you_mean
from lr_grid.recommend import bounds
from lr_grid.recommend.lrtool import CHOICES, Configuration
from lr_grid.recommend.lrtool_profile import load, parse_warmup
from lr_grid.recommend.models import find_lrtool_model
from lr_grid.recommend.names import find, nearest
from lr_grid.recommend.run_setup import Known, Setup

RULES, LRTOOL, PROBE, COMMAND = "--method rules", "--method lrtool", "--from-probe", "--probe-command"
_SIZES = ("model", "rank", "alpha", "batch_size", "gradient_accumulation")
TAKES: Mapping[str, tuple[str, ...]] = {
    RULES: (*_SIZES, "optimizer", "loraplus_lr_ratio", "rs_lora", "full_finetune", "known", "base_lr", "into"),
    LRTOOL: (
        *(*_SIZES, "optimizer", "base_lr", "into", "resolution", "images", "steps"),
        *("scheduler", "warmup", "objective", "offset", "profile", "save_profile"),
    ),
    PROBE: ("optimizer", "loraplus_lr_ratio", "base_lr", "into"),
    COMMAND: ("probe_d0",),
}
"""Options by what is asked for; each does something there."""
_WHY = {
    PROBE: "the probe was taken with the run's own model, rank, alpha and batch",
    COMMAND: "the command is the run's own",
}
_LRTOOL_FIELDS = {
    "batch_size": "batch",
    "gradient_accumulation": "grad_accum",
    "offset": "slider_offset",
}
"""Our name of an option -> LRTool's."""
_SCHEDULERS = {
    "constant_with_warmup": "Constant",
    "cosine_with_restarts": "Cosine (Hard Restarts)",
}
_OPTIMIZERS = {"Lamb": "Lam", "Lamb8bit": "Lam (8-Bit)", "PagedAdamW8bit": "AdamW (8-Bit)", "PagedAdamW": "AdamW"}


def asked_for(args: argparse.Namespace) -> str:
    """Which of the four ways is asked for.

    Raises: GridError for two at once, and for every option that does nothing there.
    """
    _refuse_empty(args)
    ways = [PROBE] * (args.from_probe is not None) + [COMMAND] * (args.probe_command is not None)
    if args.method is not None:
        ways.append(f"--method {args.method}")
    if len(ways) > 1:
        raise GridError([f"{' and '.join(ways)}: give one of them"])
    way = ways[0] if ways else RULES
    problems = Problems()
    for option in sorted({name for names in TAKES.values() for name in names} - set(TAKES[way])):
        if getattr(args, option) not in (None, False):
            others = ", ".join(other for other, names in TAKES.items() if option in names)
            why = f" ({_WHY[way]})" if way in _WHY and option in _SIZES else ""
            problems.add(f"--{option} does nothing with {way}{why}: it belongs to {others}")
    if args.base_lr is not None:
        bounds.check(problems, "--base_lr", args.base_lr, bounds.LR)
    if args.words and way != COMMAND:
        example = "--probe-command -- accelerate launch ..."
        problems.add(f"{args.words[0]!r} belongs to no option: words stand behind {example}, a model behind --model")
    problems.raise_if_any()
    return way


def _refuse_empty(args: argparse.Namespace) -> None:
    """Raises: GridError for every option whose value is empty: the shell's variable was, most likely."""
    problems = Problems()
    for option, value in vars(args).items():
        if isinstance(value, str) and not value.strip() and not (option == "probe_command" and args.words):
            name = f"--{option.replace('_', '-')}" if option in ("from_probe", "probe_command") else f"--{option}"
            problems.add(f"{name} is empty: give a value, or leave it out")
    problems.raise_if_any()


def without_effect(args: argparse.Namespace) -> list[str]:
    """The given options of --method rules that change nothing for an optimizer that finds its LR itself."""
    names = (*_SIZES[1:], "loraplus_lr_ratio", "rs_lora", "full_finetune", "known")
    return [f"--{name}" for name in names if getattr(args, name) not in (None, False)]


def setup(args: argparse.Namespace) -> Setup:
    """What --method rules starts from.

    Raises: GridError for a --known that cannot be read.
    """
    return Setup(
        model=args.model,
        rank=args.rank,
        alpha=args.alpha,
        rs_lora=args.rs_lora,
        batch_size=1 if args.batch_size is None else args.batch_size,
        gradient_accumulation=1 if args.gradient_accumulation is None else args.gradient_accumulation,
        optimizer=args.optimizer or "AdamW",
        loraplus=args.loraplus_lr_ratio,
        full_finetune=args.full_finetune,
        known=parse_known(args.known) if args.known else None,
    )


def parse_known(pairs: Sequence[str]) -> Known:
    """``lr=1e-4 rank=16 alpha=8 batch=2 optimizer=Lion`` -> Known.

    Raises: GridError with everything that is wrong.
    """
    allowed = [field.name for field in fields(Known)]
    problems = Problems()
    found: dict[str, Any] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals or key not in allowed:
            takes = ", ".join(f"{name}=..." for name in allowed)
            problems.add(f"--known takes {takes}, not {pair!r}.{did_you_mean(key, allowed)}")
        elif key in found:
            problems.add(f"--known gives {key} twice")
        elif not text.strip():
            problems.add(f"--known {key}= is empty: give a value, or leave it out")
            found[key] = None
        else:
            found[key] = text if key == "optimizer" else _positive(key, text, problems)
    if "lr" not in found:
        problems.add("--known needs lr=..., the LR that went well")
    problems.raise_if_any()
    return Known(**found)


def _positive(key: str, text: str, problems: Problems) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not number > 0:
        problems.add(f"--known {key}={text}: is no number above 0")
    return number


def configuration(args: argparse.Namespace) -> tuple[Configuration, list[str]]:
    """(LRTool's configuration, names of the fields that nobody gave, which keep LRTool's own defaults).

    Raises: GridError with everything that is unknown or cannot be read.
    """
    start = load(args.profile) if args.profile else Configuration()
    problems, changes = Problems(), {}
    for option in ("resolution", "images", "steps", "rank", "alpha", *_LRTOOL_FIELDS):
        if getattr(args, option) is not None:
            changes[_LRTOOL_FIELDS.get(option, option)] = getattr(args, option)
    if args.model is not None:
        _noting(problems, changes, "model", lambda: find_lrtool_model(args.model))
    elif not args.profile:
        problems.add("--model: which model? (or --profile, a profile of LRTool)")
    for name, aliases in (("optimizer", _OPTIMIZERS), ("scheduler", _SCHEDULERS), ("objective", {})):
        word = getattr(args, name)
        if word is not None:
            _noting(problems, changes, name, lambda n=name, w=word, a=aliases: _choice(n, w, a))
    if args.warmup is not None:
        try:
            changes["warmup"] = parse_warmup(args.warmup)
        except ValueError as error:
            problems.add(f"--warmup: {error}")
    problems.raise_if_any()
    untouched = [] if args.profile else [field.name for field in fields(Configuration) if field.name not in changes]
    return replace(start, **changes), [name for name in untouched if name != "slider_offset"]


def _noting(problems: Problems, changes: dict[str, Any], name: str, look_up: Any) -> None:
    try:
        changes[name] = look_up()
    except GridError as error:
        problems.add_all(error.problems)


def _choice(name: str, word: str, aliases: Mapping[str, str]) -> str:
    allowed = CHOICES[name]
    found = find(word.rpartition(".")[2] if name == "optimizer" else word, allowed, aliases)
    if found is None:
        near = nearest(word, allowed, aliases)
        raise GridError([f"--{name}: LRTool has no {word!r}; it has {', '.join(allowed)}.{near}"])
    return found
