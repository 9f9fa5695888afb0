"""A grid that is to be written in another format: what it says, and the LR of each of its cells.

The formula is the planner's (lr_grid.planner), in multiples where the planner has absolute LRs: a grid can be written
without knowing the trainer's LR. A test holds the two against each other.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from functools import cached_property

from lr_grid.blocks import Block, BlockValues
from lr_grid.convert.arguments import as_text, settings_of
from lr_grid.convert.base import Arguments, Job
from lr_grid.convert.models import Model
from lr_grid.convert.texts import rounded
from lr_grid.depth import depth_factor, depth_factors
from lr_grid.errors import GridError, Problems
from lr_grid.keys import OF_THE_RUN, SOURCES, is_grid_key
from lr_grid.planner import CURVED
from lr_grid.values import Rate


class Source:
    """A grid to be written."""

    def __init__(self, arguments: Arguments, job: Job, format_name: str):
        self.job, self.format_name = job, format_name
        self.settings = settings_of(arguments)
        self.given = {key: as_text(value) for key, value in arguments.items()}

    def model(self) -> Model:
        """The model.

        Raises: GridError where none was named.
        """
        if self.job.model is None:
            raise GridError([f"{self.format_name}: the number of blocks is the model's: give --model (e.g. sdxl)"])
        return self.job.model

    def absolute(self, rate: Rate, key: str) -> float:
        """An absolute LR.

        Raises: GridError for a multiple of the trainer's LR where that is not known.
        """
        if rate.relative and self.job.base_lr is None:
            raise GridError(
                [
                    f"{key} is a multiple ({rate}) of the trainer's LR, and {self.format_name} holds absolute LRs:"
                    " give the trainer's LR with --base_lr (e.g. --base_lr 1e-4)"
                ]
            )
        return rounded(rate.resolve(self.job.base_lr or 0.0))

    @property
    def default(self) -> Rate:
        """The LR of what no setting names."""
        return self.settings.default_lr or Rate(1.0, relative=True)

    def component(self, component: str) -> Rate:
        """The LR of a component, before depth and block weight."""
        own = self.settings.component_lr
        if component in own:
            return own[component]
        if component != "fused" or not {"self_attn", "ffn"} & own.keys():
            return self.default
        attention, ffn = (own.get(name, self.default) for name in ("self_attn", "ffn"))
        if attention.relative != ffn.relative:
            attention, ffn = (
                Rate(self.absolute(rate, "the LR of fused (the mean of self_attn and ffn)"))
                for rate in (attention, ffn)
            )
        if attention.value * ffn.value < 0:
            raise GridError(["fused_lr: self_attn and ffn have no geometric mean (one is negative); give fused_lr"])
        if attention == ffn:
            return attention
        return Rate(math.copysign(math.sqrt(attention.value * ffn.value), attention.value), attention.relative)

    def cell(self, component: str, block: Block) -> Rate:
        """The LR of a component in a block; 0 where it does not train."""
        if self.is_left_out(component, block):
            return Rate(0.0)
        rate, factor = self.component(component), self.weights.get(block, 1.0)
        if block in self.block_lr:
            rate = self.block_lr[block]
        elif component in CURVED or component in self.settings.component_lr:
            factor *= self.depth[block]
        return Rate(rounded(rate.value * factor), rate.relative)

    def is_left_out(self, component: str, block: Block) -> bool:
        """Whether lists of blocks or components leave a cell out of training."""
        return self.left_out(block) or bool(self.settings.left_out_by(component))

    @cached_property
    def depth(self) -> dict[Block, float]:
        """The depth factor of each block."""
        s = self.settings
        curve = (s.min_depth_factor, s.peak_position, s.depth_levels)
        return depth_factors(
            self.model().stacks, s.depth_scope, lambda at, of: depth_factor(s.depth_strategy, at, of, *curve)
        )

    @cached_property
    def weights(self) -> dict[Block, float]:
        """The weight of each block that has one."""
        return self._resolve("block_lr_weight", self.settings.block_lr_weight)

    @cached_property
    def block_lr(self) -> dict[Block, Rate]:
        """The LR of each block that has one of its own."""
        return self._resolve("block_lr", self.settings.block_lr)

    def _resolve(self, key: str, values: BlockValues | None) -> dict:
        if values is None:
            return {}
        resolved = values.resolve(self.model().stacks, self.model().name)
        if resolved.problems:
            raise GridError([f"{key}: {problem}" for problem in resolved.problems])
        return resolved.values

    def left_out(self, block: Block) -> bool:
        """Whether lists of blocks leave a block out of training."""
        chosen = self._chosen
        trained = chosen.get(("train", block[0]))
        return (trained is not None and block[1] not in trained) or block[1] in chosen.get(("exclude", block[0]), ())

    @cached_property
    def _chosen(self) -> dict[tuple[str, str], set[int]]:
        stacks, problems, result = self.model().stacks, Problems(), {}
        for (way, name), indices in self.settings.block_indices.items():
            stack = name or next(iter(stacks))
            if stack not in stacks or (name is None and len(stacks) > 1):
                problems.add(f"{way}_*_block_indices: {self.model().name} has the stacks {', '.join(stacks)}")
                continue
            result[way, stack], bad = indices.resolve(stacks[stack])
            problems.add_all(f"{way}_*_block_indices of {stack}: {problem}" for problem in bad)
        problems.raise_if_any()
        return result

    def multipliers(self) -> dict[Block, float]:
        """The factor of each block, on the LR of what no setting names: depth x weight, or block_lr over that LR."""
        result = {}
        for block in self.model().blocks:
            factor = 0.0 if self.left_out(block) else self.weights.get(block, 1.0)
            if block in self.block_lr and factor:
                factor *= self._over_default(self.block_lr[block])
            elif factor:
                factor *= self.depth[block]
            result[block] = rounded(factor)
        return result

    def _over_default(self, rate: Rate) -> float:
        default = self.default
        if rate.relative == default.relative:
            over, under = rate.value, default.value
        else:
            over, under = self.absolute(rate, "block_lr"), self.absolute(default, "the default LR")
        if under == 0:
            raise GridError([f"default_lr is 0: {self.format_name} holds multiples of it"])
        return over / under

    def contents(self) -> dict[str, str]:
        """What the grid says, by key, as text: everything that a format either carries or loses."""
        s = self.settings
        found = {f"{name}_lr": str(rate) for name, rate in s.component_lr.items()}
        if s.default_lr is not None:
            found["default_lr"] = str(s.default_lr)
        for key in ("depth_strategy", "depth_scope", "depth_levels"):
            if getattr(s, key) not in ("flat", "stack", 0):
                found[key] = str(getattr(s, key))
        for key, text in {**dict(s.arguments), **self.given}.items():
            known = key in found or key in (*SOURCES, "per_layer_lr", "component_lr", "depth_strategy", "depth_scope")
            if not known and key not in ("min_depth_factor", "peak_position", "depth_levels"):
                found[key] = text
        return found

    def finish(self, carried: Collection[str] | Callable[[str], bool], why: Mapping[str, str]) -> None:
        """Tells what was not carried.

        Args:
            carried: the keys that were, or a function that knows them.
            why: by kind of key (see ``kind_of``), why the format does not hold it.

        Raises: GridError where nothing was carried.
        """
        is_carried = carried if callable(carried) else carried.__contains__
        contents = self.contents()
        lost = [key for key in contents if not is_carried(key)]
        if len(lost) == len(contents):
            what = ", ".join(contents) or "nothing"
            raise GridError([f"{self.format_name}: nothing of this grid fits: it says {what}; {why['holds']}"])
        for key in lost:
            reason = why.get(kind_of(key)) or why["holds"]
            self.job.losses.lose(f"{key}={_short(contents[key])}: {reason}")


def kind_of(key: str) -> str:
    """component, default, depth, blocks, chosen, module, loraplus, encoder, rank, run, or upstream."""
    if not is_grid_key(key):
        return "upstream"
    kinds = (
        ("run", key in OF_THE_RUN),
        ("encoder", key.startswith("te")),
        ("loraplus", key.startswith("loraplus_")),
        ("default", key == "default_lr"),
        ("module", key == "module_lr"),
        ("depth", key.startswith("depth_")),
        ("blocks", key in ("block_lr", "block_lr_weight")),
        ("chosen", key.startswith(("train_", "exclude_"))),
        ("component", key.endswith("_lr")),
    )
    return next((kind for kind, is_it in kinds if is_it), "rank")


def is_block_choice(key: str) -> bool:
    """Whether a key chooses the blocks that train."""
    return kind_of(key) == "chosen" and key.endswith("block_indices")


def _short(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}..."


COMMON_WHY = {
    "component": "it knows no components",
    "default": "give it as the trainer's LR: that is what the factors multiply",
    "module": "it knows no regexes",
    "loraplus": "it knows no LoRA+",
    "encoder": "it knows no text encoders",
    "rank": "it knows no ranks",
    "chosen": "it knows no components",
    "run": "it says nothing of what a run records",
    "upstream": "it is no setting of the grid: give it to the network module itself",
}
"""Why a format of block values loses a key."""


def block_carried(key: str) -> bool:
    """Whether a format that holds one value a block carries a key."""
    return kind_of(key) in ("depth", "blocks") or is_block_choice(key)


def tell_uncurved(source: Source) -> None:
    """Tells where a folded depth curve reaches modules that do not follow it in the grid."""
    settings, model = source.settings, source.model()
    flat = [c for c in ("other", "embed") if c in model.components and c not in settings.component_lr]
    if settings.depth_strategy != "flat" and model.is_unet and flat:
        source.job.losses.lose(
            f"depth_strategy={settings.depth_strategy}: one factor a block reaches all of the block, and in the grid"
            f" {', '.join(flat)} (proj_in, proj_out) stay flat; with other_lr=1x they follow the curve there, too"
        )
