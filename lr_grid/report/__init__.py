"""Views of a plan for people and machines: the printed grid, the JSON beside the LoRA, the picture (picture.py)."""

from lr_grid.report.announce import announce

__all__ = ["announce"]
