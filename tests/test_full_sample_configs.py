"""Every sample config for full fine-tuning is right: its commands, keys and dataset in the real trainer, its grid on
the real model. And it trains in the real script: only paths, sizes and the number of steps are the test's."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from full_cases import first_moves
from full_samples import FULL_MISTAKES, FULL_SAMPLES, full_file, full_files, optimizer_args
from inventories.config_paths import with_real_paths
from inventories.running import run_inventory
from samples import FOLDER, KINDS, TELLING, read
from test_sample_configs import SHORT, SMALL
from trainers.every import chosen
from trainers.full_scripts import SCRIPTS, run_full

from lr_grid.cli.main import main
from lr_grid.keys import is_grid_key

TELLING_TOO = (
    *TELLING,
    r"preset full_finetune: a recipe, not a measurement; .*",
    r"gradient checkpointing of te1, te2 gives no gradient behind frozen parts .*",
    r"the trainer has \d+ LRs of its own for unet .*: a multiple multiplies that of a tensor's own group, .*",
)


def test_every_full_fine_tuning_script_has_a_sample_and_the_readme_names_it():
    scripts = {name for name in SCRIPTS if "_19_38" not in name}
    assert {sample.script for sample in FULL_SAMPLES.values()} == scripts
    readme = (FOLDER / "README.md").read_text(encoding="utf-8")
    files = [file.relative_to(FOLDER).as_posix() for file in map(full_file, FULL_SAMPLES)]
    assert [file for file in files if f"({file})" not in readme] == []
    assert [file for file in full_files() if not file.is_file()] == []


def test_no_two_grids_are_alike():
    grids = [tuple(optimizer_args(name)) for name in FULL_SAMPLES]
    assert len(set(grids)) == len(grids)


@pytest.mark.parametrize("name", FULL_SAMPLES)
def test_lr_grid_check_finds_nothing(name, capsys):
    dataset = FULL_SAMPLES[name].dataset_file
    assert main(["check", str(full_file(name)), "--dataset_config", str(dataset)]) == 0
    out = capsys.readouterr().out
    assert "is not checked: a run tells it" in out if FULL_SAMPLES[name].grid == "" else "nothing found" in out


# In the real trainers, up to the optimizer.


@pytest.fixture(scope="module", params=KINDS)
def results(request, tmp_path_factory):
    """What came of the samples of a trainer, and of copies with a mistake in them, by name or by mistake."""
    kind, trainer = request.param, request.getfixturevalue(request.param)
    own = [name for name, sample in FULL_SAMPLES.items() if sample.folder == KINDS[kind]]
    jobs = {name: (full_file(name), name) for name in own}
    for mistake, wrong in FULL_MISTAKES.items():
        if wrong.sample in own:
            folder = tmp_path_factory.mktemp("wrong")
            shutil.copy(FULL_SAMPLES[wrong.sample].dataset_file, folder)
            text = full_file(wrong.sample).read_text(encoding="utf-8")
            assert wrong.old in text, mistake
            (folder / full_file(wrong.sample).name).write_text(text.replace(wrong.old, wrong.new), encoding="utf-8")
            jobs[mistake] = (folder / full_file(wrong.sample).name, wrong.sample)
    listed = [
        {"training": str(path), "size": FULL_SAMPLES[name].size, "grid": _text(FULL_SAMPLES[name].grid_file)}
        for path, name in jobs.values()
    ]
    file = tmp_path_factory.mktemp("jobs") / "jobs.json"
    file.write_text(json.dumps(listed))
    return kind, dict(zip(jobs, run_inventory("full_configs.py", trainer, kind, str(file)), strict=True))


def _text(file: Path | None) -> str | None:
    return None if file is None else str(file)


def of_samples(results) -> dict[str, Any]:
    kind, found = results
    return {name: found[name] for name, sample in FULL_SAMPLES.items() if sample.folder == KINDS[kind]}


@pytest.mark.trainer
def test_the_trainer_takes_every_command_every_key_and_every_dataset(results):
    found = of_samples(results)
    assert {name: result["problems"] for name, result in found.items() if result["problems"]} == {}
    for name, result in found.items():
        *caching, script = result["scripts"]
        assert script == FULL_SAMPLES[name].path
        assert len(caching) == (2 if results[0] == "musubi" else 0)


@pytest.mark.trainer
def test_the_grid_is_planned_on_the_real_model_and_every_setting_sets_something(results):
    for name, result in of_samples(results).items():
        plan = result["plan"]
        assert len(plan["lrs"]) > 1, name
        assert 0 < plan["lrs"][0] < plan["lrs"][-1] < 1e-4, name
        assert plan["params"] > 400_000_000, name
        strange = [line for line in plan["notices"] if not any(re.fullmatch(known, line) for known in TELLING_TOO)]
        assert strange == [], name


@pytest.mark.trainer
def test_mistakes_are_found(results):
    """The twin of the tests above: what they would say of a sample that is wrong."""
    found = {name: results[1][name]["problems"] for name in FULL_MISTAKES if name in results[1]}
    assert len(found) > 1
    for name, problems in found.items():
        assert any(FULL_MISTAKES[name].finding in problem for problem in problems), (name, problems)


# In the real scripts.

LARGE = re.compile(r"block_lr")
"""Arguments that number blocks."""


@pytest.mark.trainer
@pytest.mark.parametrize("name", chosen(FULL_SAMPLES, lambda _: False))
def test_a_sample_config_trains_under_its_grid(request, tmp_path, name):
    sample = FULL_SAMPLES[name]
    full = SCRIPTS[sample.script]
    trainer = request.getfixturevalue(full.trainer)
    arguments = [argument for argument in optimizer_args(name) if not LARGE.search(argument)]
    options: dict[str, Any] = {"config_file": full_file(name), "optimizer_args": arguments, "steps": 2}
    if sample.folder == "sd-scripts":
        dataset = with_real_paths(sample.dataset_file, tmp_path)
        text = dataset.read_text(encoding="utf-8")
        for pattern, small in SMALL.items():
            text = re.sub(pattern, small, text)
        dataset.write_text(text, encoding="utf-8")
        options |= {"dataset_config": dataset, "extra": SHORT.get(full.model, ())}
    if sample.grid_file is not None:
        options["launcher"] = ["lr_grid", "launch", "--grid", str(sample.grid_file), "--"]

    result = run_full(trainer, sample.script, workdir=tmp_path, **options).expect_success()

    plan = result.plan()
    lrs = {module["lr_down"] for module in plan["modules"]}
    assert len(lrs) > 2
    asked = set(read(sample.grid_file)) if sample.grid_file else {arg.partition("=")[0] for arg in arguments}
    asked -= {"component_lr", "preset"}  # taken apart in the plan
    assert {key for key in asked if is_grid_key(key)} <= plan["arguments"].keys()
    assert any(first_moves(result, 1).values()) or any(t["moved_outside"] for t in result.tensors.values())
