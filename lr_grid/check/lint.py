"""All checks of a training config, in order."""

from __future__ import annotations

from pathlib import Path

from lr_grid.check.bites import check_bites
from lr_grid.check.dataset_file import check_dataset
from lr_grid.check.full import check_full
from lr_grid.check.grid import check_grid
from lr_grid.check.names import check_names
from lr_grid.check.network_module import check_network_module
from lr_grid.check.optimizers import check_optimizers
from lr_grid.check.proportions import check_proportions
from lr_grid.check.subject import Subject
from lr_grid.preview import wrapped_module
from lr_grid.training.config import TrainingConfig
from lr_grid.training.finding import Finding, Place
from lr_grid.training.run import trainer_lrs

_RANK = {"error": 0, "warning": 1, "note": 2}


def check_training(
    config: TrainingConfig, *, model: str | None = None, dataset_config: str | None = None, paths: bool = False
) -> list[Finding]:
    """Everything there is to say about a training config, sorted by file and line.

    Args:
        config: as read_training read it.
        model: the model's name, where the config does not tell (or another is meant).
        dataset_config: a dataset config, in place of the one that the config names.
        paths: whether files and folders that the config names must exist here.

    Raises: GridError for a model that is not known, or a ``dataset_config`` that cannot be read.
    """
    subject = Subject(config, paths)
    subject.findings += config.findings
    if config.foreign and "network_module" not in config.values:
        return [finding for finding in ordered(config.findings) if config.foreign in finding.message]
    if config.trainer is None:
        message = "neither sd-scripts nor musubi-tuner can be told from this: only what holds for both is checked"
        subject.tell("note", Place(config.source), message, "Give the whole command, with the script's name")
    plan = None
    if check_network_module(subject):
        plan = check_grid(subject, model)
        if subject.knows_lrs:
            check_proportions(subject, plan, trainer_lrs(config))
        module = str(config.values.get("network_module") or "")
        check_optimizers(subject, plan, wrapped_module(module, config.network_args))
    check_full(subject)
    check_names(subject)
    check_bites(subject)
    check_dataset(subject, dataset_config)
    return ordered(subject.findings)


def check_dataset_file(name: str | Path, trainer: str | None = None) -> list[Finding]:
    """What is wrong with a dataset config by itself.

    Raises: GridError where it cannot be read.
    """
    config = TrainingConfig(str(name), trainer)
    subject = Subject(config)
    check_dataset(subject, str(name))
    return ordered(subject.findings)


def ordered(findings: list[Finding]) -> list[Finding]:
    """Sorted by file and line, then by severity; the same finding twice is kept once."""
    unique = list(dict.fromkeys(findings))
    return sorted(unique, key=lambda finding: (finding.place.order, _RANK[finding.severity]))
