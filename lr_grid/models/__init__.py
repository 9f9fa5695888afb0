"""The models that lr-grid knows by name: which layers a trainer's network module adapts in each released size.

``find_model("flux-dev")`` is the way in. The data was read off the trainers' own classes and network modules
(tests/inventories/blueprints.py), and a test holds it against them. In a run nothing of it is used but hints in
messages (counts.py): there the live model is read.
"""

from lr_grid.models.blueprint import Blueprint, Layer, NetworkBlueprint, load
from lr_grid.models.catalogue import find_model, model_names

__all__ = ["Blueprint", "Layer", "NetworkBlueprint", "find_model", "load", "model_names"]
