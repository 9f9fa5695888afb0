"""A state as text: the fewest keys that are easy to read, as --network_args, as a grid file, as a whole command."""

from __future__ import annotations

import re
from dataclasses import dataclass

from lr_grid.blocks import compact
from lr_grid.convert.arguments import why_no_argument
from lr_grid.convert.base import Job
from lr_grid.convert.grid_toml import write as write_toml
from lr_grid.convert.models import Model
from lr_grid.convert.quoting import bash
from lr_grid.convert.texts import NETWORK_ARGS, number_text
from lr_grid.errors import GridError
from lr_grid.keys import indices_key, is_grid_key
from lr_grid.ui.live import Live, canonical
from lr_grid.ui.runs import sparse_text, weights_text
from lr_grid.ui.state import State
from lr_grid.words import COMPONENTS

Words = dict[str, str]
"""Key -> value of --network_args, in the order they are written."""


@dataclass(frozen=True)
class Texts:
    """The three forms, and what is to be said of them."""

    network_args: str
    toml: str
    command: str
    notices: list[str]

    def to_json(self) -> dict[str, str]:
        """The forms alone."""
        return {"network_args": self.network_args, "toml": self.toml, "command": self.command}


def words_of(given: State) -> Words:
    """The arguments of a state."""
    state = canonical(given)
    words: Words = {}
    if state.default_lr:
        words["default_lr"] = state.default_lr
    words |= {f"{component}_lr": state.components[component] for component in _in_order(state.components)}
    words |= _depth(state)
    words |= _blocks(state)
    words |= _off(state)
    if state.components_off:
        words["exclude_components"] = ",".join(state.components_off)
    for name in ("", "unet", *COMPONENTS):
        if name in state.loraplus:
            words[f"loraplus_{name}_lr_ratio" if name else "loraplus_lr_ratio"] = state.loraplus[name]
    words |= _ranks(state)
    for key, text in state.kept.items():
        if key != "module_lr":
            words.setdefault(key, text)
    return words


def _in_order(values: dict[str, str]) -> list[str]:
    return [component for component in COMPONENTS if component in values]


def _depth(state: State) -> Words:
    depth, words = state.depth, {}
    if depth.strategy != "flat":
        words["depth_strategy"] = depth.strategy
        if depth.min != 0.3:
            words["min_depth_factor"] = number_text(depth.min)
        if depth.peak != 0.5:
            words["peak_position"] = number_text(depth.peak)
        if depth.scope != "stack":
            words["depth_scope"] = depth.scope
        if depth.levels:
            words["depth_levels"] = str(depth.levels)
    return words


def _is_dead(state: State, stack: str, block: int) -> bool:
    return state.is_off(stack, block) or not state.has_rows(stack, block)


def _blocks(state: State) -> Words:
    live, stacks, words = Live(state), state.model.stacks, {}
    reached = {stack: {b for b in range(size) if (stack, b) in live} for stack, size in stacks.items()}
    words["block_lr_weight"] = weights_text(state.weights, lambda stack: reached[stack])
    words["block_lr"] = sparse_text(state.block_lr, stacks, lambda stack, block: _is_dead(state, stack, block))
    rules = [
        f"{state.model.names[stack, block, component]}:{text}"
        for stack, rows in state.model.rows.items()
        for component in rows
        for block, text in sorted(state.cells.get(stack, {}).get(component, {}).items())
        if (stack, block, component) in state.model.names
    ]
    words["module_lr"] = ",".join([*rules, *filter(None, [state.kept.get("module_lr", "")])])
    return {key: text for key, text in words.items() if text}


def _off(state: State) -> Words:
    words, stacks = {}, state.model.stacks
    for stack, size in stacks.items():
        blocks = state.off.get(stack, [])
        name = stack if len(stacks) > 1 else None
        on = [block for block in range(size) if block not in blocks]
        if len(blocks) > len(on):
            words[indices_key("train", name)] = compact(on) or "none"
        elif blocks:
            words[indices_key("exclude", name)] = compact(blocks)
    return words


def _ranks(state: State) -> Words:
    words = {f"{component}_dim": state.component_dim[component] for component in _in_order(state.component_dim)}
    words |= {f"{c}_alpha": state.component_alpha[c] for c in _in_order(state.component_alpha)}
    for key, values in (("block_dims", state.block_dims), ("block_alphas", state.block_alphas)):
        text = sparse_text(values, state.model.stacks, lambda stack, block: _is_dead(state, stack, block))
        if text:
            words[key] = text
    return words


def texts_of(state: State) -> Texts:
    """The three forms of a state. They are written also where a run would refuse it."""
    words, notices = words_of(state), []
    line = f"{NETWORK_ARGS} {bash(f'{key}={text}' for key, text in words.items())}" if words else ""
    for key, text in words.items():
        why = why_no_argument(key, text)
        if why:
            notices.append(f"{key}: {text!r} {why}: use the grid file (network_args grid=FILE)")
    toml = ""
    if any(map(is_grid_key, words)):
        job = Job(model=Model(state.model.blueprint))
        try:
            toml = write_toml(dict(words), job).rstrip("\n")
            notices += job.losses.lost
        except (GridError, OverflowError):
            pass  # what is wrong is told where the plan is made
    return Texts(line, toml, command_text(state, line), notices)


def command_text(state: State, line: str) -> str:
    """The whole command: the words that were pasted, the run's LR and rank, the grid.

    Args:
        line: the --network_args.
    """
    has_lr = any(re.fullmatch(r"['\"]?--learning_rate(=.*)?", word) for word in state.command)
    pieces = [" ".join(state.command)]
    module = state.module or state.model.module
    pieces.append(f"--network_module {module}" if module else "")
    pieces.append(f"--{'unet_lr' if has_lr else 'learning_rate'} {state.base_lr}")
    pieces.append(f"--network_dim {state.dim}" if state.dim else "")
    pieces.append(f"--network_alpha {state.alpha}" if state.alpha else "")
    pieces.append(line)
    return " \\\n  ".join(piece for piece in pieces if piece)
