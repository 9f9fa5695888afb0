"""The contract of musubi-tuner's network modules around one of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lr_grid.network import GridModule, prepare_network


def wrap(name: str) -> tuple[Callable[..., Any], Callable[..., Any], Callable[..., Any]]:
    """(create_arch_network, create_arch_network_from_weights, prepare_network) of musubi-tuner's ``networks.<name>``.

    Raises: GridError where musubi-tuner cannot be imported.
    """
    module = GridModule(f"musubi_tuner.networks.{name}")
    return module.create_arch_network, module.create_arch_network_from_weights, prepare_network
