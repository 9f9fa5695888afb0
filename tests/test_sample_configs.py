"""Every sample config is right: its commands, its keys and its dataset in the real trainer, its grid on the real model.
Where there is a tiny model, it trains in the real script: only paths, sizes and the number of steps are the test's."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from full_samples import full_files
from inventories.config_paths import with_real_paths
from inventories.running import run_inventory
from samples import (
    FEATURES,
    FOLDER,
    KINDS,
    MISTAKES,
    OTHERS,
    SAMPLES,
    SHOWN,
    TELLING,
    TRAINED,
    arguments_of,
    file_of,
    read,
)

from lr_grid.cli.main import main

# Without a trainer.


def test_every_file_is_in_the_table_and_in_the_readme():
    files = {file.relative_to(FOLDER).as_posix() for file in FOLDER.rglob("*") if file.is_file()}
    pairs = [file_of(name, dataset).relative_to(FOLDER).as_posix() for name in SAMPLES for dataset in (False, True)]
    full = [file.relative_to(FOLDER).as_posix() for file in full_files()]
    assert files == {*pairs, *full, *OTHERS, "README.md"}
    readme = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert [file for file in (*OTHERS, *map(file_of_readme, SAMPLES)) if f"({file})" not in readme] == []


def file_of_readme(name: str) -> str:
    return file_of(name).relative_to(FOLDER).as_posix()


def test_together_the_grids_show_every_kind_of_setting():
    given = {argument.partition("=")[0] for name in SAMPLES for argument in arguments_of(name)}
    assert [key for key in SHOWN.split() if key not in given] == []


@pytest.mark.parametrize("folder", FEATURES)
def test_together_the_dataset_configs_show_what_the_trainer_can_do(folder):
    shown: set[str] = set()
    for name, sample in SAMPLES.items():
        if sample.folder == folder:
            config = read(file_of(name, dataset=True))
            tables = [config["general"], *config["datasets"]]
            tables += [subset for dataset in config["datasets"] for subset in dataset.get("subsets", ())]
            shown.update(*tables)
    assert [key for key in FEATURES[folder].split() if key not in shown] == []


def test_no_two_grids_are_alike():
    grids = [tuple(arguments_of(name)) for name in SAMPLES]
    assert len(set(grids)) == len(grids)


@pytest.mark.parametrize("name", SAMPLES)
def test_lr_grid_check_finds_nothing(name, capsys):
    assert main(["check", str(file_of(name)), "--dataset_config", str(file_of(name, dataset=True))]) == 0
    out = capsys.readouterr().out
    assert "nothing found" in out or "1 note" in out  # LyCORIS' modules are known in a run only


# In the real trainers, up to the optimizer's groups.


@pytest.fixture(scope="module", params=KINDS)
def results(request, tmp_path_factory):
    """What came of the samples of a trainer, and of copies with a mistake in them, by name or by mistake."""
    kind, trainer = request.param, request.getfixturevalue(request.param)
    jobs = {n: (file_of(n), sample.size) for n, sample in SAMPLES.items() if sample.folder == KINDS[kind]}
    for name, mistake in MISTAKES.items():
        if mistake.sample in jobs:
            folder = tmp_path_factory.mktemp("wrong")
            for file in file_of(mistake.sample).parent.glob(f"{mistake.sample}*.toml"):
                shutil.copy(file, folder)
            wrong = folder / f"{mistake.sample}{mistake.file}.toml"
            text = wrong.read_text(encoding="utf-8")
            assert mistake.old in text
            wrong.write_text(text.replace(mistake.old, mistake.new), encoding="utf-8")
            jobs[name] = (folder / f"{mistake.sample}.toml", SAMPLES[mistake.sample].size)
    file = tmp_path_factory.mktemp("jobs") / "jobs.json"
    file.write_text(json.dumps([{"training": str(path), "size": size} for path, size in jobs.values()]))
    return kind, dict(zip(jobs, run_inventory("configs.py", trainer, kind, str(file)), strict=True))


def of_samples(results) -> dict[str, Any]:
    kind, found = results
    return {name: found[name] for name, sample in SAMPLES.items() if sample.folder == KINDS[kind]}


@pytest.mark.trainer
def test_the_trainer_takes_every_command_every_key_and_every_dataset(results):
    found = of_samples(results)
    assert {name: result["problems"] for name, result in found.items() if result["problems"]} == {}
    for name, result in found.items():
        *caching, script = result["scripts"]
        assert script == SAMPLES[name].script
        kinds = [re.search("cache_(latents|pixel|text_encoder_outputs)", command) for command in caching]
        assert len(kinds) == (2 if results[0] == "musubi" else 0)
        assert all(kinds)


@pytest.mark.trainer
def test_the_grid_is_planned_on_the_real_model_and_every_setting_sets_something(results):
    for name, result in of_samples(results).items():
        plan = result["plan"]
        assert len(plan["lrs"]) > 1, name
        assert 0 < plan["lrs"][0] < plan["lrs"][-1] < 1e-3, name
        assert plan["params"] > 1_000_000
        given = {argument.partition("=")[0] for argument in arguments_of(name)}
        assert any(key in given for key in plan["settings"])
        strange = [line for line in plan["notices"] if not any(re.fullmatch(known, line) for known in TELLING)]
        assert strange == [], name


@pytest.mark.trainer
def test_mistakes_are_found(results):
    """The twin of the two tests above: what they would say of a sample that is wrong."""
    found = {name: results[1][name]["problems"] for name in MISTAKES if name in results[1]}
    assert len(found) > 5
    for name, problems in found.items():
        assert any(MISTAKES[name].finding in problem for problem in problems), (name, problems)


# In the real scripts.

LARGE = re.compile(r"\w*block_\w+=|module_lr=|rank_budget=\d")
"""Arguments that number blocks or parameters."""
SMALL = {r"resolution = .*": "resolution = 64", r"min_bucket_reso = \d+": "min_bucket_reso = 64"}
SMALL |= {r"max_bucket_reso = \d+": "max_bucket_reso = 128"}
SHORT = {"flux": ("--t5xxl_max_token_length=16",), "chroma": ("--t5xxl_max_token_length=16",)}
SHORT |= {"sd3": ("--t5xxl_max_token_length=16",), "lumina": ("--gemma2_max_token_length=32",)}
SHORT |= {"anima": ("--qwen3_max_token_length=32", "--t5_max_token_length=16")}


@pytest.mark.trainer
@pytest.mark.parametrize("name", TRAINED)
def test_a_sample_config_trains_under_its_grid(request, tmp_path, name):
    sample = SAMPLES[name]
    trainer = request.getfixturevalue(next(kind for kind, folder in KINDS.items() if folder == sample.folder))
    arguments = [a for a in arguments_of(name) if not (sample.small and LARGE.match(a))]
    arguments = [a.replace("/path/to", file_of(name).parent.as_posix()) for a in arguments]
    options: dict[str, Any] = {"config_file": file_of(name), "network_args": arguments, "steps": 2}
    if sample.folder == "sd-scripts":
        dataset = with_real_paths(file_of(name, dataset=True), tmp_path)
        text = dataset.read_text(encoding="utf-8")
        for pattern, small in SMALL.items():
            text = re.sub(pattern, small, text)
        dataset.write_text(text, encoding="utf-8")
        options |= {"dataset_config": dataset, "extra": SHORT.get(name, ())}

    result = trainer.run(Path(sample.script).name, sample.tiny, workdir=tmp_path, **options).expect_success()

    check(result, dict(argument.split("=", 1) for argument in arguments))


def check(result, arguments: dict[str, str]) -> None:
    """The optimizer's LRs are the plan's, and the plan was made from the config's arguments."""
    plan = json.loads((result.folder / f"{result.name}.lr_grid.json").read_text())
    assert json.loads(result.metadata()["ss_network_args"]).items() >= arguments.items()
    initial = result.initial_rates()
    assert len(set(initial.values())) > 1
    by_module: dict[str, dict[str, float]] = {}
    for name, lr in initial.items():
        module, _, tensor = name.partition(".")
        by_module.setdefault(module, {})[tensor] = lr
    trained = {module["name"]: module for module in plan["modules"] if not module["frozen"]}
    assert by_module.keys() == trained.keys()
    for name, tensors in by_module.items():
        for tensor, lr in tensors.items():
            side = "up" if tensor.startswith("lora_up") else "down"
            assert lr == pytest.approx(trained[name][f"lr_{side}"]), (name, tensor)
