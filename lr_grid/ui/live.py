"""Which blocks of a state a multiplier can reach, and the state without what reaches nothing."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property

from lr_grid.blocks import Block
from lr_grid.depth import CURVES, depth_factor, depth_factors
from lr_grid.planner import CURVED
from lr_grid.ui.state import ByBlock, Depth, State
from lr_grid.values import rate
from lr_grid.words import COMPONENTS

_KEPT = {"module_lr": 0, "depth_scope": 2}
"""Of the arguments that the page does not know, those whose place in the text is not where they were given."""


def is_zero(text: str) -> bool:
    """Whether a text is an LR of 0. (What is no LR at all is told where the grid is checked.)"""
    try:
        return rate(text).value == 0
    except ValueError:
        return False


class Live:
    """What trains in a state, whatever its blocks' multipliers."""

    def __init__(self, state: State):
        self.state = state

    def __contains__(self, block: Block) -> bool:
        """Whether a block has an LR that is not 0 with a multiplier of 1."""
        stack, number = block
        if self.state.is_off(stack, number):
            return False
        rows = self.state.model.rows[stack]
        return any(
            number in blocks and component not in self.state.components_off and self._trains(component, block)
            for component, blocks in rows.items()
        )

    def _trains(self, component: str, block: Block) -> bool:
        stack, number = block
        own = self.state.cells.get(stack, {}).get(component, {}).get(number)
        if own is None:
            own = self.state.block_lr.get(stack, {}).get(number)
        if own is not None:
            return not is_zero(own)
        return not self._zero[component] and (component not in self._curved or self._factors[block] != 0)

    @cached_property
    def _zero(self) -> dict[str, bool]:
        """Component -> whether its LR is 0 before the depth curve."""
        given, default = self.state.components, is_zero(self.state.default_lr or "1x")
        zero = {component: is_zero(given[component]) if component in given else default for component in COMPONENTS}
        if "fused" not in given and {"self_attn", "ffn"} & given.keys():
            zero["fused"] = zero["self_attn"] or zero["ffn"]
        return zero

    @cached_property
    def _curved(self) -> frozenset[str]:
        return CURVED | self.state.components.keys()

    @cached_property
    def _factors(self) -> dict[Block, float]:
        curve = self.state.depth
        if curve.strategy not in CURVES or curve.min > 0:  # no curve reaches 0 then
            return dict.fromkeys(((s, i) for s, size in self.state.model.stacks.items() for i in range(size)), 1.0)
        return depth_factors(
            self.state.model.stacks,
            curve.scope,
            lambda block, size: depth_factor(curve.strategy, block, size, curve.min, curve.peak),
        )


def canonical(state: State) -> State:
    """The same grid without values that reach nothing: two states that mean the same are equal."""
    off = set(state.components_off)

    def here(values: dict[str, str]) -> dict[str, str]:
        return {name: text for name, text in values.items() if name not in off}

    def reached(values: ByBlock) -> ByBlock:
        found = {
            stack: {b: v for b, v in by.items() if not state.is_off(stack, b) and state.has_rows(stack, b)}
            for stack, by in values.items()
        }
        return {stack: by for stack, by in found.items() if by}

    cells = {}
    for stack, rows in state.cells.items():
        kept = {
            component: {b: v for b, v in by.items() if b in blocks and not state.is_off(stack, b)}
            for component, by in rows.items()
            if component not in off and (blocks := state.model.rows[stack].get(component, frozenset()))
        }
        cells[stack] = {component: by for component, by in kept.items() if by}
    result = replace(
        state,
        components=here(state.components),
        loraplus=here(state.loraplus),
        component_dim=here(state.component_dim),
        component_alpha=here(state.component_alpha),
        depth=_plain_depth(state.depth),
        block_lr=reached(state.block_lr),
        block_dims=reached(state.block_dims),
        block_alphas=reached(state.block_alphas),
        cells={stack: rows for stack, rows in cells.items() if rows},
        kept=dict(sorted(state.kept.items(), key=lambda item: _KEPT.get(item[0], 1))),
    )
    live = Live(result)
    result.weights = {
        stack: [value if (stack, block) in live else 1.0 for block, value in enumerate(values)]
        for stack, values in state.weights.items()
    }
    return result


def _plain_depth(depth: Depth) -> Depth:
    if depth.strategy == "flat":
        return Depth()
    return depth if depth.strategy == "inverted_u" else replace(depth, peak=Depth.peak)
