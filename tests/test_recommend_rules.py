"""The rules of lr-grid recommend: which way each points, that all ranges are sane, and that each names its source."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lr_grid.errors import GridError
from lr_grid.models.catalogue import ALIASES, model_names
from lr_grid.recommend import rules
from lr_grid.recommend.anchors import DEFAULT, FULL, LORA
from lr_grid.recommend.disagreements import Case, cases, disagreements
from lr_grid.recommend.models import find_lrtool_model, lora_anchor
from lr_grid.recommend.optimizers import OPTIMIZERS, find_optimizer
from lr_grid.recommend.recommendation import Range, recommend
from lr_grid.recommend.run_setup import Known, Setup

OWN = [name for name in model_names() if "/" not in name]
USED = [name for name, kind in OPTIMIZERS.items() if not kind.own_lr and kind.ratio]
FINDING = [name for name, kind in OPTIMIZERS.items() if kind.own_lr]


def lr(model="flux-dev", **setup) -> Range:
    return recommend(Setup(model, **setup)).lr


@pytest.mark.parametrize("name", [*model_names(), *ALIASES])
def test_every_model_by_every_name_has_a_range_that_is_sane(name):
    for setup in (Setup(name), Setup(name, rank=32, alpha=32), Setup(name, full_finetune=True)):
        result = recommend(setup)
        assert 1e-7 < result.lr.low < result.lr.typical < result.lr.high < 5e-3
        assert len(result.anchor_source) > 10


def test_the_trainers_models_have_an_entry_of_their_own():
    assert set(LORA) == set(OWN)
    assert set(FULL) < set(OWN)


def test_a_model_that_no_document_names_takes_the_default_and_says_so():
    assert lora_anchor("diffusers/pixart-sigma") is DEFAULT
    assert "give no LR for this model" in recommend(Setup("pixart")).anchor_source
    assert lora_anchor("diffusers/sd-1.5") is LORA["sd15"]


def test_anchors_are_ranges_with_a_document_of_the_trainers_behind_them():
    for anchor in (*LORA.values(), *FULL.values()):
        assert 0 < anchor.low < anchor.high
        assert "docs/" in anchor.source


@pytest.mark.parametrize(("low", "high"), [(4, 8), (1, 16), (0.5, 1)])
def test_more_alpha_lowers_the_lr(low, high):
    less, more = lr(rank=16, alpha=low), lr(rank=16, alpha=high)
    assert less.typical / more.typical == pytest.approx(math.sqrt(high / low))
    assert less.typical > more.typical


def test_rank_alone_changes_nothing_and_rank_with_alpha_lowers_the_lr():
    assert lr(rank=4, alpha=8) == lr(rank=64, alpha=8)
    assert lr(rank=64, alpha=64).typical == pytest.approx(lr(rank=16, alpha=16).typical / 2)


def test_rs_lora_counts_as_alpha_times_sqrt_rank():
    assert lr(rank=16, alpha=4, rs_lora=True) == lr(rank=16, alpha=16)


def test_an_alpha_that_is_not_given_is_the_trainers_1():
    result = recommend(Setup("flux", rank=32))
    assert result.lr == recommend(Setup("flux", rank=32, alpha=1)).lr
    assert result.assumed == ["alpha 1, the trainers' default: no --alpha is given"]


def test_bigger_batches_raise_the_lr_by_the_root_or_for_sgd_in_proportion():
    assert lr(batch_size=4).typical / lr().typical == pytest.approx(2)
    assert lr(batch_size=2, gradient_accumulation=2) == lr(batch_size=4)
    sgd = Known(1e-2, optimizer="SGD")
    one, four = (recommend(Setup(known=sgd, optimizer="SGD", batch_size=size)).lr for size in (1, 4))
    assert four.typical / one.typical == pytest.approx(4)


@given(st.floats(0.1, 512), st.floats(0.1, 512))
def test_the_alpha_rule_is_undone_by_going_back(alpha, other):
    there = rules.alpha_rule(alpha, 8, other, 8)
    back = rules.alpha_rule(other, 8, alpha, 8)
    assert there.low <= there.typical <= there.high
    assert there.typical * back.typical == pytest.approx(1)
    assert there.low * back.high == pytest.approx(1)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_rule_has_a_source_a_reason_and_its_numbers_in_order(name):
    kind = OPTIMIZERS[name]
    assert kind.why
    assert kind.source
    made = [rules.batch_rule(8, 1, kind), rules.batch_rule(1, 8, kind), rules.full_rule()]
    made += [rules.loraplus_rule(ratio) for ratio in (0.01, 0.25, 2, 4, 16, 100)]
    if kind.ratio:
        made.append(rules.optimizer_rule(name, kind))
    for rule in made:
        assert 0 < rule.low <= rule.typical <= rule.high
        assert rule.why
        assert rule.source


def test_lion_wants_a_third_to_a_tenth():
    adam, lion = lr(), lr(optimizer="Lion8bit")
    assert 1 / 10 < lion.typical / adam.typical < 1 / 3
    assert lion.high < adam.high
    assert lion.low < adam.low


@pytest.mark.parametrize("name", ["AdamW8bit", "adafactor", "came", "bitsandbytes.optim.AdEMAMix8bit", "adamw"])
def test_optimizers_with_steps_of_adamws_size(name):
    assert lr(optimizer=name).typical == lr().typical


@pytest.mark.parametrize("name", FINDING)
def test_optimizers_that_find_their_lr_take_1_and_no_grid(name):
    result = recommend(Setup("sdxl", rank=8, alpha=8, batch_size=4, optimizer=name))
    assert (result.lr, result.own_lr) == (Range(1, 1, 1), True)


def test_loraplus_lowers_the_lr_by_two_or_so():
    plain, plus = lr(), lr(loraplus=16)
    assert plus.typical == pytest.approx(plain.typical / 2)
    assert lr(loraplus=1) == plain


def test_a_full_finetune_takes_its_document_or_a_tenth_of_a_lora_with_alpha_32():
    assert lr("qwen-image", full_finetune=True).typical == pytest.approx(math.sqrt(1e-6 * 1e-5))
    lora = lr("wan", rank=32, alpha=32)
    assert lr("wan", full_finetune=True).typical == pytest.approx(lora.typical / 10)


def test_the_lora_to_full_rule_agrees_with_the_documents_that_give_both():
    """Where a document gives the LR of a full fine-tune, the rule's range from the LoRA's anchor meets it."""
    for model, full in FULL.items():
        lora = recommend(Setup(model, rank=32, alpha=32)).lr
        by_rule = lora.under([rules.full_rule()])
        assert by_rule.low < full.high, model
        assert full.low < by_rule.high, model


def test_a_known_run_takes_the_anchors_place():
    known = Known(1e-4, rank=16, alpha=16, batch=2, optimizer="AdamW")
    same = recommend(Setup(known=known, rank=16, alpha=16, batch_size=2))
    assert same.lr == Range(1e-4, 1e-4, 1e-4)
    other = recommend(Setup(known=known, rank=64, alpha=64, batch_size=8, optimizer="Lion")).lr
    assert other.typical == pytest.approx(1e-4 / 2 * 2 / 5)
    back = recommend(Setup(known=Known(2e-5, optimizer="Lion"), optimizer="AdamW")).lr
    assert (back.low, back.typical, back.high) == (pytest.approx(6e-5), pytest.approx(1e-4), pytest.approx(2e-4))


def test_uncertainties_add_in_squares():
    start = Range(1.0, 2.0, 4.0)
    rule = rules.Rule("r", 0.5, 1.0, 2.0, "", "")
    both = start.under([rule])
    assert both.typical == 2.0
    assert both.high / both.typical == pytest.approx(2 ** math.sqrt(2))
    assert both.low / both.typical == pytest.approx(2 ** -math.sqrt(2))
    assert start.under([]) == Range(*(pytest.approx(x) for x in (1.0, 2.0, 4.0)))


@pytest.mark.parametrize(
    ("setup", "told"),
    [
        (Setup(), "--model: which model?"),
        (Setup("flus-dev"), "flux-dev"),
        (Setup("flux", optimizer="AdanW"), "Did you mean AdamW?"),
        (Setup("flux", optimizer="SGD"), "no rule leads from AdamW's LR to it"),
        (Setup("flux", optimizer="Adagrad"), "no ratio to AdamW's LR is published"),
        (Setup(known=Known(1.0, optimizer="Prodigy")), "says nothing of AdamW's"),
        (Setup("flux", rank=0), "--rank must be a number above 0, not 0"),
        (Setup("flux", rank=8, alpha=math.nan), "--alpha must be a number above 0, not nan"),
        (Setup("flux", batch_size=0), "--batch_size must be a number above 0"),
        (Setup("flux", alpha=8), "--alpha needs --rank"),
        (Setup("flux", rs_lora=True), "--rs_lora needs --rank"),
        (Setup("flux", loraplus=-1), "--loraplus_lr_ratio must be a number above 0"),
        (Setup("flux", rank=8, full_finetune=True), "--rank means nothing with --full_finetune"),
        (Setup(known=Known(1e-4, rank=8)), "give both or neither"),
        (Setup(known=Known(1e-4, alpha=4), rank=8), "--known alpha=4 needs rank=... beside it"),
        (Setup(known=Known(1e-4, optimizer="foo")), "--known optimizer: 'foo' is unknown"),
        (Setup(known=Known(1e300)), "--known lr must be from 1e-12 to 1000, not 1e+300"),
        (Setup("flux", rank=1e308, alpha=1e-308), "--rank must be from 1e-06 to 1e+06, not 1e+308"),
        (Setup("flux", rank=1e308, alpha=1e-308), "--alpha must be from 1e-06 to 1e+06, not 1e-308"),
        (Setup("flux", batch_size=10**200), "--batch_size must be from 1 to 1e+09, not 10000000... (201 digits)"),
        (Setup("flux", gradient_accumulation=10**400), "--gradient_accumulation must be from 1 to 1e+09, not 10000000"),
        (Setup("flux", loraplus=1e200), "--loraplus_lr_ratio must be from 1e-06 to 1e+06"),
    ],
)
def test_what_has_no_answer_is_refused(setup, told):
    with pytest.raises(GridError) as error:
        recommend(setup)
    assert told in str(error.value)


def test_all_problems_of_a_setup_are_told_at_once():
    with pytest.raises(GridError) as error:
        recommend(Setup("flus", optimizer="adamv", rank=-1, batch_size=0))
    assert len(error.value.problems) == 4


def about(**values) -> dict[str, tuple[float, float]]:
    plain = {"rank": 16, "alpha": 16, "batch_size": 1, "accumulation": 1, "optimizer": "AdamW"}
    return {one.about: (one.lrtool, one.rules) for one in disagreements(Case(**{**plain, **values}))}


def test_where_the_methods_point_in_different_directions():
    assert about() == {}
    alpha = about(alpha=4)["alpha/rank"]
    assert alpha == (pytest.approx(0.5), pytest.approx(2))
    assert about(alpha=64)["alpha/rank"] == (pytest.approx(2), pytest.approx(0.5))
    assert about(batch_size=4)["batch"] == (pytest.approx(0.5), pytest.approx(2))
    assert about(accumulation=2)["batch"][0] == pytest.approx(1.7**-0.5)
    assert about(optimizer="Lion8bit")["optimizer Lion8bit"] == (pytest.approx(1 / 0.93), 0.2)
    assert set(about(alpha=1, batch_size=2, optimizer="lion")) == {"alpha/rank", "batch", "optimizer Lion"}
    assert about(optimizer="Prodigy") == {}
    assert about(rank=None, alpha=None) == {}


@pytest.mark.parametrize(
    ("name", "theirs"),
    [
        ("sdxl", "SDXL"),
        ("flux", "FLUX.1"),
        ("pony", "Pony (SDXL)"),
        ("sdxl-turbo", "SDXL Turbo"),
        ("z-image", "Z-Image"),
        ("FLUX.2 Dev", "FLUX.2 Dev"),
        ("flux2", "FLUX.2 Dev"),
        ("sd1.5", "SD1.5"),
        ("illustrious", "SDXL"),
    ],
)
def test_lrtools_names_of_our_models(name, theirs):
    assert find_lrtool_model(name) == theirs


def test_models_that_lrtool_has_not_are_told_apart_from_typos():
    with pytest.raises(GridError, match="LRTool has no constants for wan"):
        find_lrtool_model("wan")
    with pytest.raises(GridError, match="Did you mean SDXL Turbo"):
        find_lrtool_model("sdxl-turbp")


def test_optimizers_by_the_names_that_people_use():
    assert find_optimizer("adamw8bit")[0] == "AdamW8bit"
    assert find_optimizer("prodigyopt.Prodigy")[1].own_lr
    assert find_optimizer("PagedAdamW8bit")[0] == "PagedAdamW8bit"
    assert "AdamWScheduleFree" in USED


@pytest.mark.parametrize(
    ("known", "alpha", "factor", "count"),
    [
        (Known(1e-4, rank=16, alpha=1), None, 1.0, 1),
        (Known(1e-4, rank=16), None, 1.0, 2),
        (Known(1e-4, rank=16), 4, 0.5, 1),
        (Known(1e-4), 4, 0.5, 2),
        (Known(1e-4, rank=16, alpha=4), None, 2.0, 1),
        (Known(1e-4, rank=16, alpha=4), 4, 1.0, 0),
    ],
)
def test_what_a_known_run_or_the_new_one_leaves_out_is_the_trainers_default_and_said(known, alpha, factor, count):
    result = recommend(Setup(known=known, rank=32, alpha=alpha))
    assert result.lr.typical == pytest.approx(1e-4 * factor)
    assert len(result.assumed) == count
    assert all("the trainers' default" in one for one in result.assumed)


def test_a_known_run_without_sizes_compares_none():
    assert recommend(Setup(known=Known(1e-4))).assumed == []
    assert recommend(Setup(known=Known(1e-4), rank=4, alpha=1)).lr.typical == pytest.approx(1e-4)


def test_rs_lora_says_what_its_alpha_counts_as():
    rule = recommend(Setup("flux", rank=16, alpha=16, rs_lora=True)).rules[0]
    assert "rank 16, alpha 16 (counts as alpha 64, by alpha / sqrt(rank)) against" in rule.why


def test_disagreements_start_from_the_known_run_and_take_the_rules_values():
    known = Known(1e-4, rank=16, alpha=16, batch=4)
    same = Setup(known=known, rank=16, alpha=16, batch_size=4)
    assert disagreements(*cases(same)) == []
    found = {one.about: one for one in disagreements(*cases(Setup(known=known, rank=16)))}
    assert set(found) == {"alpha/rank", "batch"}
    assert (found["alpha/rank"].lrtool, found["alpha/rank"].rules) == (pytest.approx(0.25), pytest.approx(4))
    assert found["alpha/rank"].rules == pytest.approx(recommend(Setup(known=known, rank=16)).rules[0].typical)
    assert "alpha 1 at rank 16, against alpha 16 at rank 16" in found["alpha/rank"].text
    assert (found["batch"].lrtool, found["batch"].rules) == (pytest.approx(2), pytest.approx(0.5))
    wider = Setup(known=known, rank=64, alpha=32, batch_size=4)  # both lower it
    assert disagreements(*cases(wider)) == []
    stable = disagreements(*cases(Setup("flux", rank=16, alpha=32, rs_lora=True)))[0]
    assert (stable.lrtool, stable.rules) == (pytest.approx(2**0.5), pytest.approx(8**-0.5))
    assert "alpha 32 (counts as alpha 128) at rank 16" in stable.text
