"""Settings held against one network on one model: blocks resolved, and everything that matches nothing told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from lr_grid.anatomy import Layout
from lr_grid.blocks import Block, BlockValues, Indices, compact, describe
from lr_grid.contradictions import contradictions
from lr_grid.errors import Problems, listed, tell_shared
from lr_grid.grid_settings import GridSettings
from lr_grid.keys import EVERY_ENCODER, indices_key, split_section
from lr_grid.models.counts import whose_blocks
from lr_grid.module_rules import ModuleRule, first_match
from lr_grid.sites import Site, Sites
from lr_grid.values import Rate
from lr_grid.words import COMPONENTS, MAIN_PART

T = TypeVar("T")
Place = tuple[str | None, int | None]
"""(stack, block) of a site; (None, None) outside every stack."""


@dataclass
class PartGrid:
    """The settings of one part (the U-Net or DiT, or a text encoder) that are known to mean something for it."""

    part: str
    settings: GridSettings
    layout: Layout
    block_weight: dict[Block, float] = field(default_factory=dict)
    block_weight_from: str = "block_lr_weight"
    block_lr: dict[Block, Rate] = field(default_factory=dict)
    trained_blocks: dict[str, set[int]] = field(default_factory=dict)
    """Stack -> the blocks that train; a stack without an entry trains whole."""

    excluded_blocks: dict[str, set[int]] = field(default_factory=dict)
    """Stack -> the blocks that do not train."""

    def left_out(self, site: Site) -> str:
        """Why a module of this part does not train whatever its LR; empty where it does."""
        by = self.settings.left_out_by(site.component)
        if by:
            key = self.settings.key(by)
            return f"frozen: {site.component} is {'not in' if by == 'train_components' else 'in'} {key}"
        trained = self.trained_blocks.get(site.stack or "")
        way = "train" if trained is not None and site.block not in trained else ""
        if site.block in self.excluded_blocks.get(site.stack or "", ()):
            way = "exclude"
        if not way:
            return ""
        key = indices_key(way, "*") if self.part == MAIN_PART else self.settings.key(indices_key(way, None))
        return f"frozen: block {site.block} of stack {site.stack} is left out by {key}"


@dataclass
class BoundGrid:
    """Settings held against a network."""

    settings: GridSettings
    sites: Sites
    parts: dict[str, PartGrid]
    """The parts that have a grid: always ``unet``; a text encoder where a te_ key speaks of it."""
    upstream_rules: tuple[ModuleRule[Rate], ...] = ()
    """network_reg_lrs of the wrapped module."""
    upstream_dims: tuple[ModuleRule[int], ...] = ()
    """network_reg_dims of the wrapped module, obeyed there."""
    rank_why: dict[str, str] = field(default_factory=dict)
    """Module name -> how its rank came about, where settings speak of ranks."""
    no_lora: set[str] = field(default_factory=set)
    """Names of modules that a rank of 0 kept from being made."""

    @property
    def main(self) -> PartGrid:
        """The grid of the U-Net or DiT."""
        return self.parts[MAIN_PART]

    def module_rule(self, site: Site) -> ModuleRule[Rate] | None:
        """The module_lr rule that wins at a site: by dotted path or LoRA name, first match."""
        return first_match(self.settings.module_lr, site.path, site.name)

    def upstream_rule(self, site: Site) -> ModuleRule[Rate] | None:
        """The network_reg_lrs rule that wins at a site, first match."""
        return next((rule for rule in self.upstream_rules if _matches_upstream(rule, site)), None)

    def upstream_dim(self, site: Site) -> str | None:
        """The regex of network_reg_dims that gave a site its rank, first match."""
        rules = (rule for rule in self.upstream_dims if _matches_upstream(rule, site))
        return next((rule.pattern.pattern for rule in rules), None)

    def loraplus(self, site: Site) -> tuple[str, float] | None:
        """(key, LoRA+ ratio) of a site: the component's, else the part's, else the overall one; None without any."""
        own, main = self.parts.get(site.part), self.settings
        tried: list[tuple[GridSettings, str | None]] = []
        if own is not None:
            tried += [(own.settings, site.component)]
        if site.part == MAIN_PART:
            tried += [(main, "unet")]
        else:
            tried += [(own.settings, None)] if own is not None else []
            tried += [(main, "text_encoder")]
        for settings, name in (*tried, (main, None)):
            if name in settings.loraplus:
                return settings.loraplus_key(name), settings.loraplus[name]
        return None


def _matches(rule: ModuleRule[Any], site: Site) -> bool:
    return rule.matches(site.path, site.name)


def _matches_upstream(rule: ModuleRule[Any], site: Site) -> bool:
    return bool(rule.pattern.fullmatch(site.path) if rule.whole else rule.pattern.search(site.name))


def bind_settings(
    settings: GridSettings,
    sites: Sites,
    problems: Problems,
    upstream_rules: tuple[ModuleRule[Rate], ...] = (),
    upstream_weights: list[float] | None = None,
    upstream_indices: Iterable[str] = (),
    encoder_hint: str = "",
) -> BoundGrid:
    """Holds settings against the sites of a network, and notes every setting that matches nothing.

    Args:
        upstream_rules: the wrapped module's network_reg_lrs.
        upstream_weights: its down/mid/up_lr_weight as one factor a block, in kohya's numbering.
        upstream_indices: ``train_*_block_indices`` keys it takes itself (checked here, obeyed there).
        encoder_hint: how the wrapped module would train a third text encoder, T5.
    """
    main = PartGrid(MAIN_PART, settings, sites.layout)
    grid = BoundGrid(settings, sites, {MAIN_PART: main}, upstream_rules)
    problems.add_all(_bind_part(main, sites, problems, upstream_indices).values())
    if upstream_weights is not None:
        if settings.block_lr_weight is not None:
            problems.add("block_lr_weight and down/mid/up_lr_weight both weigh the blocks: keep one of the two")
        main_stack = next(iter(sites.layout.stacks), "unet")
        main.block_weight = {(main_stack, i): weight for i, weight in enumerate(upstream_weights)}
        main.block_weight_from = "down/mid/up_lr_weight"
    wrong = []
    for part, layout in sorted(sites.encoder_layouts.items()):
        if part in settings.encoders:
            grid.parts[part] = PartGrid(part, settings.encoders[part], layout)
            idle = _bind_part(grid.parts[part], sites, problems)
            wrong.append({**idle, **contradictions(settings.encoders[part])})
    tell_shared(wrong, EVERY_ENCODER, problems)
    _check_encoders(settings, sites, encoder_hint, problems)
    paths = tuple(site.path for site in sites.all)
    names = tuple(site.name for site in sites.all)
    for key in ("module_lr", "module_dims", "module_alphas"):
        rules = settings.module_lr if key == "module_lr" else getattr(settings.ranks, key)
        _check_matches(key, rules, sites, _matches, paths, problems)
        _check_shadowed(key, rules, sites, problems)
    shown = paths if any(rule.whole for rule in upstream_rules) else names
    _check_matches("network_reg_lrs", upstream_rules, sites, _matches_upstream, shown, problems)
    return grid


def _bind_part(
    grid: PartGrid, sites: Sites, problems: Problems, upstream_indices: Iterable[str] = ()
) -> dict[str, str]:
    """Resolves what speaks of blocks and components of one part; returns what matches nothing there, by subject."""
    settings = grid.settings
    for (way, stack), indices in settings.block_indices.items():
        _bind_indices(way, stack, indices, grid, upstream_indices, problems)
    for stack, excluded in grid.excluded_blocks.items():
        if stack in grid.trained_blocks and not grid.trained_blocks[stack] & excluded:
            key = settings.key(indices_key("exclude", stack))
            problems.add(
                f"{key}: excludes nothing: the train_*_block_indices of {stack} leave those blocks out already"
            )
    grid.block_weight = bind_blocks("block_lr_weight", settings.block_lr_weight, grid, problems)
    grid.block_lr = bind_blocks("block_lr", settings.block_lr, grid, problems)
    here = [site for site in sites.all if site.part == grid.part]
    return {**idle_block_lrs(grid, sites, set()), **_missing_components(grid, here)}


def idle_block_lrs(grid: PartGrid, sites: Sites, no_lora: set[str]) -> dict[str, str]:
    """What is wrong with entries of ``block_lr_weight`` and ``block_lr`` that set nothing, by subject.

    Args:
        no_lora: names of modules that a rank of 0 keeps from being made.
    """
    settings = grid.settings
    here = [site for site in sites.all if site.part == grid.part and site.name not in no_lora]
    occupied: set[Place] = {(site.stack, site.block) for site in here if not grid.left_out(site)}
    idle = idle_entries("block_lr", settings.block_lr, grid, occupied)
    if "block_lr_weight" in settings.given:  # a published list names every block
        idle |= idle_entries("block_lr_weight", settings.block_lr_weight, grid, occupied)
    return idle


def _check_encoders(settings: GridSettings, sites: Sites, encoder_hint: str, problems: Problems) -> None:
    """Notes te_ keys of text encoders that the network does not have, and those that keys of all its encoders hide."""
    have = sorted(sites.encoder_layouts)
    for key in sorted(settings.given):
        section, name = split_section(key)
        if section == "te" and not have:
            problems.add(f"{key}: this network has no module of a text encoder")
        elif section == "te":
            winners = [settings.encoders[part].spelling[name] for part in have if part in settings.encoders]
            same = all(settings.source.get(key) == settings.source.get(winner) for winner in winners)
            if winners and key not in winners and same:
                problems.add(f"{key} sets nothing, because of {', '.join(winners)}")
        elif section and section not in have:
            listed_encoders = f"text encoders: {', '.join(have) or 'none'}"
            hint = encoder_hint if section == "te3" else ""
            problems.add(f"{key}: this network has no module of {section} ({listed_encoders}{hint})")


def _bind_indices(
    way: str, stack: str | None, indices: Indices, grid: PartGrid, upstream_indices: Iterable[str], problems: Problems
) -> None:
    """Resolves one ``train_*_block_indices`` or ``exclude_*``; ``stack`` None is the key without a stack's name."""
    stacks, model = grid.layout.stacks, grid.layout.family
    key = grid.settings.key(indices_key(way, stack))
    if stack is None and len(stacks) == 1:
        stack = next(iter(stacks))
    if stack not in stacks:
        asked = f"there is no stack {stack!r}" if stack else "which stack is not said"
        forms = " or ".join(indices_key(way, name) for name in stacks)
        problems.add(f"{key}: {asked}; {model} has {describe(stacks)}" + (f": use {forms}" if forms else ""))
        return
    assert stack is not None
    chosen, bad = indices.resolve(stacks[stack])
    whose = whose_blocks(stacks if grid.part == MAIN_PART else None)(stack, indices.least_size) if bad else ""
    for problem in bad:
        problems.add(f"{key}: {problem}; {model} has {describe(stacks)}{whose}")
    taken = grid.trained_blocks if way == "train" else grid.excluded_blocks
    if stack in taken:
        problems.add(f"{key}: the blocks of {stack} are chosen twice: keep one {indices_key(way, '*')} for it")
    if key not in upstream_indices:
        taken[stack] = chosen


def _check_shadowed(key: str, rules: tuple[ModuleRule[Any], ...], sites: Sites, problems: Problems) -> None:
    """Notes rules whose every match an earlier rule takes."""
    winners = [first_match(rules, site.path, site.name) for site in sites.all]
    won = {id(rule) for rule in winners if rule is not None}
    for rule in rules:
        if id(rule) not in won and any(_matches(rule, site) for site in sites.all):
            problems.add(f"{key}: the regex {rule.pattern.pattern!r} wins nowhere: earlier rules take all its modules")


def bind_blocks(name: str, values: BlockValues[T] | None, grid: PartGrid, problems: Problems) -> dict[Block, T]:
    """Resolves one block setting, noting entries that cannot be."""
    if values is None:
        return {}
    key = grid.settings.key(name)
    whose = whose_blocks(grid.layout.stacks if grid.part == MAIN_PART else None)
    resolved = values.resolve(grid.layout.stacks, grid.layout.family, whose)
    for problem in resolved.problems:
        hint = ""
        if key.startswith(EVERY_ENCODER):
            hint = f" ({key} speaks of every text encoder: {grid.part}_{name} would speak of {grid.part} alone)"
        problems.add(f"{key}: {problem}{hint}")
    return resolved.values


def idle_entries(name: str, values: BlockValues[Any] | None, grid: PartGrid, occupied: set[Place]) -> dict[str, str]:
    """What is wrong with entries of one block setting that set nothing, by subject.

    Args:
        occupied: the places of the modules that the setting speaks of.
    """
    if values is None:
        return {}
    key, stacks = grid.settings.key(name), grid.layout.stacks
    by_stack = {stack: [b for s, b in occupied if s == stack and b is not None] for stack in stacks}
    there = ", ".join(f"{stack} {compact(blocks)}" for stack, blocks in by_stack.items() if blocks)
    idle = {}
    for entry, blocks in values.resolve(stacks, grid.layout.family).reach.items():
        subject = f"{key}: {entry.text!r}"
        if not blocks:
            idle[subject] = f"{subject} sets nothing: later entries take all its blocks"
        elif occupied.isdisjoint(blocks):
            idle[subject] = f"{subject} matches no module that trains; such stand in {there or 'no block'}"
    return idle


def _missing_components(grid: PartGrid, here: list[Site]) -> dict[str, str]:
    """What is wrong with settings of components that the part does not have, by subject."""
    settings, model = grid.settings, grid.layout.family
    model = model if grid.part == MAIN_PART else f"{grid.part} ({model})"
    there = Counter(site.component for site in here)
    what = ", ".join(f"{c} ({there[c]} modules)" for c in COMPONENTS if there[c]) or (
        "no module of the U-Net or DiT (is this the network module for this model?)"
    )
    asked = {f"{c}_lr": c for c in COMPONENTS if f"{c}_lr" in settings.given}
    asked |= {f"loraplus_{c}_lr_ratio": c for c in COMPONENTS if c in settings.loraplus}
    through_fused = {f"{c}_lr" for c in ("self_attn", "ffn") if there["fused"] and "fused" not in settings.component_lr}
    missing = [(name, c) for name, c in asked.items() if not there[c] and name not in through_fused]
    chosen = {"train_components": settings.train_components or (), "exclude_components": settings.exclude_components}
    missing += [(name, c) for name in chosen for c in sorted(chosen[name]) if not there[c]]
    missing += [(f"{c}_dim", c) for c in settings.ranks.component_dim if not there[c]]
    missing += [(f"{c}_alpha", c) for c in settings.ranks.component_alpha if not there[c]]
    missing = [(name, c) for name, c in missing if name not in settings.preset_keys]
    return {
        f"{settings.key(name)}: {c}": (
            f"{settings.key(name)}: this network has no {c} module in {model}; it has {what}"
        )
        for name, c in missing
    }


def _check_matches(
    key: str,
    rules: tuple[ModuleRule[Any], ...],
    sites: Sites,
    matches: Callable[[ModuleRule[Any], Site], bool],
    shown: Iterable[str],
    problems: Problems,
) -> None:
    """Notes rules that match no module; ``shown`` are texts a rule could have matched."""
    for rule in rules:
        if not any(matches(rule, site) for site in sites.all):
            whole = " as a whole" if rule.whole else ""
            problems.add(
                f"{key}: the regex {rule.pattern.pattern!r} matches no module{whole}; there are {listed(shown, 4)}"
            )
