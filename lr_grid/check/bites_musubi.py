"""Combinations of options that bite in musubi-tuner (read off 30c658c)."""

from __future__ import annotations

from lr_grid.check.bite import MUSUBI, Bite, on, without
from lr_grid.check.subject import Subject


def _no_attention(subject: Subject) -> bool:
    return not any(subject.get(name) for name in ("sdpa", "flash_attn", "flash3", "sage_attn", "xformers"))


MUSUBI_TUNER: tuple[Bite, ...] = (
    # training/trainer_base.py:1394-1404, 1512
    Bite(
        "dataset_config",
        lambda s: not s.get("dataset_config"),
        "dataset_config is required",
        "",
        MUSUBI,
        needs_all=True,
    ),
    Bite("dit", lambda s: not s.get("dit"), "dit, the model's file, is required", "", MUSUBI, needs_all=True),
    Bite(
        "fp8_scaled",
        without("fp8_scaled", "fp8_base"),
        "fp8_scaled stops the trainer without fp8_base",
        "",
        MUSUBI,
    ),
    Bite("sage_attn", on("sage_attn"), "sage_attn cannot train: the trainer stops", "Give sdpa", MUSUBI),
    Bite(
        "sdpa",
        _no_attention,
        "one of sdpa, flash_attn, flash3 or xformers is required",
        "Give sdpa",
        MUSUBI,
        needs_all=True,
    ),
    # krea2_train_network.py:74, hidream_o1_train_network.py:98
    Bite(
        "fp8_base",
        without("fp8_base", "fp8_scaled"),
        "fp8_base stops this script without fp8_scaled",
        "",
        MUSUBI,
        ("krea2_train_network.py", "hidream_o1_train_network.py"),
    ),
    # hidream_o1_train_network.py:96, ideogram4_train_network.py:65
    Bite(
        "weighting_scheme",
        lambda s: s.get("weighting_scheme") != "none",
        "this script stops at any weighting_scheme but none",
        "",
        MUSUBI,
        ("hidream_o1_train_network.py", "ideogram4_train_network.py"),
    ),
    # training/trainer_base.py:1568: load_file(True)
    Bite(
        "dim_from_weights",
        on("dim_from_weights"),
        "dim_from_weights is broken in musubi-tuner: it stops",
        "Give network_dim and network_alpha of the file",
        MUSUBI,
    ),
)
