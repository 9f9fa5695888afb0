"""What ``lr-grid show`` is asked to show: a model, --network_args and a run, from a training config or from options."""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lr_grid.cli import source
from lr_grid.errors import GridError, Problems

if TYPE_CHECKING:
    from lr_grid.models import Blueprint
    from lr_grid.preview import Preview, Run
    from lr_grid.training import TrainingConfig

_NUMBERS = ("learning_rate", "unet_lr", "network_dim", "network_alpha")


@dataclass(frozen=True)
class Asked:
    """One grid on one model."""

    model: Blueprint
    arguments: Mapping[str, Any]
    """--network_args"""
    run: Run
    config: TrainingConfig | None = None
    """The training config it comes from."""
    notes: tuple[str, ...] = ()

    def preview(self) -> Preview:
        """The plan. Raises: GridError with what the run would refuse."""
        from lr_grid.folding import scheduled_lrs
        from lr_grid.guards import bending, check_optimizer
        from lr_grid.plan import lrs_of_rows
        from lr_grid.preview import preview

        made = preview(self.model, self.arguments, self.run)
        if self.config is not None and made.is_grid:
            args, lrs = argparse.Namespace(**self.config.defaults()), lrs_of_rows(made.plan.rows)
            scheduled = scheduled_lrs(made.plan, args.optimizer_type)
            check_optimizer(args, lrs, scheduled)
            plan = replace(made.plan, notices=(*made.plan.notices, *bending(args, lrs, scheduled)))
            made = replace(made, plan=plan)
        return made


def read_asked(args: argparse.Namespace) -> Asked:
    """The first grid: of the config that was named, then of the options, which win.

    Raises: GridError where they do not say which model, or are wrong.
    """
    from lr_grid.models import find_model
    from lr_grid.preview import Run

    _check(args)
    words = [*args.source, *([args.config] if args.config else [])]
    if words:
        asked = of_config(words, args.model)
    elif args.model:
        asked = Asked(find_model(args.model), {}, Run())
    else:
        raise GridError(["say which model (--model flux; --list names all), or give a training config or command"])
    given = {key: value for key in ("grid", "preset") if (value := getattr(args, key))}
    pairs = _pairs(args.network_args)
    twice = [key for key in given if key in pairs]
    if twice:
        raise GridError([f"--{key} and {key}= in --network_args both name one: keep one of the two" for key in twice])
    arguments = {**asked.arguments, **pairs, **given}
    names = ("network_module", "network_dim", "network_alpha")
    changes: dict[str, Any] = {name: getattr(args, name) for name in names if getattr(args, name) is not None}
    if args.text_encoders or args.text_encoder_lr or (not words and speaks_of_encoders(arguments)):
        changes["trains_text_encoders"] = True
    lrs, notes = asked.run.lrs, list(asked.notes)
    if args.learning_rate is not None:
        lrs = lrs._replace(default=args.learning_rate)
        if lrs.unet is not None and args.unet_lr is None:
            notes.append(f"the config's unet_lr {lrs.unet:g} is the base LR: --learning_rate does not change it")
    if args.unet_lr is not None:
        lrs = lrs._replace(unet=args.unet_lr)
    if args.text_encoder_lr:
        lrs = lrs._replace(text_encoders=tuple(args.text_encoder_lr))
    run = replace(asked.run, lrs=lrs, **changes)
    asked = replace(asked, arguments=arguments, run=run, notes=tuple(notes))
    if (args.text_encoders or args.text_encoder_lr) and not _has_encoders(asked):
        raise GridError([f"the text encoders of {asked.model.title} get no LoRA: leave --text_encoder... out"])
    return asked


def read_other(named: str, first: Asked) -> Asked:
    """The second grid of --diff: a training config, a grid file, or a preset; what is no grid's stays as it is.

    Raises: GridError where it is none of them.
    """
    from lr_grid.keys import is_grid_key
    from lr_grid.presets import preset_names

    path = Path(named)
    if path.suffix.lower() == ".toml" and path.is_file() and is_training(named):
        return of_config([named], first.model.name)
    key = "grid" if path.suffix else "preset"
    if key == "preset" and named.replace("-", "_") not in preset_names():
        raise GridError([f"--diff {named}: is neither a grid file (.toml, .json), a training config nor a preset"])
    rest = {name: value for name, value in first.arguments.items() if not is_grid_key(name) and name != "preset"}
    arguments = {**rest, key: named}
    trains = first.run.trains_text_encoders or (first.config is None and speaks_of_encoders(arguments))
    return replace(first, arguments=arguments, run=replace(first.run, trains_text_encoders=trains))


def of_config(words: Sequence[str], model: str | None) -> Asked:
    """What a training config or command asks for.

    Raises: GridError where it is none, is wrong, or does not tell the model.
    """
    from lr_grid.models import find_model
    from lr_grid.training.run import model_of, run_of

    files = [word for word in words if Path(word).suffix.lower() == ".toml"]
    if len(words) > 1 and len(files) == len(words):
        raise GridError([f"one training config at a time, not {', '.join(words)} (--diff compares two)"])
    if len(words) == 1 and files and Path(words[0]).is_file() and not is_training(words[0]):
        raise GridError(
            [f"{words[0]} is no training config (it has no network_module): is it a grid? --grid {words[0]}"]
        )
    config = source.read_source(list(words))
    if config.script and not config.script.endswith("train_network.py"):
        raise GridError(
            [f"{config.script} is no LoRA training (*_train_network.py): it has no network module to plan for"]
        )
    name = model or model_of(config)
    if name is None:
        raise GridError([f"{config.source}: which model this trains is not told by it: give --model"])
    notes = []
    if config.values.get("dim_from_weights"):
        notes.append("dim_from_weights: the run takes ranks and alphas from the file; these are without it")
    return Asked(find_model(name), config.network_args, run_of(config), config, tuple(notes))


def is_training(name: str) -> bool:
    """Whether a TOML is a trainer's and no grid file."""
    from lr_grid.training.config_file import parse_toml, read_text

    data = parse_toml(read_text(Path(name)), name)
    tables = [data, *(value for value in data.values() if isinstance(value, dict))]
    return any("network_module" in table or "network_args" in table for table in tables)


def speaks_of_encoders(arguments: Mapping[str, Any]) -> bool:
    """Whether any setting, in arguments or in the grid file they name, is a text encoder's."""
    from lr_grid.gridfile import load_grid_file

    keys = list(arguments)
    if "grid" in arguments:
        try:
            keys += load_grid_file(str(arguments["grid"])).settings
        except ValueError:
            return False  # told where the settings are read
    return any(re.match(r"te[123]?_", key) for key in keys)


def _has_encoders(asked: Asked) -> bool:
    """Whether the network module adapts text encoders (an unknown module is told later)."""
    from lr_grid.module_names import wrapped_module

    base = wrapped_module(asked.run.network_module, asked.arguments) or asked.model.default_module
    network = asked.model.network(base)
    return network is None or bool(network.encoder_of)


def _check(args: argparse.Namespace) -> None:
    """Raises GridError for options that are empty, no numbers, or do nothing together."""
    problems = Problems()
    for name in ("config", "model", "network_module", "grid", "preset", "diff", "plot"):
        if getattr(args, name) is not None and not getattr(args, name).strip():
            problems.add(f"--{name} is empty")
    if any(not word.strip() for word in args.source):
        problems.add("the name of the training config is empty")
    numbers = [(name, getattr(args, name)) for name in _NUMBERS]
    numbers += [("text_encoder_lr", lr) for lr in args.text_encoder_lr or ()]
    for name, value in numbers:
        least = 0 if name in ("network_dim", "network_alpha") else -math.inf
        if value is not None and not (math.isfinite(value) and value >= least):
            problems.add(f"--{name} {value:g} is no {'rank' if name == 'network_dim' else 'number for it'}")
    if args.view is not None and not args.plot:
        problems.add("--view says what --plot draws: give --plot FILE, too")
    if args.view is not None and args.diff:
        problems.add("--plot draws LRs with --diff: leave --view out")
    problems.raise_if_any()


def _pairs(flags: Sequence[Sequence[str]]) -> dict[str, str]:
    """The pairs of --network_args. Raises: GridError for a second flag (a trainer would keep the last alone)."""
    problems = Problems()
    if len(flags) > 1:
        problems.add("--network_args is given twice (a trainer would keep the last alone): put all behind one")
    pairs: dict[str, str] = {}
    for word in (word for words in flags for word in words):
        key, equals, value = word.partition("=")
        if not equals or not key.strip():
            problems.add(f"--network_args takes key=value, not {word!r}")
        elif key in pairs:
            problems.add(f"--network_args gives {key} twice")
        pairs[key] = value
    problems.raise_if_any()
    return pairs
