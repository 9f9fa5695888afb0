"""lr-grid: a learning rate for every block, component and LoRA side of a diffusion model."""

__version__ = "0.1.0"
