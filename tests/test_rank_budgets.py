"""rank_budget on FLUX, SDXL and Wan at their released sizes, through the trainers' own network modules."""

from __future__ import annotations

import pytest
from inventories.running import run_inventory

pytestmark = pytest.mark.trainer


@pytest.fixture(scope="module", params=["sd_scripts", "musubi"])
def results(request):
    return run_inventory("budgets.py", request.getfixturevalue(request.param), request.param)


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
