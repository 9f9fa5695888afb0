"""LRTool's published model: its own output, its formulas written down once more, and its profile files."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lr_grid.errors import GridError
from lr_grid.recommend.lrtool import Configuration, implied_offset, statistics
from lr_grid.recommend.lrtool_profile import as_table, from_table, load, parse_warmup, save
from lr_grid.recommend.lrtool_tables import ARCHITECTURES, MODELS, OBJECTIVES, OPTIMIZERS

CASES = json.loads((Path(__file__).parent / "published/lrtool_cases.json").read_text(encoding="utf-8"))
"""What LRTool 1.0.0 itself says, to 12 digits."""


@pytest.mark.parametrize(
    "case", CASES, ids=lambda case: f"{case['configuration']['model']}-{case['configuration']['steps']}"
)
def test_every_statistic_of_lrtools_own_output(case):
    found = statistics(from_table(case["configuration"], Configuration(), "case"))
    assert list(found) == list(case["statistics"])
    for name, value in case["statistics"].items():
        if isinstance(value, str):
            assert found[name] == value
        else:  # a deviation of 1e-16 at offset 0 is rounding alone
            assert found[name] == pytest.approx(value, rel=1e-9, abs=1e-12), name


def test_the_cases_meet_every_model_schedule_objective_and_both_sides_of_the_target():
    configurations = [case["configuration"] for case in CASES]
    assert {one["model"] for one in configurations} == set(MODELS)
    assert {one["objective"] for one in configurations} == set(OBJECTIVES)
    assert len({one["scheduler"] for one in configurations}) == 7
    assert {math.copysign(1, one["slider_offset"]) for one in configurations if one["slider_offset"]} == {1, -1}


def test_the_tables_are_whole():
    assert (len(MODELS), len(OPTIMIZERS), len(ARCHITECTURES), len(OBJECTIVES)) == (9, 26, 6, 4)
    assert {model.architecture for model in MODELS.values()} == set(ARCHITECTURES)


def schedule(name: str, step: int, total: int) -> float:
    """The seven schedules once more, as one table of formulas."""
    t, cycle = step / total, max(1, total // 2)
    u = (step % cycle) / cycle
    return {
        "Constant": 1.0,
        "Linear": 1.0 if total == 1 else max(0.0, 1.0 - t),
        "Cosine": 0.1 + 0.9 * math.cos(math.pi * t),
        "Cosine (Restarts)": 0.1 + 0.9 * math.cos(math.pi * u),
        "Cosine (Hard Restarts)": max(0.0, math.cos(math.pi * u)),
        "Rex": math.exp(-4 * t),
        "Adafactor": step**-0.5,
    }[name]


CONFIGURATIONS = st.builds(
    Configuration,
    steps=st.integers(1, 400),
    batch=st.floats(0.5, 64),
    grad_accum=st.integers(0, 16),
    images=st.floats(0.5, 5000),
    rank=st.floats(0.5, 256),
    alpha=st.floats(1e-7, 256),
    resolution=st.floats(0.5, 4096),
    model=st.sampled_from(list(MODELS)),
    objective=st.sampled_from(list(OBJECTIVES)),
    optimizer=st.sampled_from(list(OPTIMIZERS)),
    scheduler=st.sampled_from(
        ["Constant", "Linear", "Cosine", "Cosine (Restarts)", "Cosine (Hard Restarts)", "Rex", "Adafactor"]
    ),
    warmup=st.sampled_from([0, 5, 10, 15, 20, 25]),
    slider_offset=st.floats(-1, 1),
)


@settings(max_examples=150, deadline=None)
@given(CONFIGURATIONS)
def test_the_formulas_hold_for_any_configuration(one):
    found = statistics(one)
    steps, batch, accum, images = (max(x, 1.0) for x in (one.steps, one.batch, one.grad_accum, one.images))
    rank, alpha, side = max(one.rank, 1.0), max(one.alpha, 1e-6), max(one.resolution, 1.0)
    warm = int(steps * one.warmup / 100)
    waves = [
        (min(1.0, i / warm) if warm else 1.0) * schedule(one.scheduler, i, int(steps)) for i in range(1, int(steps) + 1)
    ]
    rms = math.sqrt(math.fsum(w * w for w in waves) / len(waves))
    model = MODELS[one.model]
    seen = batch + 0.7 * (accum - 1)
    target = model.base_energy * OBJECTIVES[one.objective].energy
    lr = target / (
        rms
        * math.sqrt(steps * seen / images)
        * math.sqrt(rank / alpha)
        * (side / model.native) ** ARCHITECTURES[model.architecture].exponent
        * OPTIMIZERS[one.optimizer]
    )
    assert found["recommended_lr"] == pytest.approx(lr, rel=1e-9)
    assert found["adjusted_lr"] == pytest.approx(lr * (1 + one.slider_offset), rel=1e-9, abs=1e-300)
    mean_energy = 0.00065811111111111111
    over = math.sqrt(model.base_energy / mean_energy) * ARCHITECTURES[model.architecture].fragility
    over *= OBJECTIVES[one.objective].sensitivity * max(0.35, seen**-0.5)
    k = over if one.slider_offset > 0 else 0.65
    assert found["stability_score"] == pytest.approx(100 * math.exp(-k * one.slider_offset**2), rel=1e-9)
    assert found["efficiency_score"] == pytest.approx(100 * math.exp(-2 * one.slider_offset**2), rel=1e-9)
    assert found["warmup_steps"] == warm


@pytest.mark.parametrize(
    ("changes", "stability", "efficiency"),
    [
        ({"slider_offset": 0.0}, "Safe", "Optimal"),
        ({"slider_offset": -0.4}, "Safe", "Suboptimal"),
        ({"slider_offset": 1.0}, "Risky", "Inefficient"),
    ],
)
def test_bands(changes, stability, efficiency):
    found = statistics(replace(Configuration(), **changes))
    assert (found["risk_band"], found["efficiency_band"]) == (stability, efficiency)


def test_the_implied_offset_leads_back_to_the_lr():
    configuration = Configuration(model="FLUX.1")
    offset = implied_offset(configuration, 1e-4)
    assert statistics(replace(configuration, slider_offset=offset))["adjusted_lr"] == pytest.approx(1e-4)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"model": "SDXXL"}, "model: LRTool has no 'SDXXL'"),
        ({"model": "sdxl turb"}, "Did you mean SDXL Turbo?"),
        ({"scheduler": "Cosin"}, "Did you mean Cosine?"),
        ({"steps": math.inf}, "steps: inf is not a finite number"),
        ({"steps": 1e9}, "steps: 1e+09 is outside -10,000,000 to 10,000,000"),
        ({"warmup": 101}, "warmup: 101 is outside"),
        ({"slider_offset": 1.5}, "offset: 1.5 is outside"),
    ],
)
def test_what_has_no_result_is_refused(changes, told):
    with pytest.raises(GridError, match=r".*") as error:
        statistics(replace(Configuration(), **changes))
    assert told in str(error.value)


def test_a_profile_comes_back_as_it_was_and_only_its_configuration_is_read(tmp_path):
    one = Configuration(steps=1500, model="Z-Image", optimizer="CAME (8-Bit)", warmup=20, slider_offset=0.25, alpha=0.5)
    path = tmp_path / "profile.json"
    save(str(path), one, statistics(one))
    profile = json.loads(path.read_text(encoding="utf-8"))
    assert profile["meta"] == {"app": "LRTool", "version": "1.0.0"}
    assert profile["configuration"] == {
        **{"steps": "1500", "batch": "1", "grad_accum": "2", "images": "40", "rank": "32", "alpha": "0.5"},
        **{"resolution": "1024", "model": "Z-Image", "objective": "Character", "optimizer": "CAME (8-Bit)"},
        **{"scheduler": "Cosine", "warmup": "20%", "slider_offset": 0.25},
    }
    assert profile["statistics"] == statistics(one)
    profile["statistics"] = {"recommended_lr": "nonsense"}
    path.write_text(json.dumps(profile), encoding="utf-8")
    assert load(str(path)) == one


def test_a_profile_that_leaves_keys_out_keeps_the_start_but_for_the_offset():
    start = Configuration(rank=8, slider_offset=0.5)
    assert from_table({"steps": "100"}, start, "p") == Configuration(rank=8, steps=100, slider_offset=0.0)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "cannot be read as a profile"),
        ("[]", "is no LRTool profile"),
        ('{"configuration": {"step": 3}}', "Did you mean steps?"),
        ('{"configuration": {"rank": "many", "warmup": "7.5%"}}', "'many' is not a number"),
        ('{"configuration": {"rank": "many", "warmup": "7.5%"}}', "'7.5%' is no warmup"),
        ('{"configuration": {"rank": true}}', "True is not a number"),
    ],
)
def test_a_broken_profile_is_told(tmp_path, text, told):
    path = tmp_path / "p.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(GridError) as error:
        load(str(path))
    assert told in str(error.value)


def test_a_missing_profile_and_a_folder_that_is_not_there_are_told(tmp_path):
    with pytest.raises(GridError, match="no such file"):
        load(str(tmp_path / "none.json"))
    with pytest.raises(GridError, match="cannot be written"):
        save(str(tmp_path / "none/p.json"), Configuration(), {})


@pytest.mark.parametrize(("text", "percent"), [("10%", 10), ("5", 5), (0, 0), (" 25 % ", 25), (10.0, 10)])
def test_warmup_spellings(text, percent):
    assert parse_warmup(text) == percent


def test_as_table_writes_whole_numbers_without_a_point():
    assert as_table(Configuration(steps=2000.0, alpha=1e-6))["steps"] == "2000"
    assert as_table(Configuration(steps=2000.0, alpha=1e-6))["alpha"] == "1e-06"
