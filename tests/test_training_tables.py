"""The tables of lr_grid.training are what the trainers' own parsers and dataset schemas take."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from inventories.running import run_inventory

import lr_grid.training

pytestmark = pytest.mark.trainer

TABLES = Path(lr_grid.training.__file__).parent / "arguments"
WIDTH = 118


def written(data: Any, indent: str = "") -> str:
    """JSON with what fits on a line on one line, so that a change of upstream's is a readable diff."""
    line = json.dumps(data, ensure_ascii=False)
    if not isinstance(data, (dict, list)) or (len(indent + line) <= WIDTH and indent != ""):
        return line
    inner = indent + " "
    if isinstance(data, list):
        return "[\n" + ",\n".join(inner + written(item, inner) for item in data) + f"\n{indent}]"
    pairs = (f"{inner}{json.dumps(key)}: {written(value, inner)}" for key, value in data.items())
    return "{\n" + ",\n".join(pairs) + f"\n{indent}}}"


@pytest.mark.parametrize(("trainer", "fixture"), [("sd-scripts", "sd_scripts"), ("musubi-tuner", "musubi")])
def test_the_tables_are_the_trainers_own(request: pytest.FixtureRequest, trainer: str, fixture: str) -> None:
    text = written(run_inventory("arguments.py", request.getfixturevalue(fixture), trainer)) + "\n"
    file = TABLES / f"{trainer}.json"
    if os.environ.get("LR_GRID_WRITE_PAGES"):
        file.write_text(text, encoding="utf-8")
    assert json.loads(file.read_text(encoding="utf-8")) == json.loads(text), "LR_GRID_WRITE_PAGES=1 writes them anew"
