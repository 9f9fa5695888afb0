"""What an installation brings along, and what it must leave alone."""

import shutil
import subprocess
import sys
import zipfile
from importlib.metadata import requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parent.parent

# The packages of ours that the trainers pin (sd-scripts 48d368f, requirements.txt; musubi-tuner v0.3.4, pyproject.toml;
# torch: any release from 2.5.1 to 2.13 that their documentation names). Nothing in them may be changed.
PINS = {
    "sd-scripts": {"torch": ["2.6.0", "2.13.0"], "safetensors": ["0.4.5"], "rich": ["14.1.0"]},
    "musubi-tuner": {"torch": ["2.5.1", "2.13.0"], "safetensors": ["0.4.5"]},
}
NEW = {"musubi-tuner": {"rich"}}
"""What a trainer's environment gets that it did not have: neither trainer pins rich's own requirements."""


@pytest.mark.parametrize("trainer", PINS)
def test_requirements_are_met_by_the_trainers_pins(trainer):
    needed = [Requirement(text) for text in requires("lr-grid") or []]
    for requirement in needed:
        if requirement.marker and not requirement.marker.evaluate({"extra": "", "python_version": "3.11"}):
            continue
        if requirement.name in NEW.get(trainer, ()):
            continue
        assert requirement.name in PINS[trainer], f"{requirement.name} would be new in {trainer}'s environment"
        for version in PINS[trainer][requirement.name]:
            assert requirement.specifier.contains(Version(version))


def test_networks_stays_a_portion_of_the_trainers_namespace():
    assert not (ROOT / "networks" / "__init__.py").exists()
    import networks

    assert networks.__file__ is None


GRID_MODULES = [*sorted((ROOT / "networks").glob("*.py")), *sorted((ROOT / "lr_grid" / "musubi").glob("*_grid.py"))]


@pytest.mark.parametrize("file", GRID_MODULES, ids=lambda f: f"{f.parent.name}/{f.name}")
def test_network_modules_are_a_few_lines(file):
    assert len(file.read_text().splitlines()) <= 8


def test_rooms_import_one_way():
    """No cycle between the modules of lr_grid (imports inside functions count too)."""
    import ast

    graph: dict[str, set[str]] = {}
    for file in (ROOT / "lr_grid").rglob("*.py"):
        name = ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        found: set[str] = set()
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("lr_grid."):
                found.add(node.module)
        graph[name] = found
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, " -> ".join([*path, name])
        if name not in done:
            for other in graph.get(name, ()):
                visit(other, (*path, name))
            done.add(name)

    for name in graph:
        visit(name, ())


def test_the_wheel_holds_every_file(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for name in ("lr_grid", "networks"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", tmp_path]
    subprocess.run([*command, source], check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if name.startswith(("lr_grid/", "networks/"))}
    files = [path for name in ("lr_grid", "networks") for path in (ROOT / name).rglob("*") if path.is_file()]
    wanted = {path.relative_to(ROOT).as_posix() for path in files if "__pycache__" not in path.parts}
    assert held == wanted
    assert {path.suffix for path in files} >= {".py", ".toml", ".json"}
