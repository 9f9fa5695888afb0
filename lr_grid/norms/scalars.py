"""One step's norms as a few numbers for the trainer's log: by stack and component, over all blocks and both sides."""

from __future__ import annotations

import math
from collections.abc import Sequence

from lr_grid.norms.cells import ABSENT, NormCell


class Scalars:
    """Gathers cells into rows (``double.self_attn``); of what is not measured in every step it keeps the last value."""

    def __init__(self, cells: Sequence[NormCell]):
        self._rows: dict[str, list[int]] = {}
        for index, cell in enumerate(cells):
            self._rows.setdefault(cell.row, []).append(index)
        self._moved = [ABSENT] * len(cells)
        self._over = [ABSENT] * len(cells)

    def of(self, grad: Sequence[float], weight: Sequence[float], moved: Sequence[float]) -> dict[str, float]:
        """``grad_norm/<row>``, ``weight_norm/<row>``, and ``update_ratio/<row>`` (what the step changed over the
        weights); a row without gradients, or whose change is not known, has no number there."""
        for index, value in enumerate(moved):
            if value != ABSENT:
                self._moved[index], self._over[index] = value, weight[index]
        found: dict[str, float] = {}
        for row, cells in self._rows.items():
            grads = [grad[i] for i in cells if grad[i] != ABSENT]
            if grads:
                found[f"grad_norm/{row}"] = math.hypot(*grads)
        for row, cells in self._rows.items():
            found[f"weight_norm/{row}"] = math.hypot(*(weight[i] for i in cells))
        for row, cells in self._rows.items():
            known = [i for i in cells if self._moved[i] != ABSENT]
            over = math.hypot(*(self._over[i] for i in known))
            if over > 0 or math.isnan(over):
                found[f"update_ratio/{row}"] = math.hypot(*(self._moved[i] for i in known)) / over
        return found
