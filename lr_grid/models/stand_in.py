"""Which layers a network module would adapt under its own arguments, and at which rank and alpha.

What the wrapped module decides in a run is worked out here from the blueprint, for plans without the trainer.
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lr_grid.models.blueprint import Layer, NetworkBlueprint
from lr_grid.module_rules import ModuleRule
from lr_grid.rank_arguments import DEFAULT_DIM
from lr_grid.ranks import MadeModule
from lr_grid.upstream import parse_regex_pairs
from lr_grid.values import Rate
from lr_grid.words import MAIN_PART

_ANY_TEXT = ("enable_all_linear", "enable_conv")
"""Flags that the module takes for set whatever they say."""


@dataclass(frozen=True)
class StandIn:
    """A network of a blueprint under the network module's own arguments."""

    network: NetworkBlueprint
    module: str
    arguments: Mapping[str, Any]
    dim: int | None
    """--network_dim"""
    alpha: float | None
    """--network_alpha"""

    def made(self, layer: Layer) -> MadeModule | None:
        """What the network module would make for a layer; None where it would make nothing."""
        if not self._is_asked_for(layer) or self._left_out(layer):
            return None
        rank, alpha = self._rank(layer), self.alpha
        conv = "conv_" if "conv_dim" in layer.rank_keys else ""
        if conv:
            alpha = float(self.arguments.get("conv_alpha") or 1.0)
        in_unet = layer.site.part == MAIN_PART
        rank = self._of_block(f"{conv}block_dims", layer, int, rank) if in_unet else rank
        alpha = self._of_block(f"{conv}block_alphas", layer, float, alpha) if in_unet else alpha
        if not rank:
            return None
        # An alpha of 0, or none, is the rank, whatever that becomes.
        own = Rate(float(alpha)) if alpha else Rate(1.0, relative=True)
        return MadeModule(rank, own, layer.is_large_conv, math.prod(layer.shape))

    @property
    def matches_whole_paths(self) -> bool:
        """Whether network_reg_lrs and network_reg_dims are matched against whole dotted paths (networks.lora_anima)."""
        return self.module.endswith("lora_anima")

    def regex_rules(self, key: str, parse: Any) -> tuple[ModuleRule[Any], ...]:
        """``network_reg_lrs`` or ``network_reg_dims`` as rules."""
        pairs = parse_regex_pairs(str(self.arguments.get(key) or ""))
        return tuple(
            ModuleRule(re.compile(pattern), parse(value), self.matches_whole_paths) for pattern, value in pairs.items()
        )

    def _of_block(self, key: str, layer: Layer, parse: Any, otherwise: Any) -> Any:
        """networks.lora's own lists, a number for every block in kohya's numbering."""
        text = self.arguments.get(key)
        if text is None or layer.site.block is None:
            return otherwise
        return parse(str(text).split(",")[layer.site.block])

    def _is_asked_for(self, layer: Layer) -> bool:
        value = self.arguments.get(layer.needs)
        if layer.needs == "conv_dim" and value is None:
            value = self.arguments.get("conv_block_dims")
        if not layer.needs or layer.needs == "include_patterns" or value is None:
            return not layer.needs or self._matches("include_patterns", layer)
        if layer.needs.startswith("train_"):
            text = str(value) if not self.matches_whole_paths else str(value).strip().capitalize()
            return text == "True"
        return layer.needs in _ANY_TEXT or bool(str(value).strip())

    def _left_out(self, layer: Layer) -> bool:
        """Left out by train_blocks or exclude_patterns."""
        if layer.site.part != MAIN_PART:
            return False
        stacks = self.network.train_blocks.get(str(self.arguments.get("train_blocks")))
        if stacks is not None and not layer.needs and (layer.site.stack or "") not in stacks:
            return True
        return self._matches("exclude_patterns", layer) and not self._matches("include_patterns", layer)

    def _matches(self, key: str, layer: Layer) -> bool:
        text = self.arguments.get(key)
        if not text:
            return False
        patterns = ast.literal_eval(str(text))
        patterns = patterns if isinstance(patterns, list) else [patterns]
        return any(re.fullmatch(pattern, layer.site.path) for pattern in patterns)

    def _rank(self, layer: Layer) -> int:
        rules = self.regex_rules("network_reg_dims", int)
        for rule in rules:
            name = layer.site.path if rule.whole else layer.site.name
            if rule.pattern.fullmatch(name) if rule.whole else rule.pattern.search(name):
                return int(rule.value)
        for key in layer.rank_keys:
            name, _, index = key.partition(":")
            value = self.arguments.get(name)
            if value is not None:
                numbers = str(value).strip().strip("[]").split(",")
                return int(numbers[int(index)] if index else numbers[0])
        return self.dim or DEFAULT_DIM
