"""The families, one file per kind. Adding a family is adding a row to one of them and a test."""

from lr_grid.anatomy.tables.diffusers import FAMILIES as DIFFUSERS
from lr_grid.anatomy.tables.encoders import FAMILIES as ENCODERS
from lr_grid.anatomy.tables.kohya import FAMILIES as KOHYA
from lr_grid.anatomy.tables.unet import FAMILIES as UNETS

FAMILIES = (*UNETS, *KOHYA, *DIFFUSERS, *ENCODERS)
