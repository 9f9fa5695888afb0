"""The settings of ranks and alphas, as asked for. Nothing here knows a model."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

from lr_grid import values
from lr_grid.blocks import BlockValues, parse_block_values
from lr_grid.module_rules import ModuleRule, parse_module_rules
from lr_grid.values import Rate
from lr_grid.words import COMPONENTS

BLOCK_KEYS = ("block_dims", "block_alphas", "conv_block_dims", "conv_block_alphas")
_MOST_PARAMS = 1e12
_SIZES = {"": 1, "k": 1e3, "m": 1e6, "g": 1e9, "b": 1e9}


class Budget(NamedTuple):
    """``rank_budget``: how many parameters the trained modules of a part may have in all."""

    text: str
    params: int | None = None
    """Of them; None: as many as one rank for all would give."""
    flat_rank: int | None = None
    """That one rank; None: the rank that the wrapped module gave each of its modules (--network_dim, its own keys)."""


def parse_budget(value: object) -> Budget:
    """``20M``, ``750k``, ``1.2e7``; ``flat`` (what the network would have without settings of ranks), ``flat:32``."""
    text = str(value).strip().lower()
    flat = re.fullmatch(r"flat(?::(\d+))?", text)
    if flat and (flat[1] is None or int(flat[1])):
        return Budget(str(value), flat_rank=int(flat[1]) if flat[1] else None)
    number = re.fullmatch(rf"({values.NUMBER})([kmgb]?)", text)
    params = float(number[1]) * _SIZES[number[2]] if number else 0.0
    if not 1 <= params < _MOST_PARAMS:
        raise ValueError(
            f"{value!r} is no number of parameters: give e.g. 20M or 750k, flat (as many as without these settings)"
            " or flat:32 (as many as rank 32 would give)"
        )
    return Budget(str(value), round(params))


def parsers(choice_of_curves: Callable[[object], str]) -> dict[str, Callable[[Any], Any]]:
    """The parser of each key that speaks of ranks or alphas."""
    example = "double_0-6:4,single:16"
    rules = partial(parse_module_rules, example="img_mlp:8,double_blocks\\.0\\.:32")
    return {
        "block_dims": lambda value: parse_block_values(value, values.rank, example),
        "block_alphas": lambda value: parse_block_values(value, values.alpha, example),
        "conv_block_dims": lambda value: parse_block_values(value, values.rank, example),
        "conv_block_alphas": lambda value: parse_block_values(value, values.alpha, example),
        **{f"{component}_dim": values.rank for component in COMPONENTS},
        **{f"{component}_alpha": values.alpha for component in COMPONENTS},
        "module_dims": lambda value: rules(value, values.rank, what="rank"),
        "module_alphas": lambda value: rules(value, values.alpha, what="alpha"),
        "rank_strategy": choice_of_curves,
        "min_rank_factor": values.fraction,
        "rank_peak_position": values.fraction,
        "rank_multiple": values.at_least(1),
        "min_rank": values.at_least(1),
        "rank_budget": parse_budget,
    }


@dataclass
class RankSettings:
    """Ranks are whole numbers, alphas Rates (absolute, or a multiple of the module's rank)."""

    component_dim: dict[str, int] = field(default_factory=dict)
    component_alpha: dict[str, Rate] = field(default_factory=dict)
    block_dims: BlockValues[int] | None = None
    block_alphas: BlockValues[Rate] | None = None
    conv_block_dims: BlockValues[int] | None = None
    conv_block_alphas: BlockValues[Rate] | None = None
    module_dims: tuple[ModuleRule[int], ...] = ()
    module_alphas: tuple[ModuleRule[Rate], ...] = ()
    rank_strategy: str = "flat"
    min_rank_factor: float = 0.3
    rank_peak_position: float = 0.5
    rank_multiple: int = 1
    min_rank: int | None = None
    rank_budget: Budget | None = None
    keys: frozenset[str] = frozenset()
    """The keys that were given."""

    @property
    def lowest_rank(self) -> int:
        """The lowest rank that the curve and the budget give."""
        return self.rank_multiple if self.min_rank is None else self.min_rank

    def set(self, key: str, value: Any) -> None:
        """Takes one parsed key."""
        self.keys |= {key}
        component = key.removesuffix("_dim").removesuffix("_alpha")
        if component not in COMPONENTS:
            setattr(self, key, value)
        elif key.endswith("_dim"):
            self.component_dim[component] = value
        else:
            self.component_alpha[component] = value

    def without(self, keys: Iterable[str]) -> RankSettings:
        """The same without some keys."""
        result = RankSettings()
        for key in self.keys - set(keys):
            result.set(key, self.get(key))
        return result

    def get(self, key: str) -> Any:
        """The value of a key that was given."""
        component = key.removesuffix("_dim").removesuffix("_alpha")
        if component not in COMPONENTS:
            return getattr(self, key)
        return (self.component_dim if key.endswith("_dim") else self.component_alpha)[component]
