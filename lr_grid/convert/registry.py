"""The formats, by name."""

from __future__ import annotations

from lr_grid.convert.anima import FORMAT as ANIMA
from lr_grid.convert.base import Format
from lr_grid.convert.block_lr import FORMAT as BLOCK_LR
from lr_grid.convert.config_toml import FORMAT as CONFIG_TOML
from lr_grid.convert.down_mid_up import FORMAT as DOWN_MID_UP
from lr_grid.convert.grid_toml import FORMAT as GRID_TOML
from lr_grid.convert.lbw import FORMAT as LBW
from lr_grid.convert.network_args import BASH, POWERSHELL
from lr_grid.convert.network_reg_lrs import FORMAT as NETWORK_REG_LRS
from lr_grid.convert.onetrainer import FORMAT as ONETRAINER
from lr_grid.convert.serenity import FORMAT as SERENITY
from lr_grid.errors import GridError, did_you_mean

FORMATS: dict[str, Format] = {
    row.name: row
    for row in (
        GRID_TOML,
        BASH,
        POWERSHELL,
        CONFIG_TOML,
        SERENITY,
        ONETRAINER,
        DOWN_MID_UP,
        BLOCK_LR,
        NETWORK_REG_LRS,
        LBW,
        ANIMA,
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
