"""Draws the pictures of this folder: one grid a model, from the models that lr-grid ships, and the norms of a run, from
the file that it left here. From the repository's root:

python docs/make_pictures.py
"""

from __future__ import annotations

from pathlib import Path

from lr_grid.models import find_model
from lr_grid.norms.picture import draw_norms
from lr_grid.norms.read import read_norms
from lr_grid.plan import Plan
from lr_grid.preview import Run, preview
from lr_grid.report.picture import draw_plan

FOLDER = Path(__file__).parent
GRIDS = {
    "flux_grid.png": (
        "flux-dev",
        "FLUX.1 (flux-dev)",
        "self_attn_lr=1x cross_attn_lr=2x ffn_lr=0.5x mod_lr=0 depth_strategy=linear depth_levels=4"
        " block_lr_weight=double_0-6:0.3,single_7:0 loraplus_unet_lr_ratio=16",
    ),
    "sdxl_grid.png": (
        "sdxl",
        "SDXL",
        "self_attn_lr=1x cross_attn_lr=2x ffn_lr=0.5x mod_lr=0.5x depth_strategy=sine block_lr_weight=0-6:0.5"
        " loraplus_cross_attn_lr_ratio=4 conv_dim=8",
    ),
    "wan_14b_grid.png": (
        "wan-14b",
        "Wan 14B",
        "self_attn_lr=1x cross_attn_lr=2x ffn_lr=0.5x depth_strategy=inverted_u loraplus_lr_ratio=4",
    ),
    "z_image_grid.png": (
        "z-image",
        "Z-Image",
        "self_attn_lr=1.5x ffn_lr=0.75x mod_lr=0.25x depth_strategy=cosine loraplus_self_attn_lr_ratio=8"
        " include_patterns=['.*(_modulation|_refiner).*']",
    ),
}
"""File -> model, what its picture calls it, --network_args."""
NORMS = {"norms.png": ("norms_example.lr_grid.norms", "update")}
"""File -> norms file, what is shown. The run: lr-grid demo --network_args log_grad_norms=true cross_attn_lr=4x
depth_strategy=linear."""
PICTURES = (*GRIDS, *NORMS)


def plan_of(file: str) -> Plan:
    """The plan that a picture shows; the trainer's LR is 1e-4."""
    model, _, arguments = GRIDS[file]
    given = dict(argument.split("=", 1) for argument in arguments.split())
    return preview(find_model(model), given, Run(network_dim=16, network_alpha=8.0)).plan


def draw(file: str, folder: Path) -> None:
    """Draws one picture into a folder."""
    if file in NORMS:
        source, what = NORMS[file]
        draw_norms(read_norms(str(FOLDER / source)).runs[0], what, None, folder / file)
        return
    draw_plan(plan_of(file), folder / file, title=f"{GRIDS[file][1]}: the learning rate of every block and component")


if __name__ == "__main__":
    for name in PICTURES:
        draw(name, FOLDER)
        print(FOLDER / name)
