"""What a model's blocks and components are called, read off the live model.

``detect.read_layout(model)`` is the way in: it finds the family in the tables (tables/), falls back on general rules
(general.py), and returns a Layout that places any module by its dotted path. Block counts come from the live
ModuleLists, never from a table. ``Layout`` itself needs no torch: plans of models that are not there are made of it.
"""

from lr_grid.anatomy.layout import Layout

__all__ = ["Layout"]
