"""Which rank and alpha every module gets, and why. remake.py makes the modules.

How the rank of a module comes about, first match wins:

1. ``module_dims``, then the wrapped module's own ``network_reg_dims``: final;
2. 0 (no LoRA) where its block or its component says 0;
3. ``block_dims`` of its block (``conv_block_dims`` for a convolution larger than 1x1);
4. ``<component>_dim``, else what the wrapped module gave it (--network_dim, conv_dim, network_reg_dims, ...), x the
   factor of ``rank_strategy``, rounded to ``rank_multiple``, at least ``min_rank``.

``rank_budget`` then scales the ranks of 3 and 4. Alpha: ``module_alphas``, ``block_alphas`` (``conv_block_alphas``),
``<component>_alpha``, else what it was; a multiple (``0.5x``) is one of the module's own rank.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction

from lr_grid.binding import BoundGrid, PartGrid, Place, bind_blocks, idle_block_lrs, idle_entries
from lr_grid.blocks import Block
from lr_grid.depth import depth_factor, depth_factors
from lr_grid.errors import Problems, tell_shared
from lr_grid.keys import EVERY_ENCODER
from lr_grid.module_rules import first_match
from lr_grid.rank_settings import BLOCK_KEYS, RankSettings
from lr_grid.sites import Site
from lr_grid.values import Rate
from lr_grid.words import COMPONENTS, MAIN_PART


@dataclass(frozen=True, slots=True)
class MadeModule:
    """What the wrapped module made at a site."""

    rank: int
    alpha: Rate
    is_conv: bool
    """A convolution larger than 1x1."""
    weights: int = 0
    """How many numbers the layer itself has."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The rank and alpha (absolute) of one module."""

    rank: int
    asked_alpha: Rate | None
    """None where no setting speaks of it."""
    made_alpha: Rate
    why: str
    share: float
    """The rank before rounding: what a budget is spent in proportion to."""
    is_final: bool = False
    """True: a budget leaves it as it is."""

    @property
    def alpha(self) -> float:
        """Absolute. Without a setting it stays what it was, whatever the rank."""
        return (self.asked_alpha or self.made_alpha).resolve(self.rank)


def choose_ranks(grid: BoundGrid, made: Mapping[str, MadeModule], problems: Problems) -> dict[str, Choice]:
    """The rank and alpha of every module that has one, by name, without rank_budget.

    Notes settings that set nothing.

    Args:
        made: the modules with a rank, by name.
    """
    chosen: dict[str, Choice] = {}
    parts = {part: _PartRanks(own, grid, made, problems) for part, own in grid.parts.items()}
    others = {site.part for site in grid.sites.all} - parts.keys()
    bare = {part: _no_settings(part, grid, made) for part in others}
    rules: set[int] = set()
    for site in grid.sites.all:
        if site.name in made:
            own = parts.get(site.part) or bare[site.part]
            chosen[site.name] = _choose(site, made[site.name], own, grid, rules)
    no_lora = {name for name, choice in chosen.items() if choice.rank == 0}
    idle = {name: {**part.idle(), **idle_block_lrs(part.grid, grid.sites, no_lora)} for name, part in parts.items()}
    problems.add_all(idle.pop(MAIN_PART).values())
    tell_shared(list(idle.values()), EVERY_ENCODER, problems)
    for key in ("module_dims", "module_alphas"):
        for rule in getattr(grid.settings.ranks, key):
            if id(rule) not in rules and any(rule.matches(site.path, site.name) for site in grid.sites.all):
                problems.add(
                    f"{key}: the regex {rule.pattern.pattern!r} sets nothing: its modules have no rank, or no LoRA"
                )
    given = any(own.settings.ranks.keys for own in grid.parts.values())
    if given and chosen and not any(choice.rank for choice in chosen.values()):
        problems.add(f"every rank is 0: nothing would train. The first module: {next(iter(chosen.values())).why}")
    return chosen


def _choose(site: Site, module: MadeModule, part: _PartRanks, grid: BoundGrid, rules: set[int]) -> Choice:
    ranks = grid.settings.ranks
    rank_rule = first_match(ranks.module_dims, site.path, site.name)
    upstream = grid.upstream_dim(site)
    if rank_rule is None and upstream is not None:
        rank, share, final, why = module.rank, float(module.rank), True, f"network_reg_dims {upstream}:{module.rank}"
    elif rank_rule is not None:
        rules.add(id(rank_rule))
        rank, share, final = rank_rule.value, float(rank_rule.value), True
        why = f"module_dims {rank_rule.pattern.pattern}:{rank}"
    else:
        rank, share, why = part.rank(site, module)
        final = False
    if rank == 0:
        return Choice(0, None, module.alpha, why, 0.0, final)
    alpha_rule = first_match(ranks.module_alphas, site.path, site.name)
    if alpha_rule is not None:
        rules.add(id(alpha_rule))
    alpha = alpha_rule.value if alpha_rule is not None else part.alpha(site, module)
    return Choice(rank, alpha, module.alpha, why, share, final)


def _no_settings(part: str, grid: BoundGrid, made: Mapping[str, MadeModule]) -> _PartRanks:
    """A text encoder without te_ keys: only rules by regex reach it."""
    layout = grid.sites.encoder_layouts.get(part, grid.sites.layout)
    bare = PartGrid(part, replace(grid.settings, ranks=RankSettings(), given=frozenset()), layout)
    return _PartRanks(bare, grid, made, Problems())


class _PartRanks:
    """The formula in one part."""

    def __init__(self, part: PartGrid, grid: BoundGrid, made: Mapping[str, MadeModule], problems: Problems):
        self.grid, self.settings, self.ranks = part, part.settings, part.settings.ranks
        self.used: set[str] = set()
        """Keys that decided about a module."""
        self.used_blocks: dict[str, set[Place]] = {name: set() for name in BLOCK_KEYS}
        """Block key -> the blocks where it decided about a module."""
        self.wrong: dict[str, str] = {}
        self.sites = [site for site in grid.sites.all if site.part == part.part]
        self.here = [site for site in self.sites if site.name in made]
        self.blocks: dict[str, dict[Block, int]] = {}
        self.block_alphas: dict[str, dict[Block, Rate]] = {}
        for conv in (False, True):
            places = {(s.stack, s.block) for s in self.here if made[s.name].is_conv == conv and not part.left_out(s)}
            for name, target in ((_dims(conv), self.blocks), (_alphas(conv), self.block_alphas)):
                values = getattr(self.ranks, name)
                if conv and not places and values is not None:
                    key = self.settings.key(name)
                    self.wrong[key] = (
                        f"{key}: this network has no module on a convolution larger than 1x1 (conv_dim or"
                        " conv_block_dims makes them, where the model has such)"
                    )
                    continue
                target[name] = bind_blocks(name, values, part, problems)
                self.wrong |= idle_entries(name, values, part, places)
        r = self.ranks
        curve = (r.min_rank_factor, r.rank_peak_position)
        self.depths = depth_factors(
            part.layout.stacks, self.settings.depth_scope, lambda at, of: depth_factor(r.rank_strategy, at, of, *curve)
        )

    def rank(self, site: Site, module: MadeModule) -> tuple[int, float, str]:
        """(rank, rank before rounding, words) by block, component and depth."""
        ranks, key = self.ranks, self.settings.key
        block = site.place
        name = _dims(module.is_conv)
        own = ranks.component_dim.get(site.component)
        of_block = self.blocks.get(name, {}).get(block) if block else None
        if own is not None:
            own_words = f"{key(f'{site.component}_dim')} {own}{self.settings.origin(f'{site.component}_dim')}"
            if own == 0:
                self.used.add(f"{site.component}_dim")
                return 0, 0.0, own_words
        if block and of_block is not None:
            self.used_blocks[name].add(block)
            return of_block, float(of_block), f"{key(name)} {of_block}"
        if own is None:
            share, why = float(module.rank), f"rank {module.rank} of the network"
        else:
            self.used.add(f"{site.component}_dim")
            share, why = float(own), own_words
        if block is None or ranks.rank_strategy == "flat":
            return round(share), share, why
        self.used.add("rank_strategy")
        share *= self.depths[block]
        return self._rounded(share), share, f"{why} * depth {self.depths[block]:.4g}"

    def _rounded(self, share: float) -> int:
        multiple = self.ranks.rank_multiple
        # Half up, in exact numbers: round() would send 2.5 down and 3.5 up.
        return max(
            self.ranks.lowest_rank, int(Fraction(share).limit_denominator(10**6) / multiple + Fraction(1, 2)) * multiple
        )

    def alpha(self, site: Site, module: MadeModule) -> Rate | None:
        """The alpha that was asked for; None where none was."""
        block = site.place
        name = _alphas(module.is_conv)
        of_block = self.block_alphas.get(name, {}).get(block) if block else None
        if block and of_block is not None:
            self.used_blocks[name].add(block)
            return of_block
        own = self.ranks.component_alpha.get(site.component)
        if own is not None:
            self.used.add(f"{site.component}_alpha")
        return own

    def idle(self) -> dict[str, str]:
        """What sets nothing in this part, by subject."""
        there = {site.component for site in self.here}
        shared = self.settings.preset_keys  # a preset serves every model: what finds nothing is no mistake
        unranked = {site.component for site in self.sites} - there
        for component in COMPONENTS:
            for name, values in (
                (f"{component}_dim", self.ranks.component_dim),
                (f"{component}_alpha", self.ranks.component_alpha),
            ):
                if component not in values or name in shared:
                    continue
                if component in there and name not in self.used:
                    key = self.settings.key(name)
                    self.wrong[key] = f"{key}: sets nothing: other settings decide about every {component} module"
                elif component in unranked:
                    key = self.settings.key(name)
                    self.wrong[key] = f"{key}: no {component} module of this network has a rank"
        for name in BLOCK_KEYS:
            self._idle_blocks(name)
        if self.ranks.rank_strategy != "flat" and "rank_strategy" not in self.used:
            key = self.settings.key("rank_strategy")
            self.wrong[key] = f"{key}={self.ranks.rank_strategy}: no module follows the curve"
        return self.wrong

    def _idle_blocks(self, name: str) -> None:
        """Entries of a block key whose every module has its rank or alpha from elsewhere."""
        values, key, used = getattr(self.ranks, name), self.settings.key(name), self.used_blocks[name]
        if values is None or key in self.wrong:
            return
        resolved = values.resolve(self.grid.layout.stacks, self.grid.layout.family)
        for entry, blocks in resolved.reach.items():
            if used.isdisjoint(blocks):
                subject = f"{key}: {entry.text!r}"
                self.wrong.setdefault(
                    subject, f"{subject} sets nothing: other settings decide about every module there"
                )
        if values.positional is not None and not used and not resolved.problems:
            self.wrong[key] = f"{key}: sets nothing: other settings decide about every module"


def _dims(conv: bool) -> str:
    return "conv_block_dims" if conv else "block_dims"


def _alphas(conv: bool) -> str:
    return "conv_block_alphas" if conv else "block_alphas"
