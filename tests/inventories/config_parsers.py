"""A sample config under the trainer's own parsers: the commands of its header, and every key of its sections."""

from __future__ import annotations

import argparse
import re
import shlex
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

NUMBERS = (int, float)


def commands(training: Path) -> list[list[str]]:
    """The commands in a training config's header, each a script and its arguments (without ``lr-grid launch``)."""
    starts = r"^# +(?:lr-grid launch .* -- )?(?:python|accelerate launch) (.+)$"
    found = re.findall(starts, training.read_text(encoding="utf-8"), re.M)
    return [shlex.split(line) for line in found]


def module_of(script: str) -> ModuleType:
    """A script of a trainer, imported: ``src/musubi_tuner/X.py`` is ``musubi_tuner.X``."""
    return import_module(script.removeprefix("src/").removesuffix(".py").replace("/", "."))


class _Reached(Exception):
    """Carries out of a script's ``main`` what it was about to use."""

    def __init__(self, what: Any):
        self.what = what


def _carry_out(*given: Any, **__: Any) -> None:
    raise _Reached(given[-1])


def _raise(_: argparse.ArgumentParser, message: str) -> None:
    raise ValueError(message)


def _run(module: ModuleType, where: type, method: str) -> Any:
    """What ``where.method`` is handed last (a parser: itself) when it is reached in a script's ``main``."""
    with mock.patch.object(where, method, _carry_out):
        try:
            module.main()
        except _Reached as reached:
            return reached.what
    raise AssertionError(f"{module.__name__} never came to {method}")


def parser_of(module: ModuleType) -> argparse.ArgumentParser:
    """The parser that a script makes; scripts of musubi-tuner do it in the middle of their ``main``."""
    main = hasattr(module, "main")
    parser = _run(module, argparse.ArgumentParser, "parse_args") if main else module.setup_parser()
    assert isinstance(parser, argparse.ArgumentParser), module
    return parser


def parse(script: str, given: list[str]) -> tuple[ModuleType, argparse.Namespace]:
    """A script, and its arguments after the command ``script given``. Raises ValueError where the parser refuses."""
    module = module_of(script)
    with mock.patch.object(argparse.ArgumentParser, "error", _raise):
        return module, parser_of(module).parse_args(given)


def parse_training(script: str, given: list[str]) -> tuple[ModuleType, argparse.Namespace]:
    """The same for a training script, as its trainer gets the arguments: --config_file read, and all else it does."""
    module, args = parse(script, given)
    with mock.patch.object(sys, "argv", [script, *given]), mock.patch.object(argparse.ArgumentParser, "error", _raise):
        if hasattr(module, "main"):
            args = _run(module, trainer_of(module), "train")
        else:
            args = module.train_util.read_config_from_file(args, parser_of(module))
    return module, args


def trainer_of(module: ModuleType) -> type:
    """The trainer that a training script defines."""
    own = [cls for cls in vars(module).values() if isinstance(cls, type) and cls.__module__ == module.__name__]
    # what either trainer calls its own first step; hv_train.py has none
    checks = ("assert_extra_args", "handle_model_specific_args", "get_optimizer")
    return next(cls for cls in own if any(hasattr(cls, name) for name in checks))


def wrong_keys(file: Path, parser: argparse.ArgumentParser) -> list[str]:
    """What the trainer would take from a config file without a word: keys it does not know, values of a wrong type."""
    import toml  # what the trainers read it with

    actions = {action.dest: action for action in parser._actions}
    found = []
    for section, table in toml.load(file).items():
        for key, value in table.items() if isinstance(table, dict) else [(section, table)]:
            if key not in actions:
                found.append(f"{key} is no argument of the script")
            elif not fits(actions[key], value):
                found.append(f"{key} = {value!r} is not what the script's argument takes")
    return found


def fits(action: argparse.Action, value: Any) -> bool:
    """Whether a value of a config file is what the command line would have made of this argument."""
    if action.nargs == 0:  # a flag
        return isinstance(value, bool)
    items = value if isinstance(value, list) else [value]
    if isinstance(value, list) != (action.nargs in ("*", "+")) or isinstance(value, bool):
        # the trainers take one text encoder LR for a list of one
        return action.dest == "text_encoder_lr" and isinstance(value, NUMBERS)
    if action.choices is not None and not all(item in action.choices for item in items):
        return False
    if action.type in (None, str):
        return all(isinstance(item, str) for item in items)
    if action.type is int:
        return all(type(item) is int for item in items)
    return all(isinstance(item, NUMBERS) for item in items)
