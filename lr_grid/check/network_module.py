"""Whether --network_module exists, belongs to this trainer and script, and has a grid where one is asked for."""

from __future__ import annotations

from pathlib import Path

from lr_grid.check.subject import Subject
from lr_grid.errors import did_you_mean
from lr_grid.keys import is_grid_key
from lr_grid.models.blueprint import known_arguments
from lr_grid.training.guess import module_trainer, scripts_of_module
from lr_grid.training.tables import TRAINERS

_GRID = "_grid"
_PACKAGE = Path(__file__).parent.parent
_OWN_MUSUBI = "lr_grid.musubi."
_MUSUBI = "musubi_tuner.networks."
_NO_LORA = ("lycoris_grid", "wrap")


def modules_of(trainer: str) -> dict[str, str]:
    """A trainer's network modules as they are given to it -> the grid's module around each."""
    own = [name for name in known_arguments() if name.startswith(_MUSUBI) == (trainer == "musubi-tuner")]
    if trainer == "sd-scripts":
        return {name: f"{name}{_GRID}" for name in own} | {"lycoris.kohya": "networks.lycoris_grid"}
    plain = [name.removeprefix(_MUSUBI) for name in own]
    return {f"networks.{name}": f"{_OWN_MUSUBI}{name}{_GRID}" for name in plain} | {
        "lycoris.kohya": f"{_OWN_MUSUBI}lycoris_grid"
    }


def has_grid(module: str) -> bool:
    """Whether a network module is one of lr-grid's."""
    return module == "lr_grid.network" or (module.startswith((_OWN_MUSUBI, "networks.")) and module.endswith(_GRID))


def check_network_module(subject: Subject) -> bool:
    """Notes what is wrong with --network_module; returns whether the module is right for this trainer and script."""
    config = subject.config
    module = config.values.get("network_module")
    if not isinstance(module, str) or not module or config.trainer is None:
        if subject.is_whole and not module and (config.script or "").endswith("train_network.py"):
            subject.tell("error", "network_module", "network_module is not given: the script trains nothing without it")
        return False
    if module == "lr_grid.network":
        if "base" not in config.network_args:
            subject.tell("error", "network_module", "lr_grid.network wraps a module: name it, base=networks.lora")
        return "base" in config.network_args
    grids = modules_of(config.trainer)
    if module not in grids and module not in grids.values():
        return _unknown(subject, module, grids)
    right_script = _check_script(subject, module)
    if module in grids and not has_grid(module):
        _check_grid_keys(subject, module, grids[module])
    elif "network_args" not in config.values:
        subject.tell(
            "note", "network_module", f"no network_args: the grid of {module} is off, it trains as without one"
        )
    return right_script


def _unknown(subject: Subject, module: str, grids: dict[str, str]) -> bool:
    """A module that is none of this trainer's: the other's, a misspelt one, or one of the user's own."""
    config = subject.config
    trainer = str(config.trainer)
    other = next(name for name in TRAINERS if name != trainer)
    theirs = modules_of(other)
    name = module.rpartition(".")[2]
    equal = next((grid for given, grid in grids.items() if f"{given.rpartition('.')[2]}{_GRID}" == name), "")
    own = module.startswith(("networks.", "lr_grid.", "musubi_tuner."))
    if module.startswith("networks.") and name.endswith(_GRID) and trainer == "musubi-tuner":
        cure = f"Give {equal}" if equal else did_you_mean(f"{_OWN_MUSUBI}{name}", grids.values()).strip()
        subject.tell("error", "network_module", f"{module} cannot be found by musubi-tuner", cure)
    elif module in theirs or module in theirs.values() or module_trainer(module) == other:
        cure = f"Here it is {equal}" if equal else ""
        subject.tell("error", "network_module", f"{module} is for {other}, and this is a config for {trainer}", cure)
    elif own:
        known = [*grids, *grids.values()]
        hint = did_you_mean(module, known).strip()
        subject.tell("error", "network_module", f"{module}: {trainer} has no such network module", hint)
    else:
        subject.tell("note", "network_module", f"{module} is not known here: its arguments are not checked")
    return False


def _check_script(subject: Subject, module: str) -> bool:
    config = subject.config
    wanted = scripts_of_module(str(config.trainer), module)
    if not wanted or config.script is None or config.script in wanted:
        return True
    if not config.script.endswith("train_network.py"):
        return True
    grids = modules_of(str(config.trainer))
    here = [m for m in (grids.values() if has_grid(module) else grids) if _is_for(config.trainer, m, config.script)]
    cure = f"Here it is {here[0]}" if here else ""
    subject.tell("error", "network_module", f"{module} is for {', '.join(wanted)}, not for {config.script}", cure)
    return False


def _is_for(trainer: str | None, module: str, script: str) -> bool:
    return script in scripts_of_module(str(trainer), module)


def _check_grid_keys(subject: Subject, module: str, grid: str) -> None:
    """A grid's keys on a module without one: it ignores them in silence."""
    known = known_arguments().get(module) or known_arguments().get(f"{_MUSUBI}{module.rpartition('.')[2]}") or ()
    if module.startswith("lycoris"):
        return
    for key, place in subject.config.network_args_where.items():
        if is_grid_key(key) and key not in known:
            subject.tell("error", place, f"network_args: {module} ignores {key}", f"It needs network_module = {grid}")
