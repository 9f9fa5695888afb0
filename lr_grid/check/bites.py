"""Combinations of options that the trainers stop at, or do other things with than people expect.

Each rule names the place in the trainer that it was read off (sd-scripts 48d368f, musubi-tuner 30c658c).
"""

from __future__ import annotations

from lr_grid.check.bite import NETWORK, Bite
from lr_grid.check.bites_musubi import MUSUBI_TUNER
from lr_grid.check.bites_sd_scripts import SD_SCRIPTS
from lr_grid.check.subject import Subject
from lr_grid.training.finding import Place
from lr_grid.training.tables import options


def _finds_its_own_lr(subject: Subject) -> bool:
    """Whether the optimizer needs no LR: Prodigy and D-Adaptation, and Adafactor unless relative_step is off."""
    name = str(subject.get("optimizer_type") or "").lower().rpartition(".")[2]
    if name.startswith("adafactor"):
        given = dict(str(one).partition("=")[::2] for one in subject.get("optimizer_args") or ())
        return given.get("relative_step", "").strip().lower() != "false"
    return name.startswith(("prodigy", "dadapt"))


BOTH: tuple[Bite, ...] = (
    # train_network.py:814-823; musubi-tuner's training/trainer_base.py:1684-1694
    Bite(
        "full_fp16",
        lambda s: s.get("full_fp16") and s.get("mixed_precision") != "fp16",
        "full_fp16 stops the trainer without mixed_precision = fp16",
    ),
    Bite(
        "full_bf16",
        lambda s: s.get("full_bf16") and not s.get("full_fp16") and s.get("mixed_precision") != "bf16",
        "full_bf16 stops the trainer without mixed_precision = bf16",
    ),
    # training/parser_common.py and library/train_util.py: the default of --learning_rate
    Bite(
        "learning_rate",
        lambda s: "learning_rate" not in s.config.values and s.get("unet_lr") is None and not _finds_its_own_lr(s),
        "no learning rate is given: the trainer's default is 2e-06, which is for full fine-tuning",
        severity="warning",
        needs_all=True,
    ),
)

BITES = (*BOTH, *SD_SCRIPTS, *MUSUBI_TUNER)


def check_bites(subject: Subject) -> None:
    """Notes every combination of the table that the config has."""
    config = subject.config
    if config.trainer is None or not (config.script or "").endswith(NETWORK):
        return
    for bite in BITES:
        if bite.trainer not in (None, config.trainer) or (bite.scripts and config.script not in bite.scripts):
            continue
        if bite.needs_all and not subject.is_whole:
            continue
        subject.missed.clear()
        if bite.applies(subject):
            place = config.network_args_where.get(bite.at) or config.place(_given(subject, bite))
            unsure = config.unread and subject.missed  # what it misses may stand where nobody looked
            subject.tell("note" if unsure else bite.severity, place, bite.message, bite.cure)
    _check_required(subject)


def _check_required(subject: Subject) -> None:
    """The trainers parse the command line before they read the TOML: what the parser requires must stand there."""
    config = subject.config
    on_the_line = {one.dest for one in config.given if one.place.flag}
    for dest, option in options(config.trainer, config.script).items() if subject.is_whole else ():
        if option.required and dest not in on_the_line:
            where = Place(config.source, 0, f"--{dest}")
            subject.tell("error", where, f"{dest} must stand on the command line, also where the TOML has it")


def _given(subject: Subject, bite: Bite) -> str:
    """The argument of a bite that stands in the config: itself, or one of its family (``..._to_disk``)."""
    where = subject.config.where
    return bite.at if bite.at in where else next((name for name in where if name.startswith(bite.at)), bite.at)
