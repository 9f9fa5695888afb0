"""A sample dataset config under the trainer's own reader, with the trainer's own checks before training."""

from __future__ import annotations

import argparse
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

import torch
from config_parsers import trainer_of

# What sd-scripts does to a caption as it is used, so not to one that is encoded beforehand (library/strategy_*.py take
# the caption as it was read). Of the rest it says so itself.
NOT_CACHED = (
    "caption_prefix",
    "caption_suffix",
    "secondary_separator",
    "keep_tokens_separator",
    "enable_wildcard",
    "caption_dropout_every_n_epochs",
)
DTYPES = {"fp16": torch.float16, "bf16": torch.bfloat16}


def read_sd_scripts(module: ModuleType, args: argparse.Namespace, file: Path) -> None:
    """sd-scripts makes datasets of a config, as in a run with these arguments. Raises what it raises, and
    AssertionError where it would leave something out silently."""
    train_util, config_util = import_module("library.train_util"), import_module("library.config_util")
    train_util.verify_command_line_training_args(args)
    train_util.verify_training_args(args)
    train_util.prepare_dataset_args(args, True)
    trainer = trainer_of(module)()
    caching = import_module("library.strategy_base").LatentsCachingStrategy
    with mock.patch.object(caching, "_strategy", trainer.get_latents_caching_strategy(args)):  # datasets ask for it
        config = config_util.load_user_config(file)
        sanitizer = config_util.ConfigSanitizer(True, True, args.masked_loss, True)
        blueprint = config_util.BlueprintGenerator(sanitizer).generate(config, args)
        group, validation = config_util.generate_dataset_group_by_blueprint(blueprint.dataset_group)
    trainer.assert_extra_args(args, group, validation)
    if args.cache_latents:
        assert group.is_latent_cacheable(), "cache_latents does not go with color_aug or random_crop"
    _check_subsets(args, group, config)


def _check_subsets(args: argparse.Namespace, group: Any, config: dict[str, Any]) -> None:
    subsets = [subset for dataset in group.datasets for subset in dataset.subsets]
    assert len(subsets) == sum(len(dataset["subsets"]) for dataset in config["datasets"]), "a subset is left out"
    if getattr(args, "cache_text_encoder_outputs", False):
        lost = [key for key in NOT_CACHED if any(getattr(subset, key) for subset in subsets)]
        assert not lost, f"cache_text_encoder_outputs makes {lost} do nothing"
    assert all(subset.img_count for subset in subsets), "a subset has no images"


def read_full_sd_scripts(module: ModuleType, args: argparse.Namespace, file: Path) -> None:
    """The same for its full fine-tuning scripts, which are functions: what all check before they load a model."""
    train_util, config_util = import_module("library.train_util"), import_module("library.config_util")
    strategies = import_module("library.strategy_base"), import_module("library.strategy_sd")
    train_util.verify_command_line_training_args(args)
    train_util.verify_training_args(args)
    train_util.prepare_dataset_args(args, module.__name__ != "train_db")
    if module.__name__ == "sdxl_train":
        module.sdxl_train_util.verify_sdxl_training_args(args)
    strategy = strategies[1].SdSdxlLatentsCachingStrategy(False, False, 1, False) if args.cache_latents else None
    with mock.patch.object(strategies[0].LatentsCachingStrategy, "_strategy", strategy):  # datasets ask for it
        config = config_util.load_user_config(file)
        dreambooth, captions = module.__name__ != "fine_tune", module.__name__ != "train_db"
        sanitizer = config_util.ConfigSanitizer(dreambooth, captions, getattr(args, "masked_loss", False), True)
        blueprint = config_util.BlueprintGenerator(sanitizer).generate(config, args)
        group, _ = config_util.generate_dataset_group_by_blueprint(blueprint.dataset_group)
    if args.cache_latents:
        assert group.is_latent_cacheable(), "cache_latents does not go with color_aug or random_crop"
    _check_subsets(args, group, config)


def read_musubi(module: ModuleType, args: argparse.Namespace, file: Path) -> None:
    """The same for musubi-tuner."""
    config_utils = import_module("musubi_tuner.dataset.config_utils")
    trainer = trainer_of(module)()
    if not hasattr(type(trainer), "architecture"):  # hv_train.py
        trainer.architecture = module.ARCHITECTURE_HUNYUAN_VIDEO
        trainer.handle_model_specific_args = lambda _: None
    # read off the model's file, which is not there
    dtypes = {name: lambda *_: DTYPES[args.mixed_precision] for name in vars(module) if name.startswith("detect_")}
    with mock.patch.dict(vars(module), dtypes):
        trainer.handle_model_specific_args(args)
    generator = config_utils.BlueprintGenerator(config_utils.ConfigSanitizer())
    config = config_utils.load_user_config(str(file))
    blueprint = generator.generate(config, args, architecture=trainer.architecture)
    group = config_utils.generate_dataset_group_by_blueprint(blueprint.dataset_group)
    for dataset, given in zip(group.datasets, config["datasets"], strict=True):
        frames = given.get("target_frames")
        assert frames is None or list(dataset.target_frames) == frames, "target_frames: not a multiple of 4 plus 1"
        source = vars(dataset.datasource)
        items = next(source[key] for key in ("video_paths", "image_paths", "data") if key in source)
        assert items, "a dataset has no items"
