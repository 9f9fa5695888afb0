"""Makes the plan: which learning rate every module of a network gets, and why. Nobody else computes an LR.

How the LR of a module of the U-Net or DiT comes about, first match wins:

1. left out by ``train_*`` or ``exclude_*`` lists, or without a LoRA (a rank of 0): frozen;
2. ``module_lr``: final (no depth, no block weight);
3. upstream's ``network_reg_lrs``: final likewise;
4. ``block_lr`` of its block x the block's weight;
5. LR of its component (else ``default_lr``, else the trainer's) x depth factor x the block's weight.

A text encoder with te_ keys of its own goes the same way, from the trainer's LR for that encoder; one without takes
``module_lr``, ``network_reg_lrs``, else that LR. LoRA+ then multiplies the up side. An LR of 0 is frozen.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from lr_grid.binding import BoundGrid, PartGrid
from lr_grid.blocks import Block
from lr_grid.depth_levels import Merged, exact_factors, merge
from lr_grid.errors import GridError, Problems
from lr_grid.group_limit import CurvedLr, GroupCount, most_levels
from lr_grid.plan import ModuleFacts, Plan, Row, TrainerLrs
from lr_grid.reach import Reach, check_reach, idle_settings
from lr_grid.sites import Cell, Site
from lr_grid.values import Rate
from lr_grid.words import MAIN_PART

CURVED = frozenset({"self_attn", "cross_attn", "ffn", "norm", "mod", "fused"})
"""Components that follow the depth curve even without an LR of their own (other and embed take default_lr as it is)."""


def make_plan(grid: BoundGrid, facts: Mapping[str, ModuleFacts], lrs: TrainerLrs, parts: Sequence[str]) -> Plan:
    """Computes every module's LR.

    Args:
        grid: the settings, held against the network.
        facts: by module name.
        lrs: the trainer's LRs.
        parts: the parts that train (``unet``, ``te1``, ...); modules of other parts are left out.

    Raises: GridError for settings whose LRs cannot be (all zero; a fused LR of LRs with different signs) and for
        settings that reach nothing that trains.
    """
    sites = [site for site in grid.sites.all if site.part in parts and site.name in facts]
    problems = Problems()
    calculator = _Calculator(grid, lrs)
    rows = calculator.rows(sites, facts)
    if grid.settings.max_groups:
        merged, why_not = most_levels(calculator.count(), calculator.exact, grid.settings.max_groups)
        if why_not:
            problems.add(why_not)
        if merged is not None and merged.levels:
            calculator = _Calculator(grid, lrs, merged)
            rows = calculator.rows(sites, facts)
    for row in rows:
        if not math.isfinite(row.lr_down) or not math.isfinite(row.lr_up):
            problems.add(f"the LR of {row.site.name} is no number ({row.lr_down:g}, {row.lr_up:g}): {row.why}")
            break
    if rows and all(row.frozen for row in rows):
        what = "LR or rank" if any(row.rule == "rank" for row in rows) else "LR"
        problems.add(f"every {what} is 0: nothing would train. The first module: {rows[0].site.name}: {rows[0].why}")
    else:
        check_reach(grid, calculator.reach, parts, problems)
    problems.raise_if_any()

    settings = grid.settings
    header = [("preset", settings.preset)] if settings.preset else []
    header.append(("strategy", settings.depth_strategy))
    if settings.depth_strategy != "flat":
        header.append(("min_depth_factor", f"{settings.min_depth_factor:g}"))
    if settings.depth_strategy == "inverted_u":
        header.append(("peak_position", f"{settings.peak_position:g}"))
    if settings.depth_scope != "stack":
        header.append(("depth_scope", settings.depth_scope))
    if settings.max_groups:
        header.append(("max_groups", str(settings.max_groups)))
    if settings.depth_levels or settings.max_groups:
        header.append(("depth_levels", str(calculator.levels or "exact")))
    layout = grid.sites.layout
    notices = [*settings.notices, *grid.sites.notices, *_overrides(grid, rows, calculator)]
    notices += _about_levels(calculator)
    notices += [*idle_settings(grid, calculator.reach), *_suspicions(rows, calculator)]
    encoders = {
        part: dict(own.layout.stacks) for part, own in grid.parts.items() if part != MAIN_PART and part in parts
    }
    stacks = dict(layout.stacks)
    bases = {part: calculator.base_of(part) for part in parts}
    return Plan(
        layout.family, stacks, rows, lrs.base, tuple(header), tuple(notices), settings.arguments, encoders, bases
    )


NOTHING_TRAINS = "nothing would train: every rank is 0, or what this run trains has no module"


def make_plan_without_grid(
    grid: BoundGrid, facts: Mapping[str, ModuleFacts], lrs: TrainerLrs, parts: Sequence[str], base: str
) -> Plan:
    """The plan of a run without a grid argument, where the wrapped module's own groups are not at hand (watched.py
    reads them off a live network). Arguments as ``make_plan``'s, and the wrapped module.

    Raises: GridError where nothing would train.
    """
    sites = [site for site in grid.sites.all if site.part in parts and site.name in facts]
    made = _Calculator(grid, lrs).rows(sites, facts)
    rows = tuple(row._replace(why=f"{base}'s own group", rule="") for row in made)
    if all(row.frozen for row in rows):
        raise GridError([NOTHING_TRAINS])
    layout = grid.sites.layout
    notices = (*grid.settings.notices, *grid.sites.notices)
    return Plan(layout.family, dict(layout.stacks), rows, lrs.base, (("grid", "off"),), notices)


def frozen_names(grid: BoundGrid) -> set[str]:
    """Names of the modules that do not train whatever the trainer's LRs are: left out, or with an LR of 0."""
    calculator = _Calculator(grid, TrainerLrs(1.0))
    return {site.name for site in grid.sites.all if calculator.lr(site)[0] == 0}


class _Calculator:
    """One formula for all modules of a network."""

    def __init__(self, grid: BoundGrid, lrs: TrainerLrs, merged: Merged | None = None):
        """
        Args:
            merged: the depth factors of the U-Net or DiT, where they are not depth_levels'.
        """
        self.grid, self.lrs = grid, lrs
        self.reach = Reach()
        self.has_rules = bool(grid.settings.module_lr or grid.upstream_rules)
        self.ratios: dict[tuple[str, str], tuple[str, float] | None] = {}
        self.samples: list[Row] = []
        """Of the rows made so far one of each kind."""
        self.parts = {
            part: _Part(own, self.base_of(part), lrs.words, self.reach, merged if part == MAIN_PART else None)
            for part, own in grid.parts.items()
        }

    @property
    def exact(self) -> dict[Block, float]:
        """The depth factors of the U-Net or DiT as the curve has them."""
        return self.parts[MAIN_PART].exact

    @property
    def levels(self) -> int:
        """How many levels the depth factors of the U-Net or DiT are merged to; 0: none."""
        return self.parts[MAIN_PART].merged.levels

    def count(self) -> GroupCount:
        """The groups that the rows made come to, for other depth factors, too."""

        def ratio_of(row: Row) -> float | None:
            loraplus = self.loraplus(row.site) if row.has_loraplus or not row.lr_down else None
            return loraplus[1] if loraplus else None

        def curve_of(row: Row) -> CurvedLr | None:
            of_curve = row.site.part == MAIN_PART and row.rule == "component"
            return self.parts[MAIN_PART].curved.get(place_of(row.site)) if of_curve else None

        return GroupCount.of(self.samples, curve_of, ratio_of)

    def base_of(self, part: str) -> float:
        """What a relative LR multiplies in a part: the trainer's LR for it."""
        return self.lrs.base if part == MAIN_PART else self.lrs.of_encoder(self.grid.sites.encoder_of.get(part, 0))

    def loraplus(self, site: Site) -> tuple[str, float] | None:
        """(key, ratio) of LoRA+ at a site; the same in all of a component of a part."""
        which = (site.part, site.component)
        if which not in self.ratios:
            self.ratios[which] = self.grid.loraplus(site)
        return self.ratios[which]

    def rows(self, sites: Sequence[Site], facts: Mapping[str, ModuleFacts]) -> tuple[Row, ...]:
        """A row a site. Modules of a cell that have the same sides are of a kind: their LRs are worked out once, unless
        a rule speaks of names."""
        rank_why, no_lora = self.grid.rank_why, self.grid.no_lora
        known: dict[tuple[Cell, bool, bool], tuple[float, float, bool, str, str]] = {}
        rows: list[Row] = []
        for site in sites:
            name = site.name
            rank, alpha, has_up, has_down, shapes, saved = facts[name]
            kind = None if self.has_rules or name in no_lora else (site.cell, has_up, has_down)
            lrs = known.get(kind) if kind else None
            is_new = lrs is None
            if lrs is None:
                lrs = self.lrs_of(site, has_up, has_down)
                if kind:
                    known[kind] = lrs
            lr_down, lr_up, frozen, why, rule = lrs
            trains = () if frozen else shapes
            row = Row(site, rank, alpha, lr_down, lr_up, frozen, why, rule, rank_why.get(name, ""), trains, saved)
            rows.append(row)
            if is_new:
                self.samples.append(row)
        return tuple(rows)

    def lrs_of(self, site: Site, has_up: bool, has_down: bool) -> tuple[float, float, bool, str, str]:
        """(LR of the down side, of the up side, whether it is frozen, words, the setting that decided)"""
        lr, why, rule = self.lr(site)
        lr_up = lr
        loraplus = self.loraplus(site)
        if loraplus is not None and has_up and lr != 0:
            key, ratio = loraplus
            self.reach.ratios.add(key)
            lr_up = lr * ratio
            why += f"; up side * {ratio:g} (LoRA+)"
        return lr if has_down else 0.0, lr_up, lr == 0, why, rule

    def lr(self, site: Site) -> tuple[float, str, str]:
        """(absolute LR, words, the setting that decided)"""
        part = self.parts.get(site.part)
        if part is not None:
            left_out = part.left_out(site)
            if left_out:
                return 0.0, left_out, "left_out"
        if site.name in self.grid.no_lora:
            return 0.0, f"no LoRA: {self.grid.rank_why[site.name]}", "rank"
        base = self.base_of(site.part)
        if self.has_rules:
            for key, rule in (
                ("module_lr", self.grid.module_rule(site)),
                ("network_reg_lrs", self.grid.upstream_rule(site)),
            ):
                if rule is not None:
                    self.reach.won.add(id(rule))
                    return rule.value.resolve(base), f"{key} {rule.pattern.pattern}:{rule.value}", key
        if part is None:
            return base, "the trainer's LR for this text encoder", "text_encoder"
        return part.cell(site)


_Place = tuple[str | None, int | None, str]
"""(stack, block, component)"""


def place_of(site: Site) -> _Place:
    """What decides about the modules of a part, rules by regex apart."""
    return site.stack, site.block, site.component


class _Part:
    """The formula in one part; LRs of components and depth factors are worked out once."""

    def __init__(self, grid: PartGrid, base: float, base_words: str, reach: Reach, merged: Merged | None):
        self.grid, self.base, self.reach, self.settings = grid, base, reach, grid.settings
        self.default_rate = self.settings.default_lr or Rate(1.0, relative=True)
        default_words = self.settings.key("default_lr") + self.settings.origin("default_lr")
        self.default_words = default_words if self.settings.default_lr else base_words
        self.components: dict[str, tuple[float, str]] = {}
        """Worked out when a module asks: a component that does not train raises no questions."""
        self.exact = exact_factors(self.settings, grid.layout.stacks)
        self.merged = merged or merge(self.exact, self.settings.depth_levels)
        self.curved: dict[_Place, CurvedLr] = {}
        """By place (see ``_place``), of what follows the depth curve."""
        self.cells: dict[_Place, tuple[float, str, str]] = {}
        self.left: dict[_Place, str] = {}

    def left_out(self, site: Site) -> str:
        """Why a module does not train whatever its LR; empty where it does. The same in all of a place."""
        place = place_of(site)
        found = self.left.get(place)
        if found is None:
            found = self.left[place] = self.grid.left_out(site)
        return found

    def cell(self, site: Site) -> tuple[float, str, str]:
        """(absolute LR, words, the setting that decided) by block, component and depth. The same in all of a place."""
        place = place_of(site)
        found = self.cells.get(place)
        if found is None:
            found = self.cells[place] = self._cell(site, place)
        return found

    def _cell(self, site: Site, place: _Place) -> tuple[float, str, str]:
        grid, component = self.grid, site.component
        block = site.place
        weight = grid.block_weight.get(block, 1.0) if block else 1.0
        fixed = grid.block_lr.get(block) if block else None
        if fixed is not None:
            lr, why, rule = fixed.resolve(self.base), f"{self.settings.key('block_lr')} {fixed}", "block_lr"
        else:
            if component not in self.components:
                self.components[component] = self._component(component)
                self.reach.used.setdefault(grid.part, set()).update(self._taken_from(component))
            lr, why = self.components[component]
            rule = "component"
            own = component in self.settings.component_lr
            if block and (own or component in CURVED) and self.settings.depth_strategy != "flat":
                depth = self.merged.factors[block]
                self.curved[place] = CurvedLr(lr, block, weight)
                lr *= depth
                self.reach.curved.add(grid.part)
                why += f" * depth {depth:.4g}"
        if block in grid.block_weight:
            lr *= weight
            why += f" * weight {weight:g} ({self.settings.key(grid.block_weight_from)})"
        return lr, why, rule

    def _component(self, component: str) -> tuple[float, str]:
        """(absolute LR before depth and block weight, words)."""
        own = self.settings.component_lr.get(component)
        if own is not None:
            name = f"{component}_lr"
            return own.resolve(self.base), f"{self.settings.key(name)} {own}{self.settings.origin(name)}"
        default = self.default_rate.resolve(self.base)
        if component == "fused" and {"self_attn", "ffn"} & self.settings.component_lr.keys():
            attention, ffn = (
                self.settings.component_lr.get(c, self.default_rate).resolve(self.base) for c in ("self_attn", "ffn")
            )
            if attention * ffn < 0:
                raise GridError(
                    [
                        f"fused_lr: self_attn {attention:g} and ffn {ffn:g} have no geometric mean (one is negative);"
                        " give fused_lr"
                    ]
                )
            if attention == ffn:
                return attention, f"as self_attn and ffn {ffn:g}"
            mean = math.copysign(math.sqrt(attention * ffn), attention)
            return mean, f"fused: geometric mean of self_attn {attention:g} and ffn {ffn:g}"
        return default, f"{self.default_words} {default:g}"

    def _taken_from(self, component: str) -> set[str]:
        """The settings that a component's LR comes from."""
        own = self.settings.component_lr
        if component in own:
            return {component}
        if component == "fused" and {"self_attn", "ffn"} & own.keys():
            return {c if c in own else "default_lr" for c in ("self_attn", "ffn")}
        return {"default_lr"}


def _about_levels(done: _Calculator) -> list[str]:
    """Lines that say how far merged depth levels are from their curve, and what they save."""
    lines = []
    for name, part in done.parts.items():
        if not part.merged.levels or name not in done.reach.curved:
            continue
        # Rounded up: it is a bound.
        error = f"within {math.ceil(part.merged.error * 1000) / 10:g} % of the exact curve"
        what = f"{part.settings.key('depth_levels')}={part.merged.levels}"
        if name != MAIN_PART:
            lines.append(f"{what}: LRs {error}")
            continue
        if part.settings.max_groups:
            what = f"max_groups={part.settings.max_groups} leaves room for {what}"
        count = done.count()
        before, after = (len(count.under(factors)) for factors in (part.exact, part.merged.factors))
        lines.append(f"{what}: LRs {error}, {before} -> {after} groups")
    return lines


FAR = 100
"""From this multiple of the trainer's LR on, an absolute LR is asked about: a forgotten x looks like that."""


def _suspicions(rows: Sequence[Row], done: _Calculator) -> list[str]:
    """Lines about settings that mean something, but perhaps not what was meant."""
    lines = []
    for part in done.parts.values():
        for component, rate in part.settings.component_lr.items():
            if not rate.relative and part.base and abs(rate.value) > FAR * abs(part.base):
                key, times = part.settings.key(f"{component}_lr"), rate.value / part.base
                lines.append(f"{key} {rate} is {times:.4g} times {done.lrs.words}: was {rate}x meant?")
    for name in dict.fromkeys(row.site.part for row in rows):
        if all(row.frozen for row in rows if row.site.part == name):
            lines.append(f"all of {name} is frozen in this run")
    return list(dict.fromkeys(lines))


def _overrides(grid: BoundGrid, rows: Sequence[Row], done: _Calculator) -> list[str]:
    """Lines that say where one setting took another's place."""
    lines = []
    for key in ("module_lr", "network_reg_lrs") if done.has_rules else ():
        count = sum(row.rule == key for row in rows)
        if count:
            lines.append(f"{key} sets {count} modules; component, depth and block settings do not reach them")
    for part in done.parts.values():
        if part.grid.block_lr:
            lines.append(f"{part.settings.key('block_lr')} takes the place of component LR and depth in its blocks")
        if "fused" in part.components and "fused" not in part.settings.component_lr:
            lr, words = part.components["fused"]
            if words.startswith("fused"):
                cure = ", so fused modules are frozen; fused_lr gives them an LR of their own"
                lines.append(words if lr else words + cure)
    if grid.main.block_weight_from != "block_lr_weight":
        lines.append(f"{grid.main.block_weight_from} (upstream's) weigh the blocks of the grid")
    return list(dict.fromkeys(lines))
