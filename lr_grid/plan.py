"""The plan: which learning rate every module of a network gets, and why.

A row per module. Optimizer groups, the printed grid, pictures and JSON are views of it; nobody else computes an LR.
How the LR of a module of the U-Net or DiT comes about, first match wins:

1. left out by ``train_components`` or ``train_*_block_indices``: frozen;
2. ``module_lr``: final (no depth, no block weight);
3. upstream's ``network_reg_lrs``: final likewise;
4. ``block_lr`` of its block x the block's weight;
5. LR of its component (else ``default_lr``, else the trainer's) x depth factor x the block's weight.

A text encoder's modules take ``module_lr``, ``network_reg_lrs``, else the trainer's LR for that encoder. LoRA+ then
multiplies the up side. An LR of 0 is frozen.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lr_grid.binding import BoundGrid
from lr_grid.depth import depth_factor
from lr_grid.errors import GridError, Problems
from lr_grid.sites import Site
from lr_grid.values import Rate
from lr_grid.words import MAIN_PART

CURVED = frozenset({"self_attn", "cross_attn", "ffn", "norm", "mod", "fused"})
"""Components that follow the depth curve even without an LR of their own (other and embed take default_lr as it is)."""


@dataclass(frozen=True, slots=True)
class TrainerLrs:
    """The LRs of the trainer's command line (absolute)."""

    default: float
    """--learning_rate"""
    unet: float | None = None
    """--unet_lr"""
    text_encoders: tuple[float, ...] = ()
    """--text_encoder_lr: none, one for all, or one per encoder."""

    @property
    def base(self) -> float:
        """What a relative LR multiplies in the U-Net or DiT."""
        return self.default if self.unet is None else self.unet

    def of_encoder(self, index: int) -> float:
        """The LR of a text encoder; the last one given serves the encoders after it."""
        return self.text_encoders[min(index, len(self.text_encoders) - 1)] if self.text_encoders else self.default


@dataclass(frozen=True, slots=True)
class ModuleFacts:
    """What the plan needs to know of a network module besides its place."""

    rank: int | None
    alpha: float | None
    has_up: bool
    """Whether it has an up side, for LoRA+."""
    tensors: int = 2


@dataclass(frozen=True, slots=True)
class Row:
    """One module's line of the plan. LRs are absolute (not factors)."""

    site: Site
    rank: int | None
    alpha: float | None
    lr_down: float
    """LR of the down side (lora_down, and every tensor that is not an up side)."""
    lr_up: float
    """LR of the up side (lora_up); equals ``lr_down`` without LoRA+."""
    frozen: bool
    """True: not trained at all (LR 0, or excluded by train_*)."""
    why: str
    """How the LR came about, for people."""

    def lr_of(self, side: str) -> float:
        """The LR of a side, ``down`` or ``up``."""
        return self.lr_up if side == "up" else self.lr_down


@dataclass(frozen=True, slots=True)
class Plan:
    """A row per module, in the network's order. Everything else (groups, pictures, JSON) is a view of it."""

    family: str
    stacks: dict[str, int]
    """Stack name -> number of blocks, for part ``unet``, in the model's order."""
    rows: tuple[Row, ...]
    base_lr: float
    """The trainer's LR for the U-Net or DiT (--unet_lr, else --learning_rate)."""
    header: tuple[tuple[str, str], ...] = ()
    """Facts for the first printed line: strategy, min_depth_factor, ..."""
    notices: tuple[str, ...] = ()
    """What the user should know: rules that override others, modules no rule names."""
    arguments: tuple[tuple[str, str], ...] = ()
    """The grid's arguments as given, in --network_args and in the grid file."""


def make_plan(grid: BoundGrid, facts: Mapping[str, ModuleFacts], lrs: TrainerLrs, parts: Sequence[str]) -> Plan:
    """Computes every module's LR.

    Args:
        grid: the settings, held against the network.
        facts: by module name.
        lrs: the trainer's LRs.
        parts: the parts that train (``unet``, ``te1``, ...); modules of other parts are left out.

    Raises: GridError for settings whose LRs cannot be (all zero; a fused LR of LRs with different signs).
    """
    calculator = _Calculator(grid, lrs)
    rows = tuple(
        calculator.row(site, facts[site.name]) for site in grid.sites.all if site.part in parts and site.name in facts
    )
    _check_reach(grid, facts, rows, parts)
    settings = grid.settings
    header = [("strategy", settings.depth_strategy)]
    if settings.depth_strategy != "flat":
        header.append(("min_depth_factor", f"{settings.min_depth_factor:g}"))
    if settings.depth_strategy == "inverted_u":
        header.append(("peak_position", f"{settings.peak_position:g}"))
    if settings.depth_scope != "stack":
        header.append(("depth_scope", settings.depth_scope))
    if settings.depth_levels:
        header.append(("depth_levels", str(settings.depth_levels)))
    layout = grid.sites.layout
    notices = (*settings.notices, *grid.sites.notices, *_overrides(grid, rows))
    return Plan(layout.family, dict(layout.stacks), rows, lrs.base, tuple(header), notices, settings.arguments)


def _check_reach(grid: BoundGrid, facts: Mapping[str, ModuleFacts], rows: Sequence[Row], parts: Sequence[str]) -> None:
    """Raises GridError for settings that reach nothing in the parts that train."""
    problems = Problems()
    settings = grid.settings
    if rows and all(row.frozen for row in rows):
        problems.add(f"every LR is 0: nothing would train. The first module: {rows[0].site.name}: {rows[0].why}")
    if MAIN_PART not in parts:
        idle = sorted(
            k for k in settings.given if not k.startswith("loraplus_") and k not in ("module_lr", "per_layer_lr")
        )
        if idle:
            problems.add(f"{', '.join(idle)}: the U-Net or DiT is not trained in this run, so this sets nothing")
    if "text_encoder" in settings.loraplus and not any(part != MAIN_PART for part in parts):
        problems.add("loraplus_text_encoder_lr_ratio: no text encoder is trained in this run, so this sets nothing")
    if settings.loraplus and rows and not any(facts[row.site.name].has_up for row in rows):
        problems.add("loraplus: no module of this network has an up side (lora_up), so LoRA+ sets nothing")
    problems.raise_if_any()


class _Calculator:
    """One formula for all modules of a network; LRs of components and depth factors are worked out once."""

    def __init__(self, grid: BoundGrid, lrs: TrainerLrs):
        self.grid, self.lrs, self.settings = grid, lrs, grid.settings
        self.default_rate = self.settings.default_lr or Rate(1.0, relative=True)
        self.default_words = "default_lr" if self.settings.default_lr else "the trainer's LR"
        self.present = {site.component for site in grid.sites.all if site.part == MAIN_PART}
        self.components = {c: self._component(c) for c in self.present}
        self.depths: dict[tuple[str, int], float] = {}
        offset = 0
        total = sum(grid.sites.layout.stacks.values())
        s = self.settings
        for stack, size in grid.sites.layout.stacks.items():
            for i in range(size):
                at, of = (offset + i, total) if s.depth_scope == "model" else (i, size)
                self.depths[stack, i] = depth_factor(
                    s.depth_strategy, at, of, s.min_depth_factor, s.peak_position, s.depth_levels
                )
            offset += size

    def _component(self, component: str) -> tuple[float, str]:
        """(absolute LR before depth and block weight, words)."""
        own = self.settings.component_lr.get(component)
        base = self.lrs.base
        if own is not None:
            return own.resolve(base), f"{component}_lr {own}"
        default = self.default_rate.resolve(base)
        if component == "fused" and {"self_attn", "ffn"} & self.settings.component_lr.keys():
            attention, ffn = (
                self.settings.component_lr.get(c, self.default_rate).resolve(base) for c in ("self_attn", "ffn")
            )
            if attention * ffn < 0:
                raise GridError(
                    [
                        f"fused_lr: self_attn {attention:g} and ffn {ffn:g} have no geometric mean (one is negative);"
                        " give fused_lr"
                    ]
                )
            mean = math.copysign(math.sqrt(attention * ffn), attention)
            return mean, f"fused: geometric mean of self_attn {attention:g} and ffn {ffn:g}"
        return default, f"{self.default_words} {default:g}"

    def row(self, site: Site, facts: ModuleFacts) -> Row:
        lr, why = self._lr(site)
        lr_up = lr
        ratio = self.settings.loraplus_ratio(site.part, site.component)
        if ratio is not None and facts.has_up and lr != 0:
            lr_up = lr * ratio
            why += f"; up side x {ratio:g} (LoRA+)"
        return Row(site, facts.rank, facts.alpha, lr, lr_up, lr == 0, why)

    def _lr(self, site: Site) -> tuple[float, str]:
        main = site.part == MAIN_PART
        if main:
            left_out = self._left_out(site)
            if left_out:
                return 0.0, left_out
        base = self.lrs.base if main else self.lrs.of_encoder(self.grid.sites.encoder_of.get(site.part, 0))
        for key, rule in (
            ("module_lr", self.grid.module_rule(site)),
            ("network_reg_lrs", self.grid.upstream_rule(site)),
        ):
            if rule is not None:
                return rule.rate.resolve(base), f"{key} {rule.pattern.pattern}:{rule.rate}"
        if not main:
            return base, "the trainer's LR for this text encoder"
        return self._cell(site)

    def _left_out(self, site: Site) -> str:
        chosen = self.settings.train_components
        if chosen is not None and site.component not in chosen:
            return f"frozen: {site.component} is not in train_components"
        trained = self.grid.trained_blocks.get(site.stack or "")
        if trained is not None and site.block not in trained:
            return f"frozen: block {site.block} of {site.stack} is not in its train_block_indices"
        return ""

    def _cell(self, site: Site) -> tuple[float, str]:
        block = (site.stack, site.block) if site.stack is not None and site.block is not None else None
        weight = self.grid.block_weight.get(block, 1.0) if block else 1.0
        fixed = self.grid.block_lr.get(block) if block else None
        if fixed is not None:
            lr, why = fixed.resolve(self.lrs.base), f"block_lr {fixed}"
        else:
            lr, why = self.components[site.component]
            own = site.component in self.settings.component_lr
            if block and (own or site.component in CURVED) and self.settings.depth_strategy != "flat":
                depth = self.depths[block]
                lr *= depth
                why += f" x depth {depth:.4g}"
        if block in self.grid.block_weight:
            lr *= weight
            why += f" x weight {weight:g} ({self.grid.block_weight_from})"
        return lr, why


def _overrides(grid: BoundGrid, rows: Sequence[Row]) -> list[str]:
    """Lines that say where one setting took another's place."""
    lines = []
    for key, rules in (("module_lr", grid.settings.module_lr), ("network_reg_lrs", grid.upstream_rules)):
        if rules:
            count = sum(row.why.startswith(key) for row in rows)
            lines.append(f"{key} sets {count} modules; component, depth and block settings do not reach them")
    if grid.block_lr:
        lines.append("block_lr takes the place of component LR and depth in its blocks")
    if grid.block_weight_from != "block_lr_weight":
        lines.append(f"{grid.block_weight_from} (upstream's) weigh the blocks of the grid")
    fused = {row.why.partition(" x ")[0] for row in rows if row.why.startswith("fused: geometric mean")}
    return lines + sorted(fused)
