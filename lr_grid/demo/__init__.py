"""The demo: a small diffusion transformer learns two new digits through a LoRA under a grid, with no trainer."""

from __future__ import annotations

from importlib.util import find_spec

from lr_grid.errors import GridError

_PACKAGES = {
    "torch": "torch",
    "numpy": "numpy",
    "safetensors": "safetensors",
    "tqdm": "tqdm",
    "sklearn": "scikit-learn",
    "lycoris": "lycoris-lora",
    "accelerate": "accelerate",
    "diffusers": "diffusers",
    "matplotlib": "matplotlib",
}
"""Import name -> package name of everything the demo needs."""


def require_packages() -> None:
    """Raise GridError naming every package the demo needs and does not find."""
    missing = [package for name, package in _PACKAGES.items() if find_spec(name) is None]
    if missing:
        noun = "package" if len(missing) == 1 else "packages"
        raise GridError([f'the demo needs the {noun} {", ".join(missing)}: pip install "lr-grid[demo]"'])
