"""Keys of an optimizer group: names of its parameters in order (torch's own word), and what lr-grid notes of it."""

NAMES = "param_names"
RECORD = "lr_grid"
FULL = "lr_grid_full"
"""Whether a group's factors are those of a full fine-tuning: a run's own, they do not come back with a state."""
