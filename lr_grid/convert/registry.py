"""The formats, by name."""

from __future__ import annotations

from lr_grid.convert import (
    anima,
    block_lr,
    config_toml,
    down_mid_up,
    grid_toml,
    lbw,
    network_args,
    network_reg_lrs,
    onetrainer,
    serenity,
)
from lr_grid.convert.base import Format
from lr_grid.errors import GridError, did_you_mean

FORMATS: dict[str, Format] = {
    row.name: row
    for row in (
        grid_toml.FORMAT,
        network_args.BASH,
        network_args.POWERSHELL,
        config_toml.FORMAT,
        serenity.FORMAT,
        onetrainer.FORMAT,
        down_mid_up.FORMAT,
        block_lr.FORMAT,
        network_reg_lrs.FORMAT,
        lbw.FORMAT,
        anima.FORMAT,
    )
}


def find_format(name: str, option: str) -> tuple[Format, str]:
    """(format, variant) of ``onetrainer:Structure``.

    Raises: GridError with the names there are, or where the format has no variants.
    """
    word, _, variant = name.partition(":")
    if word not in FORMATS:
        hint = did_you_mean(word, FORMATS)
        raise GridError([f"{option}: {word!r} is no format; there are {', '.join(FORMATS)}.{hint}"])
    if variant and not FORMATS[word].variants:
        raise GridError([f"{option}: {word} has no variants, so nothing can stand behind its colon ({variant!r})"])
    return FORMATS[word], variant
