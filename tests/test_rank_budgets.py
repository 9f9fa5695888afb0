"""rank_budget on FLUX, SDXL and Wan at their released sizes, through the trainers' own network modules."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from trainers.environment import clean_environment

pytestmark = pytest.mark.trainer

HERE = Path(__file__).parent


@pytest.fixture(scope="module", params=["sd_scripts", "musubi"])
def results(request):
    trainer = request.getfixturevalue(request.param)
    done = subprocess.run(
        [str(trainer.python), str(HERE / "inventories" / "budgets.py"), request.param, str(trainer.folder)],
        env=clean_environment(PYTHONPATH=str(HERE.parent), OMP_NUM_THREADS="1", HF_HUB_OFFLINE="1"),
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_it_lands_within_one_percent_from_below_and_keeps_the_proportions(results):
    flat = {result["size"]: result["params"] for result in results if not result["budget"]}
    assert len(results) == 10 * len(flat)
    for result in results:
        if not result["budget"]:
            continue
        limits = {"flat": flat[result["size"]], "20M": 20_000_000, "47.3M": 47_300_000}
        limit = limits[result["budget"]]
        where = (result["size"], result["shape"], result["budget"], result["params"] / limit)
        assert 0.99 * limit <= result["params"] <= limit, where
        assert any(f"{result['params']:,} of {limit:,} parameters" in notice for notice in result["notices"])
        in_blocks = [rank for stack, _, component, rank in result["ranks"] if stack and component != "embed"]
        if result["shape"] == "rank_strategy=flat":
            assert max(in_blocks) - min(in_blocks) <= 1
        if "linear" in result["shape"]:
            for stack in {stack for stack, *_ in result["ranks"] if stack}:
                by_block: dict[int, list[int]] = {}
                for name, block, _, rank in result["ranks"]:
                    if name == stack:
                        by_block.setdefault(block, []).append(rank)
                first, last = min(by_block), max(by_block)
                if first == 0:  # a U-Net's first modules stand further in
                    assert sum(by_block[last]) / len(by_block[last]) == pytest.approx(
                        0.25 * sum(by_block[first]) / len(by_block[first]), abs=1
                    )
        if "cross_attn_dim" in result["shape"]:
            ranks = {c: [r for _, _, component, r in result["ranks"] if component == c] for c in ("ffn", "cross_attn")}
            assert sum(ranks["ffn"]) / len(ranks["ffn"]) > 8 * sum(ranks["cross_attn"]) / len(ranks["cross_attn"])
