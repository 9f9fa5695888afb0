"""The settings of a grid, as asked for in --network_args and a grid file. Nothing here knows a model."""

from __future__ import annotations

from dataclasses import dataclass, field

from lr_grid.blocks import BlockValues, Indices
from lr_grid.module_rules import ModuleRule
from lr_grid.rank_settings import RankSettings
from lr_grid.values import Rate


@dataclass
class GridSettings:
    """A grid, as asked for. LRs are Rates (absolute, or a multiple of the trainer's LR); factors are plain floats."""

    component_lr: dict[str, Rate] = field(default_factory=dict)
    default_lr: Rate | None = None
    depth_strategy: str = "flat"
    min_depth_factor: float = 0.3
    peak_position: float = 0.5
    depth_scope: str = "stack"
    depth_levels: int = 0
    block_lr_weight: BlockValues[float] | None = None
    block_lr: BlockValues[Rate] | None = None
    module_lr: tuple[ModuleRule[Rate], ...] = ()
    train_components: frozenset[str] | None = None
    exclude_components: frozenset[str] = frozenset()
    block_indices: dict[tuple[str, str | None], Indices] = field(default_factory=dict)
    """(``train`` or ``exclude``, stack name) -> blocks of it; None: the model's only stack."""
    ranks: RankSettings = field(default_factory=RankSettings)
    log_grad_norms: bool = False
    """Whether norms are recorded in the run: see lr_grid.norms."""
    loraplus: dict[str | None, float] = field(default_factory=dict)
    """LoRA+ ratios by component, by ``unet`` / ``text_encoder``, and overall (None)."""
    resume_grid: str = ""
    """What becomes of a resumed state of another grid: remap, keep or error; empty: not said."""
    given: frozenset[str] = frozenset()
    """Keys that were asked for, by arguments or file. The keys of a published block are not among them (``grid`` is):
    it always lists everything, so a part of it that matches nothing is no mistake. In the settings of a text encoder:
    without their ``te_``."""
    encoders: dict[str, GridSettings] = field(default_factory=dict)
    """te1, te2, te3 -> the settings of that text encoder, where te_ keys give it any."""
    spelling: dict[str, str] = field(default_factory=dict)
    """In the settings of a text encoder: a key without its ``te_`` -> as it was given."""
    prefix: str = ""
    """In the settings of a text encoder: what its own keys begin with (``te1_``)."""
    source: dict[str, str] = field(default_factory=dict)
    """Key as it was given -> ``file`` or ``args``."""
    preset: str = ""
    """The name of the preset; empty without one."""
    preset_keys: frozenset[str] = frozenset()
    """Keys whose value is the preset's. They are not among ``given``: a preset serves every model, so a part of it that
    matches nothing is no mistake."""
    notices: list[str] = field(default_factory=list)
    arguments: tuple[tuple[str, str], ...] = ()
    """What was given, file and arguments together, as text: for the record."""

    def left_out_by(self, component: str) -> str:
        """The key that leaves a component out of training; empty where none does."""
        if self.train_components is not None and component not in self.train_components:
            return "train_components"
        return "exclude_components" if component in self.exclude_components else ""

    def key(self, name: str) -> str:
        """A key as the user spells it: ``te_ffn_lr`` for ffn_lr of a text encoder."""
        return self.spelling.get(name, self.prefix + name)

    def origin(self, name: str) -> str:
        """`` (preset style)`` behind a key whose value is the preset's; empty behind others."""
        return f" (preset {self.preset})" if name in self.preset_keys else ""

    def loraplus_key(self, name: str | None) -> str:
        """The key of a LoRA+ ratio: of a component, of ``unet`` or ``text_encoder``, or the overall one (None)."""
        return self.key(f"loraplus_{name}_lr_ratio" if name else "loraplus_lr_ratio")
