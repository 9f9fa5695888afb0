"""Hooks into sd-scripts' ``NetworkTrainer``: all of its ``*_train_network.py`` inherit from it."""

from __future__ import annotations

import inspect
import os
import sys
from types import SimpleNamespace
from typing import Any

import torch

from lr_grid.rehearse import hollow
from lr_grid.rehearse.missing import need
from lr_grid.rehearse.rehearsal import Rehearsal, do_nothing, empty_items

_OF = "sd-scripts"


def put_in(names: dict[str, Any], rehearsal: Rehearsal) -> None:
    """Puts the hooks in, when the script's names are defined.

    Raises: CannotRehearse where this version lacks one that is needed.
    """
    train_util: Any = sys.modules.get("library.train_util")
    home: Any = sys.modules.get("train_network") or SimpleNamespace(**names)
    base = need(home, "NetworkTrainer", _OF)
    for name in ("load_target_model", "process_batch", "assert_extra_args", "sample_images"):
        need(base, name, _OF)
    _hook_optimizer(train_util, rehearsal)
    _hook_files(train_util)
    _hook_datasets(train_util)
    real = need(base, "train", _OF)

    def train(self: Any, args: Any) -> Any:
        rehearsal.begin(args)
        self.__class__ = _rehearsed(type(self), rehearsal)
        hollow.leave_unfilled()
        return real(self, args)

    base.train = train


def _hook_optimizer(train_util: Any, rehearsal: Rehearsal) -> None:
    get_optimizer = need(train_util, "get_optimizer", _OF)
    get_scheduler = need(train_util, "get_scheduler_fix", _OF)

    def optimizer(args: Any, trainable: Any) -> Any:
        listed = list(trainable)  # it may be an iterator
        lr = args.learning_rate
        return rehearsal.optimizers.made(lambda: get_optimizer(args, listed), listed, lr)

    def scheduler(args: Any, made: Any, num_processes: int) -> Any:
        return rehearsal.schedule.made(lambda one: get_scheduler(args, one, num_processes), made, args)

    train_util.get_optimizer, train_util.get_scheduler_fix = optimizer, scheduler


def _hook_files(train_util: Any) -> None:
    opener = getattr(sys.modules.get("library.safetensors_utils"), "MemoryEfficientSafeOpen", None)
    if opener is None:
        opener = getattr(sys.modules.get("library.utils"), "MemoryEfficientSafeOpen", None)
    if opener is not None:
        hollow.hollow_opener(opener, _OF)
    for name in ("model_hash", "calculate_sha256"):  # they read a checkpoint from end to end
        if hasattr(train_util, name):
            setattr(train_util, name, lambda file: "")


def _hook_datasets(train_util: Any) -> None:
    base = need(train_util, "BaseDataset", _OF)
    classes = [c for c in vars(train_util).values() if isinstance(c, type) and issubclass(c, base)]
    empty_items((c for c in classes if "__getitem__" in vars(c)), dict)
    for cls in (*classes, need(train_util, "DatasetGroup", _OF)):
        for name in (
            "new_cache_latents",
            "new_cache_text_encoder_outputs",
            "cache_latents",
            "cache_text_encoder_outputs",
        ):
            if name in vars(cls):
                setattr(cls, name, do_nothing)
    subset = getattr(train_util, "DreamBoothSubset", None)
    if subset is not None:
        real = subset.__init__

        def init(self: Any, *args: Any, **kwargs: Any) -> None:
            real(self, *args, **kwargs)
            file = getattr(sys.modules["library.train_util"].DreamBoothDataset, "IMAGE_INFO_CACHE_FILE", "")
            if getattr(self, "cache_info", False) and not os.path.isfile(os.path.join(str(self.image_dir), file)):
                self.cache_info = False  # it would write the file

        subset.__init__ = init


def _rehearsed(cls: Any, rehearsal: Rehearsal) -> type:
    """The trainer's class with what a rehearsal does otherwise."""
    signature = inspect.signature(cls.process_batch)

    class Rehearsed(cls):
        def assert_extra_args(self, args: Any, datasets: Any, *rest: Any) -> Any:
            result = super().assert_extra_args(args, datasets, *rest)
            rehearsal.dataset = datasets
            rehearsal.checked(args)
            return result

        def load_target_model(self, *args: Any, **kwargs: Any) -> Any:
            with hollow.loading():
                return super().load_target_model(*args, **kwargs)

        def load_unet_lazily(self, *args: Any, **kwargs: Any) -> Any:
            with hollow.loading():
                return super().load_unet_lazily(*args, **kwargs)

        def process_batch(self, *args: Any, **kwargs: Any) -> torch.Tensor:
            bound = signature.bind(self, *args, **kwargs).arguments
            if not bound.get("is_train", True):
                return torch.zeros(())
            return rehearsal.batch(bound["accelerator"], bound["network"])

        def sample_images(self, *args: Any, **kwargs: Any) -> None:
            """No pictures."""

        def on_step_start(self, *args: Any, **kwargs: Any) -> None:
            """No block swap, no text encoder."""

        def on_validation_step_end(self, *args: Any, **kwargs: Any) -> None:
            """No block swap."""

        def cache_text_encoder_outputs_if_needed(self, *args: Any, **kwargs: Any) -> None:
            """No text encoder runs."""

    Rehearsed.__name__, Rehearsed.__qualname__ = cls.__name__, cls.__qualname__
    return Rehearsed
