"""Random states of the page, as a hand and the text panel make them."""

from __future__ import annotations

import random
from typing import Any

from lr_grid.depth import CURVES

Model = dict[str, Any]
"""A model as the server gives it to the page."""
State = dict[str, Any]


def blank(model: Model) -> State:
    """The state without any setting."""
    return {
        "model": model["name"],
        "base_lr": "1e-4",
        "default_lr": "",
        "components": {},
        "components_off": [],
        "depth": {"strategy": "flat", "min": 0.3, "peak": 0.5, "scope": "stack", "levels": 0},
        "weights": {stack["name"]: [1.0] * stack["size"] for stack in model["stacks"]},
        "block_lr": {},
        "off": {},
        "cells": {},
        "loraplus": {},
        "ranks": {
            "dim": "16",
            "alpha": "16",
            "component_dim": {},
            "component_alpha": {},
            "block_dims": {},
            "block_alphas": {},
        },
        "module": "",
        "kept": {},
        "command": [],
    }


def random_state(model: Model, chance: random.Random) -> State:
    """A state with about half of what a page can set, most of it such as a run would take."""
    state = blank(model)
    state["base_lr"] = chance.choice(["1e-4", "0.0003", "5e-05", "2.5e-4"])
    in_stacks = list(dict.fromkeys(row["component"] for stack in model["stacks"] for row in stack["rows"]))
    if chance.random() < 0.2:
        state["default_lr"] = _rate(chance)
    if chance.random() < 0.3 and len(in_stacks) > 1:
        state["components_off"] = [chance.choice(in_stacks)]
    on = [c for c in in_stacks if c not in state["components_off"]]
    for component in on:
        if chance.random() < 0.4:
            state["components"][component] = _rate(chance)
        if chance.random() < 0.15:
            state["loraplus"][component] = chance.choice(["4", "16", "2.5"])
        if chance.random() < 0.15:
            state["ranks"]["component_dim"][component] = chance.choice(["4", "8", "64"])
    if chance.random() < 0.3:
        state["loraplus"][""] = chance.choice(["16", "8.0"])
    if chance.random() < 0.5:
        state["depth"] = _depth(chance)
    for stack in model["stacks"]:
        _blocks(state, stack, chance, on)
    return state


def _rate(chance: random.Random) -> str:
    return chance.choice(["2e-4", "1.5x", "0.5x", "3e-05", "0.00012", "4x", "1x", ".25x", "7.5E-5"])


def _depth(chance: random.Random) -> dict[str, Any]:
    strategy = chance.choice([name for name in CURVES if name != "flat"])
    return {
        "strategy": strategy,
        "min": chance.choice([0.3, 0.1, 0.55]),
        "peak": chance.choice([0.5, 0.0, 0.4]) if strategy == "inverted_u" else 0.5,
        "scope": chance.choice(["stack", "stack", "model"]),
        "levels": 0,  # what they merge is told by Python alone
    }


def _blocks(state: State, stack: Model, chance: random.Random, on: list[str]) -> None:
    name, size = stack["name"], stack["size"]
    there = [b for b in range(size) if any(row["blocks"] is None or b in row["blocks"] for row in stack["rows"])]
    if not there:
        return
    way = chance.random()
    if way < 0.35:  # painted
        state["weights"][name] = [round(chance.uniform(0, 4), 2) for _ in range(size)]
    elif way < 0.7:  # a few stretches
        value = 1.0
        for block in range(size):
            if chance.random() < 0.2:
                value = chance.choice([1.0, 0.0, 0.25, 2.0, 6.5])
            state["weights"][name][block] = value
    if chance.random() < 0.3:
        off = sorted(chance.sample(there, chance.randint(1, max(1, len(there) - 1))))
        state["off"][name] = off
    off = state["off"].get(name, [])
    free = [block for block in there if block not in off]
    if chance.random() < 0.15 and free:
        state["block_lr"][name] = {
            str(b): _rate(chance) for b in sorted(chance.sample(free, chance.randint(1, len(free))))
        }
    if chance.random() < 0.15 and free:
        picked = sorted(chance.sample(free, chance.randint(1, min(4, len(free)))))
        state["ranks"]["block_dims"][name] = {str(b): chance.choice([4, 8, 32]) for b in picked}
    for row in stack["rows"]:
        cells = [b for b in free if row["blocks"] is None or b in row["blocks"]]
        if chance.random() < 0.15 and cells and row["names"] and row["component"] in on:
            picked = sorted(chance.sample(cells, min(3, len(cells))))
            state["cells"].setdefault(name, {})[row["component"]] = {str(b): _rate(chance) for b in picked}
