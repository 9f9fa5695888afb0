"""What can be chosen about a demo run, and its checks.

Imports nothing heavy: the command line reads it for --help.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from lr_grid.errors import GridError

DEFAULT_NETWORK_ARGS = (
    "depth_strategy=linear",
    "min_depth_factor=0.3",
    "cross_attn_lr=8x",
    "self_attn_lr=0.5x",
    "ffn_lr=0",
)
"""Both dimensions at once: a curve over the blocks, and the components across. It leans on the conditioning
(cross-attention), which keeps more of the base, and freezes the feed-forward parts."""


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """One demo run; ``learning_rate`` is absolute, the grid multiplies it."""

    network_args: tuple[str, ...] = DEFAULT_NETWORK_ARGS
    """``key=value`` arguments of the grid, as a trainer's --network_args."""
    steps: int = 160
    base_steps: int = 300
    learning_rate: float = 7e-4
    rank: int = 8
    seed: int = 0
    output_dir: str = "lr_grid_demo"
    output_name: str = "digits_8_9"
    fresh: bool = False
    """Train the base again even if it is cached."""

    def network_kwargs(self) -> dict[str, str]:
        """The grid's arguments as the trainers hand them to ``create_network``: strings by key."""
        return dict(argument.split("=", 1) for argument in self.network_args)

    def check(self) -> None:
        """Raise one GridError that tells everything that is wrong."""
        problems = []
        for flag in ("steps", "base_steps", "rank"):
            value = getattr(self, flag)
            if value < 1:
                problems.append(f"--{flag} must be 1 or more, not {value}")
        if not (math.isfinite(self.learning_rate) and self.learning_rate > 0):
            problems.append(f"--learning_rate must be a number above 0, not {self.learning_rate}")
        if not 0 <= self.seed < 2**32:
            problems.append(f"--seed must be between 0 and 2^32 - 1, not {self.seed}")
        if not self.output_name or Path(self.output_name).name != self.output_name:
            problems.append(f"--output_name must be a file name without folders, not {self.output_name!r}")
        seen = set()
        for argument in self.network_args:
            key, equals, value = argument.partition("=")
            if not (key and equals and value):
                problems.append(f"--network_args takes key=value, not {argument!r}")
            elif key in seen:
                problems.append(f"--network_args gives {key} twice")
            seen.add(key)
        if problems:
            raise GridError(problems)
