"""What a trainer's scripts and dataset configs take, read off its live code: printed as JSON.

Runs in the trainer's venv, with lr-grid importable: python arguments.py sd-scripts|musubi-tuner FOLDER
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import importlib.util
import json
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any
from unittest import mock

import inventory
import torch

SD_SCRIPTS = (
    *("train_network.py", "sdxl_train_network.py", "flux_train_network.py", "sd3_train_network.py"),
    *("lumina_train_network.py", "hunyuan_image_train_network.py", "anima_train_network.py"),
    *("fine_tune.py", "train_db.py", "sdxl_train.py", "flux_train.py", "sd3_train.py", "lumina_train.py"),
    *("anima_train.py", "train_textual_inversion.py", "sdxl_train_textual_inversion.py", "train_control_net.py"),
    *("sdxl_train_control_net.py", "flux_train_control_net.py", "sdxl_train_control_net_lllite.py"),
)
Spec = dict[str, Any]


def describe(action: argparse.Action) -> Spec:
    """What an option takes: only what differs from a plain ``--dest TEXT`` without a default."""
    spec: Spec = {}
    if action.option_strings != [f"--{action.dest}"]:
        spec["flags"] = list(action.option_strings)
    if isinstance(action, argparse.BooleanOptionalAction) or action.nargs == 0:
        spec["is_flag"] = True
        if action.const not in (True, None):
            spec["const"] = action.const
    elif action.type is not None and action.type is not str:
        spec["type"] = action.type.__name__
    if action.nargs not in (0, None):
        spec["nargs"] = action.nargs
        if action.const is not None:
            spec["const"] = action.const
    if action.choices is not None:
        spec["choices"] = list(action.choices)
    if action.default is not None and action.default is not (False if "is_flag" in spec else None):
        spec["default"] = action.default
    if action.required:
        spec["required"] = True
    return spec


def options(parser: argparse.ArgumentParser) -> dict[str, Spec]:
    return {action.dest: describe(action) for action in parser._actions if action.dest != "help"}


def parser_of_main(path: Path) -> argparse.ArgumentParser:
    """The parser that a musubi-tuner script's ``main`` builds: stopped where it would read the command line."""
    built: list[argparse.ArgumentParser] = []

    class Built(Exception):
        pass

    def stop(parser: argparse.ArgumentParser, *_: Any, **__: Any) -> None:
        built.append(parser)
        raise Built

    module = import_module(f"musubi_tuner.{path.stem}")
    with mock.patch.object(argparse.ArgumentParser, "parse_args", stop), contextlib.suppress(Built):
        module.main()
    return built[0]


def parsers(trainer: str, folder: Path) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    if trainer == "sd-scripts":
        for name in SD_SCRIPTS:
            yield name, import_module(Path(name).stem).setup_parser()
        return
    for path in sorted((folder / "src/musubi_tuner").glob("*_train*.py")):
        yield path.name, parser_of_main(path)


def grouped(by_script: Mapping[str, Mapping[str, Spec]]) -> list[dict[str, Any]]:
    """The options of all scripts, those together that the same scripts have with the same specification."""
    owners: dict[tuple[str, str], list[str]] = defaultdict(list)
    for script, specs in by_script.items():
        for dest, spec in specs.items():
            owners[dest, json.dumps(spec, sort_keys=True)].append(script)
    groups: dict[tuple[str, ...], dict[str, Spec]] = defaultdict(dict)
    for (dest, spec), scripts in owners.items():
        groups[tuple(scripts)][dest] = json.loads(spec)
    return [{"scripts": list(scripts), "options": groups[scripts]} for scripts in sorted(groups, key=len, reverse=True)]


def kind(value: Any) -> Any:
    """A type of a dataset config's schema, as text or (a list of one element) its items'."""
    if isinstance(value, functools.partial):
        klass = value.args[0].__name__
        return [f"{klass}", f"2 {klass}"] if "scalar" in value.func.__name__ else [f"2 {klass}"]
    if isinstance(value, list):
        return [f"list of {value[0].__name__}"]
    if isinstance(value, type):
        return [value.__name__]
    return [one.__name__ for one in value.validators]


def table(*schemas: Mapping[Any, Any]) -> dict[str, Any]:
    return {str(key): kind(value) for schema in schemas for key, value in schema.items() if str(key) != "subsets"}


def datasets(trainer: str) -> dict[str, dict[str, Any]]:
    """The keys of each part of a dataset config -> the types that they take."""
    if trainer == "musubi-tuner":
        sanitizer = import_module("musubi_tuner.dataset.config_utils").ConfigSanitizer()
        return {
            "general": table(sanitizer.general_schema),
            "image": table(sanitizer.image_dataset_schema),
            "video": table(sanitizer.video_dataset_schema),
        }
    sanitizer = import_module("library.config_util").ConfigSanitizer(True, True, True, True)
    result = {"general": table(sanitizer.general_schema)}
    for name in ("db", "ft", "cn"):
        result[f"{name}_dataset"] = table(getattr(sanitizer, f"{name}_dataset_schema"))
        result[f"{name}_subset"] = table(getattr(sanitizer, f"{name}_subset_schema"))
    return result


def read(trainer: str, folder: Path) -> dict[str, Any]:
    return {
        "arguments": grouped({name: options(parser) for name, parser in parsers(trainer, folder)}),
        "datasets": datasets(trainer),
    }


if __name__ == "__main__":
    NAME, FOLDER = sys.argv[1], Path(sys.argv[2])
    sys.path.append(str(FOLDER / ("src" if NAME == "musubi-tuner" else "")))
    inventory.prepare()
    if importlib.util.find_spec("torchvision.transforms.v2") is None:  # the stand-in has only what training uses
        sys.modules["torchvision.transforms.v2"] = mock.MagicMock()
    sys.argv = sys.argv[:1]
    current_device: Callable[[], int] = mock.Mock(return_value=0)
    # a default argument of musubi-tuner's asks for the current GPU at import, and here may be none
    with mock.patch.object(torch.cuda, "current_device", current_device):
        print(json.dumps(read(NAME, FOLDER), default=repr))
