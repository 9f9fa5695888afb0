"""What an installation brings along, and what it must leave alone."""

from importlib.metadata import requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parent.parent

# The packages of ours that the trainers pin (sd-scripts 48d368f, requirements.txt; musubi-tuner v0.3.4, pyproject.toml;
# torch: any release from 2.5.1 to 2.13 that their documentation names). Nothing in them may be changed.
PINS = {
    "sd-scripts": {"torch": ["2.6.0", "2.13.0"], "safetensors": ["0.4.5"]},
    "musubi-tuner": {"torch": ["2.5.1", "2.13.0"], "safetensors": ["0.4.5"]},
}


@pytest.mark.parametrize("trainer", PINS)
def test_requirements_are_met_by_the_trainers_pins(trainer):
    needed = [Requirement(text) for text in requires("lr-grid") or []]
    for requirement in needed:
        if requirement.marker and not requirement.marker.evaluate({"extra": "", "python_version": "3.11"}):
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
