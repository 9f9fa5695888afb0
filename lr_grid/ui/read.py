"""Arguments in the vocabulary of --network_args as a state: presets spelt out, cells found, the rest kept."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from lr_grid.blocks import Block, BlockValues, Entry, compact, parse_block_values
from lr_grid.convert.arguments import MODULE_KEYS, as_text
from lr_grid.errors import GridError, Problems
from lr_grid.grid_settings import GridSettings
from lr_grid.keys import PARSERS, PRESET_KEYS, is_grid_key, is_indices
from lr_grid.models.counts import whose_blocks
from lr_grid.module_rules import parse_module_rules
from lr_grid.settings import read_settings
from lr_grid.ui.live import canonical
from lr_grid.ui.models import PageModel, page_model
from lr_grid.ui.spelt_out import spelt_out
from lr_grid.ui.state import ByBlock, State
from lr_grid.values import number, rate
from lr_grid.words import COMPONENTS

_COMPONENT_KEYS = {f"{c}_lr": c for c in COMPONENTS}
_RATIO_KEYS = {"loraplus_lr_ratio": "", "loraplus_unet_lr_ratio": "unet"}
_RATIO_KEYS |= {f"loraplus_{c}_lr_ratio": c for c in COMPONENTS}
_DIM_KEYS, _ALPHA_KEYS = ({f"{c}_{what}": c for c in COMPONENTS} for what in ("dim", "alpha"))
_DEPTH_KEYS = ("depth_strategy", "min_depth_factor", "peak_position", "depth_scope", "depth_levels")


@dataclass
class Read:
    """A state that was read, and what is to be said of it."""

    state: State
    notes: list[str] = field(default_factory=list)


class MisfitError(GridError):
    """Blocks that the model does not have: the text may be another model's."""


def read_arguments(arguments: Mapping[str, Any], name: str, module: str = "", was_run: bool = False) -> Read:
    """The state of arguments on a model; its run is a default one.

    Args:
        name: the model's.
        module: the network module; empty: the model's own.
        was_run: they are a run's, with what presets brought among them: an LR of a component that the model does not
            have is no mistake.

    Raises: GridError with everything that is wrong, MisfitError where it is the model's blocks.
    """
    if "grid" in arguments:
        raise GridError([f"grid={arguments['grid']}: the page reads no file by its name: open it, or paste its text"])
    problems = Problems()
    settings = read_settings(arguments, problems, words="the settings")
    problems.raise_if_any()
    raw, brought = spelt_out(arguments)
    brought = frozenset(raw) if was_run else brought
    others = {key: _text(key, value) for key, value in raw.items() if not is_grid_key(key) or key == "conv_block_dims"}
    model = page_model(name, module, others)
    reader = _Reader(State(model, module=module), settings, raw, brought)
    reader.read()
    spelt = [f"{key}={_text(key, arguments[key])}" for key in (*PRESET_KEYS, "per_layer_lr") if key in arguments]
    if spelt:
        reader.notes.insert(0, f"{', '.join(spelt)}: spelt out, setting by setting")
    return Read(canonical(reader.state), reader.notes)


class _Exact(str):
    """A value as it was written."""


def _text(key: str, value: Any) -> str:
    """A value as text, an LR's x small."""
    text = as_text(value).strip()
    return text[:-1] + "x" if text[-1:] == "X" and _is_rate_key(key) else text


def _is_rate_key(key: str) -> bool:
    return key in _COMPONENT_KEYS or key in _ALPHA_KEYS or key == "default_lr"


def _exact(value: object) -> _Exact:
    rate(value)  # told in the words of the settings, if it is none
    return _Exact(_text("default_lr", value))


class _Reader:
    """Takes settings into a state, key by key."""

    def __init__(self, state: State, settings: GridSettings, raw: Mapping[str, Any], brought: frozenset[str]):
        self.state, self.settings, self.raw, self.brought = state, settings, raw, brought
        self.notes: list[str] = []
        self.dropped: list[str] = []
        """Keys of a preset or published defaults for components that the model does not have."""
        self.wrong, self.misfits = Problems(), Problems()

    @property
    def model(self) -> PageModel:
        return self.state.model

    def read(self) -> None:
        """Raises: GridError, MisfitError."""
        self.components_off()
        self.off()
        for key, value in self.raw.items():
            self.take(key, value)
        self.depth()
        if self.misfits.found and not self.wrong.found:
            raise MisfitError(self.misfits.found)
        self.wrong.add_all(self.misfits.found)
        self.wrong.raise_if_any()
        if self.dropped:
            there = ", ".join(self.model.components)
            self.notes.append(f"{', '.join(self.dropped)}: left out, {self.model.name} has {there} only")
        self.state.components, self.state.loraplus = (
            {name: values[name] for name in ("", "unet", *COMPONENTS) if name in values}
            for values in (self.state.components, self.state.loraplus)
        )

    def take(self, key: str, value: Any) -> None:
        """One setting."""
        state, text = self.state, _text(key, value)
        tables = (
            (_COMPONENT_KEYS, state.components),
            (_RATIO_KEYS, state.loraplus),
            (_DIM_KEYS, state.component_dim),
            (_ALPHA_KEYS, state.component_alpha),
        )
        for keys, values in tables:
            if key in keys:
                if self.has(keys[key], key):
                    values[keys[key]] = text
                return
        if key == "default_lr":
            state.default_lr = text
        elif key == "block_lr_weight":
            for (stack, block), weight in self.resolved(key, value, number).items():
                state.weights[stack][block] = weight
        elif key == "block_lr":
            state.block_lr = self.by_block(key, value, _exact)
        elif key == "block_dims":
            state.block_dims = self.by_block(key, value, lambda one: int(number(one)))
        elif key == "block_alphas":
            state.block_alphas = self.by_block(key, value, _exact)
        elif key == "module_lr":
            self.module_lr(value)
        elif key in MODULE_KEYS:
            self.keep_rules(key, text, PARSERS[key], PARSERS[key](value))
        elif key not in (*_DEPTH_KEYS, "train_components", "exclude_components") and not is_indices(key):
            state.kept[key] = text

    def has(self, component: str, key: str) -> bool:
        """Whether the model has a component; a problem where it has not, but the user speaks of it."""
        there = self.model.components
        if component in ("", "unet") or component in there:
            return True
        if "fused" in there and key in ("self_attn_lr", "ffn_lr") and "fused_lr" not in self.raw:
            return True  # fused takes the mean of the two
        listed = ", ".join(there)
        if key in self.brought:
            self.dropped.append(key)
        else:
            self.wrong.add(f"{key}: this network has no {component} module in {self.model.name}; it has {listed}")
        return False

    def components_off(self) -> None:
        there, trained = self.model.components, self.settings.train_components
        off = set(self.settings.exclude_components)
        if trained is not None:
            off |= {component for component in there if component not in trained}
        for key, named in (
            ("train_components", trained or ()),
            ("exclude_components", self.settings.exclude_components),
        ):
            for component in sorted(set(named) - set(there)):
                if key not in self.brought:
                    self.wrong.add(
                        f"{key}: this network has no {component} module in {self.model.name}; it has {', '.join(there)}"
                    )
        self.state.components_off = [component for component in COMPONENTS if component in off and component in there]

    def off(self) -> None:
        stacks = self.model.stacks
        for (way, name), indices in self.settings.block_indices.items():
            stack = name if name or len(stacks) > 1 else next(iter(stacks))
            key = f"{way}_{name}_block_indices" if name else f"{way}_block_indices"
            if stack not in stacks:
                self.misfits.add(f"{key}: {self.model.name} has the stacks {', '.join(stacks)}")
                continue
            assert stack is not None
            chosen, bad = indices.resolve(stacks[stack])
            for problem in bad:
                whose = whose_blocks(stacks)(stack, indices.least_size)
                self.misfits.add(f"{key}: {problem}{whose}")
            here = set(range(stacks[stack])) - chosen if way == "train" else chosen
            merged = here | set(self.state.off.get(stack, ()))
            if merged:
                self.state.off[stack] = sorted(merged)
        self.state.off = {stack: self.state.off[stack] for stack in stacks if stack in self.state.off}

    def resolved(self, key: str, value: Any, parse: Callable[[object], Any]) -> dict[tuple[str, int], Any]:
        values: BlockValues[Any] = parse_block_values(value, parse)
        found = values.resolve(self.model.stacks, self.model.name, whose_blocks(self.model.stacks))
        self.misfits.add_all(f"{key}: {problem}" for problem in found.problems)
        if key not in self.brought:
            self.idle(key, found.reach)
        return found.values

    def idle(self, key: str, reach: Mapping[Entry[Any], Collection[Block]]) -> None:
        """Tells of entries that reach nothing: a run refuses them, and a state cannot hold them."""
        on = {
            stack: {b for c, blocks in rows.items() if c not in self.state.components_off for b in blocks}
            - set(self.state.off.get(stack, ()))
            for stack, rows in self.model.rows.items()
        }
        there = ", ".join(f"{stack} {compact(sorted(blocks))}" for stack, blocks in on.items() if blocks)
        for entry, blocks in reach.items():
            if not blocks:
                self.notes.append(f"{key}: {entry.text!r} is left out, later entries take all its blocks")
            elif not any(block in on[stack] for stack, block in blocks):
                self.notes.append(
                    f"{key}: {entry.text!r} is left out, it matches no module that trains in {self.model.name};"
                    f" such stand in {there or 'no block'}"
                )

    def by_block(self, key: str, value: Any, parse: Callable[[object], Any]) -> ByBlock:
        found: ByBlock = {}
        for (stack, block), one in sorted(self.resolved(key, value, parse).items(), key=lambda item: item[0][1]):
            found.setdefault(stack, {})[block] = str(one) if isinstance(one, _Exact) else one
        return {stack: found[stack] for stack in self.model.stacks if stack in found}

    def module_lr(self, value: Any) -> None:
        """Leading rules that speak of whole cells are cells; from the first other one on, the text is kept."""
        rules = parse_module_rules(value, _exact)
        cells: dict[tuple[str, int, str], str] = {}
        for at, rule in enumerate(rules):
            found = self.model.cells_of(rule.pattern)
            if found is None:
                rest = rules[at:]
                text = ",".join(f"{one.pattern.pattern}:{one.value}" for one in rest)
                self.keep_rules("module_lr", text, lambda value: parse_module_rules(value, _exact), rest)
                break
            for cell in found:
                cells.setdefault(cell, str(rule.value))
        for stack, rows in self.model.rows.items():
            for component, blocks in rows.items():
                here = {b: cells[stack, b, component] for b in sorted(blocks) if (stack, b, component) in cells}
                if here:
                    self.state.cells.setdefault(stack, {})[component] = here

    def keep_rules(self, key: str, text: str, parse: Callable[[Any], Any], meant: Any) -> None:
        """Keeps rules by regex as text, if that text means the same."""
        try:
            same = parse(text) == meant
        except ValueError:
            same = False
        if not same:
            self.wrong.add(f"{key}: {text!r} would be read as other rules than these, and the page keeps texts")
        self.state.kept[key] = text

    def depth(self) -> None:
        """The curve. (Of two curves, of LRs and of ranks, depth_scope is one word for both.)"""
        depth, settings = self.state.depth, self.settings
        depth.strategy = settings.depth_strategy
        depth.min, depth.peak = settings.min_depth_factor, settings.peak_position
        depth.scope, depth.levels = settings.depth_scope, settings.depth_levels
        if depth.strategy == "flat" and depth.scope != "stack" and settings.ranks.rank_strategy != "flat":
            self.state.kept["depth_scope"] = depth.scope
