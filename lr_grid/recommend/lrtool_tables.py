"""LRTool's published constants: models, architectures, optimizers, objectives.

Source: LRTool 1.0.0 by Highstate (github.com/Highstate/LRTool), MIT licence, (c) 2026 Highstate. The constants are
facts of that release; it names no data behind them. Energies are in LRTool's own unit (LR x schedule x exposure x ...).
"""

from __future__ import annotations

from dataclasses import dataclass

VERSION = "1.0.0"


@dataclass(frozen=True, slots=True)
class Architecture:
    """``fragility`` multiplies the penalty of too high an LR; ``exponent`` is that of resolution / native."""

    fragility: float
    exponent: float


@dataclass(frozen=True, slots=True)
class Model:
    """``native``: pixels a side it was trained at."""

    native: int
    base_energy: float
    architecture: str


@dataclass(frozen=True, slots=True)
class Objective:
    """``energy`` multiplies the target; ``sensitivity`` the penalty of too high an LR."""

    energy: float
    sensitivity: float


ARCHITECTURES = {
    "classic_ldm": Architecture(1.0, 0.95),
    "sdxl_backbone": Architecture(1.2, 0.925),
    "flux": Architecture(1.25, 0.91),
    "distilled_sdxl": Architecture(1.45, 0.90),
    "lightning_sdxl": Architecture(1.55, 0.875),
    "highly_compressed": Architecture(2.2, 0.85),
}

MODELS = {
    "SD1.5": Model(512, 0.000630, "classic_ldm"),
    "SD2.1": Model(768, 0.000665, "classic_ldm"),
    "SDXL": Model(1024, 0.000712, "sdxl_backbone"),
    "Pony (SDXL)": Model(1024, 0.000690, "sdxl_backbone"),
    "SDXL Turbo": Model(1024, 0.000660, "distilled_sdxl"),
    "SDXL Lightning": Model(1024, 0.000650, "lightning_sdxl"),
    "FLUX.1": Model(1024, 0.000657, "flux"),
    "FLUX.2 Dev": Model(1024, 0.000657, "flux"),
    "Z-Image": Model(1024, 0.000602, "highly_compressed"),
}

REFERENCE_ENERGY = sum(model.base_energy for model in MODELS.values()) / len(MODELS)

OBJECTIVES = {
    "Style": Objective(0.93, 0.6),
    "Concept": Objective(0.97, 1.0),
    "Character": Objective(1.00, 1.4),
    "Fidelity": Objective(1.05, 2.5),
}

OPTIMIZERS = {
    "AdamW": 1.00,
    "AdamW (8-Bit)": 1.02,
    "Adam": 1.02,
    "Adam (8-Bit)": 1.04,
    "Adagrad": 1.08,
    "Adagrad (8-Bit)": 1.10,
    "RMSprop": 1.05,
    "RMSprop (8-Bit)": 1.07,
    "Adafactor": 0.90,
    "AdEMAMix": 0.97,
    "AdEMAMix (8-Bit)": 1.00,
    "Simplified AdEMAMix": 0.98,
    "SGD": 0.85,
    "SGD (8-Bit)": 0.88,
    "Lars": 0.88,
    "Lars (8-Bit)": 0.90,
    "Lam": 0.90,
    "Lam (8-Bit)": 0.92,
    "Lion": 0.90,
    "Lion (8-Bit)": 0.93,
    "Muon": 0.80,
    "AdaMuon": 0.85,
    "CAME": 0.95,
    "CAME (8-Bit)": 0.98,
    "Adopt": 0.92,
    "Tiger": 0.88,
}
"""What LRTool divides the LR by."""

ACCUMULATION_EFFICIENCY = 0.7
"""What a further accumulated batch counts, in batches."""
UNDERSHOOT_K = 0.65
EFFICIENCY_SENSITIVITY = 2.0
COSINE_FLOOR = 0.10
REX_DECAY = 4.0
LOWEST_NOISE = 0.35

STABILITY_BANDS = ((85.0, "Safe"), (65.0, "Caution"), (0.0, "Risky"))
EFFICIENCY_BANDS = ((90.0, "Optimal"), (60.0, "Suboptimal"), (0.0, "Inefficient"))
