"""The page's copies of the planner's formula and of the writer, held against Python's on random grids."""

from __future__ import annotations

import io
import json
import math
import os
import random
from contextlib import redirect_stderr, redirect_stdout

import pytest

pytest.importorskip("playwright")
import ui_page_states
import ui_states

from lr_grid.cli.main import main
from lr_grid.convert.quoting import split_bash
from lr_grid.convert.texts import number_text
from lr_grid.errors import GridError
from lr_grid.ui.models import page_model
from lr_grid.ui.state import state_json
from lr_grid.ui.write import texts_of
from lr_grid.values import rate

WRITE = """async ([model, states]) => {
  const { argumentsOf, command, networkArgs } = await import("./writer.js");
  const { toml } = await import("./toml.js");
  return states.map((state) => {
    const words = argumentsOf(state, model);
    return { network_args: networkArgs(words), toml: toml(words), command: command(state, model, words) };
  });
}"""
CELLS = """async ([model, states]) => {
  const { Formula } = await import("./formula.js");
  return states.map((state) => {
    const formula = new Formula(state, model);
    const cells = {};
    for (const { name, size, rows } of model.stacks) {
      for (const { component, blocks } of rows) {
        for (let block = 0; block < size; block++) {
          if (blocks !== null && !blocks.includes(block)) continue;
          const lr = formula.cell(name, component, block);
          cells[`${name} ${block} ${component}`] = [lr, lr * formula.ratio(component)];
        }
      }
    }
    return cells;
  });
}"""


@pytest.mark.parametrize("name", ["flux", "sdxl", "wan", "krea2", "z-image", "anima"])
def test_the_page_writes_what_python_writes(grid, name):
    chance = random.Random(name)
    made = [ui_states.random_state(chance, name) for _ in range(80)]
    by_model = {}
    for state in made:
        by_model.setdefault(json.dumps(state.model.to_json()), []).append(state)
    for model, states in by_model.items():
        written = grid.page.evaluate(WRITE, [json.loads(model), [state_json(state) for state in states]])
        for state, texts in zip(states, written, strict=True):
            assert texts == texts_of(state).to_json()


GRIDS = int(os.environ.get("LR_GRID_UI_GRIDS", "20"))
"""How many grids make the round trip: LR_GRID_UI_GRIDS=1000 takes a minute."""


def show(name, state, words):
    """The cells of ``lr-grid show --json``; None for a grid that a run refuses (an LR that nothing takes)."""
    options = ["--model", name, "--learning_rate", state["base_lr"], "--network_dim", "16", "--network_alpha", "16"]
    said = io.StringIO()
    with redirect_stdout(said), redirect_stderr(io.StringIO()):
        code = main(["show", *options, "--json", *split_bash(words)])
    return json.loads(said.getvalue())["cells"] if code == 0 else None


def test_grids_from_the_page_are_what_lr_grid_show_says_cell_by_cell(grid):
    """Page -> text -> ``lr-grid show --json`` -> the page's cells."""
    taken = 0
    for name, share in {"flux": 0.35, "wan": 0.25, "z-image": 0.3, "sdxl": 0.1}.items():
        model = page_model(name).to_json()
        chance = random.Random(f"round trip {name}")
        states = [ui_page_states.random_state(model, chance) for _ in range(round(GRIDS * share))]
        written = grid.page.evaluate(WRITE, [model, states])
        cells = grid.page.evaluate(CELLS, [model, states])
        for state, texts, shown in zip(states, written, cells, strict=True):
            told = show(name, state, texts["network_args"])
            taken += told is not None
            for cell in told or ():
                place = f"{cell['stack']} {cell['block']} {cell['component']}"
                for lr, by_python in zip(shown[place], (cell["lr_down"], cell["lr_up"]), strict=True):
                    (expected,) = by_python or [0.0]
                    assert math.isclose(lr, expected, rel_tol=1e-9), (texts["network_args"], place)
    assert taken > 0.9 * GRIDS


NUMBERS = [
    0,
    1,
    0.3,
    1e-5,
    1e-4,
    0.00012,
    123456789,
    1e15,
    1e16,
    1.5e16,
    1e22,
    0.1 + 0.2,
    1 / 3,
    5e-324,
    1e300,
    4.0,
    12.5,
]


def test_numbers_are_spelt_as_in_python(grid):
    chance = random.Random("numbers")
    values = [*NUMBERS, *(chance.uniform(0, 4) * 10 ** chance.randint(-12, 18) for _ in range(300))]
    values += [-value for value in values]
    spelt = grid.page.evaluate(
        "async (v) => { const { numberText } = await import('./numbers.js'); return v.map(numberText); }", values
    )
    assert spelt == [number_text(value) for value in values]


RATES = [
    "4e-4",
    "1.5x",
    "1.5X",
    " 2x ",
    ".5x",
    "5.",
    "+1e-4",
    "-0",
    "1e999",
    "x",
    "",
    "1,5",
    "1.5xx",
    "0x",
    "nan",
    "inf",
    "1e",
    "1_0",
]


def test_learning_rates_are_read_as_in_python(grid):
    def by_python(text):
        try:
            read = rate(text)
        except (GridError, ValueError):
            return None
        return {"value": read.value, "relative": read.relative}

    read = grid.page.evaluate(
        "async (t) => { const { parseRate } = await import('./numbers.js'); return t.map(parseRate); }", RATES
    )
    assert read == [by_python(text) for text in RATES]
