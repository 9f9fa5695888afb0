"""Hooks into musubi-tuner's ``NetworkTrainer``: all of its ``*_train_network.py`` inherit from it."""

from __future__ import annotations

import inspect
import sys
from types import SimpleNamespace
from typing import Any

import torch

from lr_grid.rehearse import hollow
from lr_grid.rehearse.missing import need
from lr_grid.rehearse.rehearsal import Rehearsal, do_nothing, empty_items

_OF = "musubi-tuner"
_HOMES = ("musubi_tuner.training.trainer_base", "musubi_tuner.hv_train_network")
"""Modules that define NetworkTrainer, the newest first."""
_NEEDED = (
    "_validate_args_and_init",
    "load_transformer",
    "process_batch",
    "get_optimizer",
    "get_lr_scheduler",
    "scale_shift_latents",
)
_OPENER = "musubi_tuner.utils.safetensors_utils"
_DATASETS = "musubi_tuner.dataset.image_video_dataset"


def before_import() -> None:
    """What must stand before musubi's modules are imported: one asks for the current GPU in a default argument."""
    torch.cuda.current_device = lambda: "cpu"  # type: ignore[assignment, return-value]


def put_in(names: dict[str, Any], rehearsal: Rehearsal) -> None:
    """Puts the hooks in, when the script's names are defined.

    Raises: CannotRehearse where this version lacks one that is needed.
    """
    homes = [*filter(None, map(sys.modules.get, _HOMES)), SimpleNamespace(**names)]
    home: Any = next((home for home in homes if hasattr(home, "NetworkTrainer")), homes[0])
    base = need(home, "NetworkTrainer", _OF)
    for name in _NEEDED:
        need(base, name, _OF)
    hollow.hollow_opener(need(sys.modules.get(_OPENER), "MemoryEfficientSafeOpen", _OF), _OF)
    datasets: Any = sys.modules.get(_DATASETS)
    need(datasets, "BaseDataset", _OF)
    classes = [
        c
        for c in vars(datasets).values()
        if isinstance(c, type) and issubclass(c, torch.utils.data.Dataset) and "__getitem__" in vars(c)
    ]
    empty_items(classes, lambda: {"latents": torch.zeros(1), "timesteps": None})
    real = need(base, "train", _OF)

    def train(self: Any, args: Any) -> Any:
        rehearsal.begin(args)
        self.__class__ = _rehearsed(type(self), rehearsal)
        hollow.leave_unfilled()
        return real(self, args)

    base.train = train


def _rehearsed(cls: Any, rehearsal: Rehearsal) -> type:
    """The trainer's class with what a rehearsal does otherwise."""
    signature = inspect.signature(cls.process_batch)

    class Rehearsed(cls):
        def _validate_args_and_init(self, args: Any) -> bool:
            result = super()._validate_args_and_init(args)
            rehearsal.checked(args)
            return result

        def _build_dataset(self, args: Any) -> Any:
            result = super()._build_dataset(args)
            rehearsal.dataset = result[0]
            return result

        def load_transformer(self, *args: Any, **kwargs: Any) -> Any:
            with hollow.loading():
                return super().load_transformer(*args, **kwargs)

        def get_optimizer(self, args: Any, trainable: Any) -> Any:
            lr, listed = args.learning_rate, list(trainable)
            make = super().get_optimizer
            return rehearsal.optimizers.made(lambda: make(args, listed), listed, lr)

        def get_lr_scheduler(self, args: Any, optimizer: Any, num_processes: int) -> Any:
            make = super().get_lr_scheduler
            return rehearsal.schedule.made(lambda one: make(args, one, num_processes), optimizer, args)

        def scale_shift_latents(self, latents: Any) -> Any:
            return latents

        def process_batch(self, *args: Any, **kwargs: Any) -> Any:
            bound = signature.bind(self, *args, **kwargs).arguments
            return rehearsal.batch(bound["accelerator"], bound["network"]), {}

        sample_images = on_post_optimizer_step = on_train_start = on_transformer_loaded = do_nothing

    Rehearsed.__name__, Rehearsed.__qualname__ = cls.__name__, cls.__qualname__
    return Rehearsed
