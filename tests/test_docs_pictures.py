"""The pictures in docs/ are what docs/make_pictures.py draws today."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

pytest.importorskip("matplotlib")

import numpy as np
from PIL import Image

DOCS = Path(__file__).parent.parent / "docs"
SCRIPT = runpy.run_path(str(DOCS / "make_pictures.py"))
LITTLE = (96, 96)
PAGES = re.compile(r'^    "(ui_\w+)": ', re.MULTILINE)


def look(file):
    """(size, the picture made little): what two versions of matplotlib still agree on."""
    with Image.open(file) as image:
        little = image.convert("RGB").resize(LITTLE, Image.Resampling.BOX)
        return np.array(image.size), np.asarray(little).astype(int)


def test_no_picture_is_without_its_source():
    of_the_page = {f"{name}.png" for name in PAGES.findall((DOCS / "make_ui_pictures.py").read_text(encoding="utf-8"))}
    assert of_the_page
    assert {file.name for file in DOCS.glob("*.png")} == {*SCRIPT["PICTURES"], *of_the_page}


@pytest.mark.parametrize("name", SCRIPT["PICTURES"])
def test_a_picture_is_up_to_date_and_small(name, tmp_path):
    assert (DOCS / name).stat().st_size < 200_000
    SCRIPT["draw"](name, tmp_path)
    (size, little), (new_size, new_little) = look(DOCS / name), look(tmp_path / name)
    assert np.abs(size / new_size - 1).max() < 0.02
    assert np.abs(little - new_little).mean() < 4


def test_the_readme_shows_the_grid_that_flux_picture_draws():
    readme = (DOCS.parent / "README.md").read_text(encoding="utf-8").replace("\n", " ")
    assert SCRIPT["GRIDS"]["flux_grid.png"][2] in readme
