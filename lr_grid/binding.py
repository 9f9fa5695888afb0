"""Settings held against one network on one model: blocks resolved, and everything that matches nothing told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TypeVar

from lr_grid.blocks import Block, BlockValues, Indices, compact, describe
from lr_grid.errors import Problems, listed
from lr_grid.settings import GridSettings, ModuleRule
from lr_grid.sites import Site, Sites
from lr_grid.values import Rate
from lr_grid.words import COMPONENTS, MAIN_PART

T = TypeVar("T")
Place = tuple[str | None, int | None]
"""(stack, block) of a site; (None, None) outside every stack."""


@dataclass
class BoundGrid:
    """Settings that are known to mean something for this network."""

    settings: GridSettings
    sites: Sites
    block_weight: dict[Block, float] = field(default_factory=dict)
    block_weight_from: str = "block_lr_weight"
    block_lr: dict[Block, Rate] = field(default_factory=dict)
    trained_blocks: dict[str, set[int]] = field(default_factory=dict)
    """Stack -> the blocks that train; a stack without an entry trains whole."""
    upstream_rules: tuple[ModuleRule, ...] = ()
    """network_reg_lrs of the wrapped module."""

    def module_rule(self, site: Site) -> ModuleRule | None:
        """The module_lr rule that wins at a site: by dotted path or LoRA name, first match."""
        rules = self.settings.module_lr
        return next((r for r in rules if r.pattern.search(site.path) or r.pattern.search(site.name)), None)

    def upstream_rule(self, site: Site) -> ModuleRule | None:
        """The network_reg_lrs rule that wins at a site: by LoRA name, first match."""
        return next((r for r in self.upstream_rules if r.pattern.search(site.name)), None)

    def left_out(self, site: Site) -> str:
        """Why a module of the U-Net or DiT does not train whatever its LR; empty where it does."""
        chosen = self.settings.train_components
        if chosen is not None and site.component not in chosen:
            return f"frozen: {site.component} is not in train_components"
        trained = self.trained_blocks.get(site.stack or "")
        if trained is not None and site.block not in trained:
            return f"frozen: block {site.block} of stack {site.stack} is left out by train_*_block_indices"
        return ""


def bind_settings(
    settings: GridSettings,
    sites: Sites,
    problems: Problems,
    upstream_rules: tuple[ModuleRule, ...] = (),
    upstream_weights: list[float] | None = None,
    upstream_indices: Iterable[str] = (),
) -> BoundGrid:
    """Holds settings against the sites of a network, and notes every setting that matches nothing.

    Args:
        upstream_rules: the wrapped module's network_reg_lrs.
        upstream_weights: its down/mid/up_lr_weight as one factor a block, in kohya's numbering.
        upstream_indices: ``train_*_block_indices`` keys it takes itself (checked here, obeyed there).
    """
    grid = BoundGrid(settings, sites, upstream_rules=upstream_rules)
    for stack, indices in settings.train_block_indices.items():
        _bind_indices(stack, indices, grid, upstream_indices, problems)
    main = [site for site in sites.all if site.part == MAIN_PART]
    occupied: set[Place] = {(site.stack, site.block) for site in main if not grid.left_out(site)}
    told = Problems() if "block_lr_weight" not in settings.given else problems  # a published list names every block
    grid.block_weight = _bind_blocks("block_lr_weight", settings.block_lr_weight, sites, occupied, problems, told)
    grid.block_lr = _bind_blocks("block_lr", settings.block_lr, sites, occupied, problems, problems)
    if upstream_weights is not None:
        if settings.block_lr_weight is not None:
            problems.add("block_lr_weight and down/mid/up_lr_weight both weigh the blocks: keep one of the two")
        main_stack = next(iter(sites.layout.stacks), "unet")
        grid.block_weight = {(main_stack, i): weight for i, weight in enumerate(upstream_weights)}
        grid.block_weight_from = "down/mid/up_lr_weight"
    _check_components(settings, main, sites.layout.family, problems)
    _check_matches("module_lr", settings.module_lr, sites.all, lambda site: (site.path, site.name), problems)
    _check_matches("network_reg_lrs", upstream_rules, sites.all, lambda site: (site.name,), problems)
    _check_shadowed(grid, problems)
    return grid


def _bind_indices(
    stack: str | None, indices: Indices, grid: BoundGrid, upstream_indices: Iterable[str], problems: Problems
) -> None:
    """Resolves one ``train_*_block_indices``; ``stack`` None is the key without a stack's name."""
    stacks, model = grid.sites.layout.stacks, grid.sites.layout.family
    key = f"train_{stack}_block_indices" if stack else "train_block_indices"
    if stack is None and len(stacks) == 1:
        stack = next(iter(stacks))
    if stack not in stacks:
        asked = f"there is no stack {stack!r}" if stack else "which stack is not said"
        forms = " or ".join(f"train_{name}_block_indices" for name in stacks)
        problems.add(f"{key}: {asked}; {model} has {describe(stacks)}" + (f": use {forms}" if forms else ""))
        return
    assert stack is not None
    chosen, bad = indices.resolve(stacks[stack])
    for problem in bad:
        problems.add(f"{key}: {problem}; {model} has {describe(stacks)}")
    if stack in grid.trained_blocks:
        problems.add(f"{key}: the blocks of {stack} are chosen twice: keep one train_*_block_indices for it")
    if key not in upstream_indices:
        grid.trained_blocks[stack] = chosen


def _check_shadowed(grid: BoundGrid, problems: Problems) -> None:
    """Notes module_lr rules whose every match an earlier rule takes."""
    won = {id(rule) for rule in map(grid.module_rule, grid.sites.all) if rule is not None}
    for rule in grid.settings.module_lr:
        matches = any(rule.pattern.search(text) for site in grid.sites.all for text in (site.path, site.name))
        if matches and id(rule) not in won:
            problems.add(
                f"module_lr: the regex {rule.pattern.pattern!r} wins nowhere: earlier rules take all its modules"
            )


def _bind_blocks(
    key: str, values: BlockValues[T] | None, sites: Sites, occupied: set[Place], problems: Problems, idle: Problems
) -> dict[Block, T]:
    """Resolves one block setting; notes entries that cannot be (problems) and entries that set nothing (idle)."""
    if values is None:
        return {}
    resolved = values.resolve(sites.layout.stacks, sites.layout.family)
    for problem in resolved.problems:
        problems.add(f"{key}: {problem}")
    by_stack = {name: [b for s, b in occupied if s == name and b is not None] for name in sites.layout.stacks}
    there = ", ".join(f"{stack} {compact(blocks)}" for stack, blocks in by_stack.items() if blocks)
    for entry, blocks in resolved.reach.items():
        if not blocks:
            idle.add(f"{key}: {entry.text!r} sets nothing: later entries take all its blocks")
        elif occupied.isdisjoint(blocks):
            idle.add(f"{key}: {entry.text!r} matches no module that trains; such stand in {there or 'no block'}")
    return resolved.values


def _check_components(settings: GridSettings, main: list[Site], model: str, problems: Problems) -> None:
    there = Counter(site.component for site in main)
    what = ", ".join(f"{c} ({there[c]} modules)" for c in COMPONENTS if there[c]) or (
        "no module of the U-Net or DiT (is this the network module for this model?)"
    )
    asked = {f"{c}_lr": c for c in COMPONENTS if f"{c}_lr" in settings.given}
    asked |= {f"loraplus_{c}_lr_ratio": c for c in COMPONENTS if c in settings.loraplus}
    through_fused = {f"{c}_lr" for c in ("self_attn", "ffn") if there["fused"] and "fused" not in settings.component_lr}
    for key, component in asked.items():
        if not there[component] and key not in through_fused:
            problems.add(f"{key}: this network has no {component} module in {model}; it has {what}")
    for component in sorted(settings.train_components or ()):
        if not there[component]:
            problems.add(f"train_components: this network has no {component} module in {model}; it has {what}")


def _check_matches(
    key: str,
    rules: tuple[ModuleRule, ...],
    sites: tuple[Site, ...],
    texts: Callable[[Site], Iterable[str]],
    problems: Problems,
) -> None:
    """Notes rules that match no module. ``texts`` gives what a rule is held against."""
    for rule in rules:
        if not any(rule.pattern.search(text) for site in sites for text in texts(site)):
            there = listed((next(iter(texts(site))) for site in sites), 4)
            problems.add(f"{key}: the regex {rule.pattern.pattern!r} matches no module; there are {there}")
