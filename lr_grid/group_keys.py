"""Keys of an optimizer group: names of its parameters in order (torch's own word), and what lr-grid notes of it."""

NAMES = "param_names"
RECORD = "lr_grid"
