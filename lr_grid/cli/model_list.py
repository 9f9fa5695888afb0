"""The list of models that ``lr-grid show --list`` prints."""

from __future__ import annotations

from typing import Any


def model_list() -> list[dict[str, Any]]:
    """All models as plain data, with the names of their network modules under a grid."""
    from lr_grid.models import load, model_names
    from lr_grid.models.catalogue import ALIASES
    from lr_grid.preview import grid_module

    return [
        {
            "name": name,
            "title": model.title,
            "aliases": [alias for alias, known in ALIASES.items() if known == name],
            "trainer": model.trainer,
            "family": model.layout.family,
            "stacks": model.layout.stacks,
            "network_modules": [grid_module(module) for network in model.networks for module in network.modules],
        }
        for name, model in ((name, load(name)) for name in model_names())
    ]


def print_models(models: list[dict[str, Any]]) -> None:
    """A table of them."""
    from rich.table import Table

    from lr_grid.cli.output import console

    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    for name in ("model", "also", "", "trainer", "blocks"):
        table.add_column(name)
    for model in models:
        blocks = ", ".join(f"{stack} 0-{count - 1}" for stack, count in model["stacks"].items())
        table.add_row(model["name"], " ".join(model["aliases"]), model["title"], model["trainer"], blocks)
    console().print(table)
