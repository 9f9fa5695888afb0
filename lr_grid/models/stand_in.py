"""Which layers a network module would adapt under its own arguments, and at which rank and alpha.

What the wrapped module decides in a run is worked out here from the blueprint, for plans without the trainer.
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from lr_grid.blocks import parse_indices
from lr_grid.keys import stack_of_indices
from lr_grid.models.blueprint import Layer, NetworkBlueprint
from lr_grid.module_rules import ModuleRule
from lr_grid.rank_arguments import DEFAULT_DIM
from lr_grid.ranks import MadeModule
from lr_grid.upstream import parse_regex_pairs
from lr_grid.values import Rate
from lr_grid.words import MAIN_PART

_ANY_TEXT = ("enable_all_linear", "enable_conv")
"""Flags that the module takes for set whatever they say."""
_LISTS = {"in_dims": 5, "emb_dims": 6, "embedder_dims": 3}
"""Arguments that are a list of ranks -> its length. What they ask for is made last, in the list's order."""
_ADDED_BACK = {
    "musubi_tuner.networks.lora_kandinsky": (
        r".*(self|cross)_attention\.(to_query|to_key|to_value|out_layer).*",
        r".*feed_forward\.(in_layer|out_layer).*",
    )
}
"""Network module -> its include_patterns where none are given: exclude_patterns take none of that away."""


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
    obeyed_indices: tuple[str, ...] = ()
    """Keys of train_*_block_indices that the network module obeys itself."""
    unmade_blocks: frozenset[int] = frozenset()
    """In kohya's numbering: blocks that its own block weights of 0 leave out."""

    def layers(self) -> list[Layer]:
        """In the order in which the network module makes them."""
        order = {f"{name}:{i}": i + 1 for name, length in _LISTS.items() for i in range(length)}
        return sorted(
            self.network.layers, key=lambda layer: max((order.get(key, 0) for key in layer.rank_keys), default=0)
        )

    def check(self) -> None:
        """Raises ValueError for arguments that the network module stops at."""
        for key, length in _LISTS.items():
            if key in self.arguments and len(_numbers(self.arguments[key])) != length:
                raise ValueError(f"{key}={self.arguments[key]}: there must be {length} numbers")
        blocks = self.arguments.get("train_blocks")
        choices = ("all", *self.network.train_blocks)
        if blocks is not None and blocks not in choices:
            raise ValueError(f"train_blocks={blocks}: there are {', '.join(choices)}")
        conv_dim = self.arguments.get("conv_dim")
        if conv_dim is not None and self.module == "networks.dylora" and int(conv_dim) != (self.dim or DEFAULT_DIM):
            raise ValueError("conv_dim must be the same as --network_dim")
        for key in ("unit", "factor"):
            if not re.fullmatch(r"\s*[-+]?\d+\s*", str(self.arguments.get(key, 1))):
                raise ValueError(f"{key}={self.arguments[key]}: is no whole number")
        unit = int(self.arguments.get("unit") or 1)
        if unit < 1 or (self.dim or DEFAULT_DIM) % unit:
            raise ValueError(f"unit={unit}: the rank ({self.dim or DEFAULT_DIM}) must be a multiple of it")
        if self.module == "networks.lora_flux" and self.arguments.get("split_qkv") == "True":
            fused = [layer for layer in self.network.layers if re.search(r"double_blocks.*qkv", layer.site.path)]
            if any(self.made(layer) for layer in fused):
                raise ValueError(
                    "split_qkv=True crashes on double blocks (a bug of sd-scripts). Train single blocks only"
                    " (train_blocks=single, or train_double_block_indices=none), or leave split_qkv out"
                )

    def made(self, layer: Layer) -> MadeModule | None:
        """What the network module would make for a layer; None where it would make nothing.

        Raises: ValueError, IndexError for arguments that the network module stops at.
        """
        if not self._is_asked_for(layer) or self._left_out(layer):
            return None
        if layer.site.part == MAIN_PART and layer.site.block in self.unmade_blocks:
            return None
        rank, alpha = self._rank(layer), 1.0 if self.alpha is None else self.alpha
        conv = "conv_" if "conv_dim" in layer.rank_keys else ""
        if conv and self.module != "networks.dylora":  # it has one alpha
            alpha = float(self.arguments.get("conv_alpha") or 1.0)
        in_unet = layer.site.part == MAIN_PART
        rank = self._of_block(f"{conv}block_dims", layer, int, rank) if in_unet else rank
        alpha = self._of_block(f"{conv}block_alphas", layer, float, alpha) if in_unet else alpha
        if not rank:
            return None
        if self.is_oft:  # there alpha is the constraint
            own = Rate(1e-3 if self.alpha is None else self.alpha)
            return MadeModule(rank, own, layer.is_large_conv, math.prod(layer.shape))
        # An alpha of 0 is the rank, whatever that becomes.
        own = Rate(float(alpha)) if alpha else Rate(1.0, relative=True)
        return MadeModule(rank, own, layer.is_large_conv, math.prod(layer.shape))

    @property
    def is_oft(self) -> bool:
        """Whether its modules are OFT's, which has no LoRA pairs."""
        return self.module.startswith("networks.oft")

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
        if not layer.needs:
            return True
        if layer.needs.startswith("train_"):
            text = str(value) if not self.matches_whole_paths else str(value).capitalize()
            return text == "True"
        if layer.needs.endswith("_patterns"):
            # Its own patterns take the place of musubi-tuner's lora_flux's, all others add to the module's.
            replaced = layer.needs == "exclude_patterns" and self.module.endswith(".lora_flux") and value is not None
            return replaced or self._matches("include_patterns", layer)
        if value is None:
            return False
        return layer.needs in _ANY_TEXT or bool(str(value).strip())

    def _left_out(self, layer: Layer) -> bool:
        """Left out by train_blocks or exclude_patterns."""
        if layer.site.part != MAIN_PART:
            return self.matches_whole_paths and self._excluded(layer)
        stacks = self.network.train_blocks.get(str(self.arguments.get("train_blocks")))
        if stacks is not None and not layer.needs and (layer.site.stack or "") not in stacks:
            return True
        return self._excluded(layer)

    def _excluded(self, layer: Layer) -> bool:
        return self._matches("exclude_patterns", layer) and not self._matches("include_patterns", layer)

    def _matches(self, key: str, layer: Layer) -> bool:
        patterns: Iterable[str] = ()
        if self.arguments.get(key) is not None:
            given = ast.literal_eval(str(self.arguments[key]))
            patterns = given if isinstance(given, list) else [given]
        elif key == "include_patterns":
            patterns = _ADDED_BACK.get(self.module, ())
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
                rank = int(_numbers(value)[int(index)]) if index else int(value)
                return 0 if self._left_to_upstream(layer) else rank
        return 0 if self._left_to_upstream(layer) else self.dim or DEFAULT_DIM

    def _left_to_upstream(self, layer: Layer) -> bool:
        """Whether a train_*_block_indices that the network module obeys itself leaves a layer out."""
        stack, block = layer.site.stack, layer.site.block
        if layer.site.part != MAIN_PART or stack is None or block is None:
            return False
        for key in self.obeyed_indices:
            if stack_of_indices(key)[1] in (stack, None):
                return block not in parse_indices(self.arguments[key]).resolve(block + 1)[0]
        return False


def _numbers(value: object) -> list[str]:
    """``4,4,8`` or ``[4,4,8]``, apart."""
    text = str(value).strip()
    return (text[1:-1] if text.startswith("[") and text.endswith("]") else text).split(",")
