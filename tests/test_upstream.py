"""Which arguments a network module takes, read from its source."""

import logging

import pytest

from lr_grid.accepted import known_keys
from lr_grid.errors import GridError, Problems
from lr_grid.passed_on import check_arguments, check_block_curves, check_regex_pairs
from lr_grid.upstream import load_base

logger = logging.getLogger(__name__)


class Module:
    def __init__(self, rank=4, **options):
        self.rank, self.scale = rank, options.pop("scale", None)


def helper(is_sdxl, nw_kwargs):
    if "mid_lr_weight" in nw_kwargs:
        return nw_kwargs["mid_lr_weight"]
    return nw_kwargs.get("down_lr_weight", None)


def create_network(multiplier, network_dim, vae, unet, neuron_dropout=None, **kwargs):
    conv = kwargs.get("conv_dim")
    return conv, helper(False, kwargs), Module(**kwargs)


def no_kwargs(multiplier):
    return multiplier


def test_keys_are_followed_into_helpers_and_constructors():
    assert known_keys(create_network) == {
        "neuron_dropout",
        "conv_dim",
        "mid_lr_weight",
        "down_lr_weight",
        "rank",
        "scale",
    }


def test_the_trainers_own_parameters_are_no_arguments():
    assert "unet" not in known_keys(create_network)
    assert known_keys(no_kwargs) == frozenset()


def decorated(*args, **kwargs):
    logger.info("making a network from %s", kwargs)
    return create_network(*args, **kwargs)


def in_a_loop(multiplier, **kwargs):
    return [kwargs.get(key) for key in ("a", "b")]


def renamed(multiplier, **kwargs):
    options = kwargs
    return options.get("rank")


def handed_to_the_unknown(multiplier, **kwargs):
    return logger.makeRecord.__self__.nowhere(**kwargs)


def test_a_wrapper_takes_what_it_hands_on():
    assert known_keys(decorated) >= {"conv_dim", "rank", "mid_lr_weight"}


def copied(multiplier, **kwargs):
    options = kwargs.copy()
    return options.get("rank")


def gone_through(multiplier, **kwargs):
    return [value for key, value in kwargs.items() if key == "rank"]


def with_old_names(multiplier, **kwargs):
    for key, value in list(kwargs.items()):
        if key == "old":
            kwargs["new"] = value
    return kwargs.get("new"), kwargs.get("old")


def test_old_names_written_back_under_new_ones_are_followed():
    assert known_keys(with_old_names) == {"new", "old"}


@pytest.mark.parametrize("function", [in_a_loop, renamed, handed_to_the_unknown, copied, gone_through])
def test_where_the_dict_cannot_be_followed_nothing_is_claimed(function):
    assert known_keys(function) is None
    problems = Problems()
    check_arguments("some.module", known_keys(function), {"anything": "1"}, frozenset(), problems)
    assert problems.found == []


def test_a_real_module_lycoris():
    import lycoris.kohya

    known = known_keys(lycoris.kohya.create_network)
    assert {"algo", "preset", "use_tucker", "dora_wd", "loraplus_lr_ratio", "conv_dim"} <= known
    assert not {"block_dims", "down_lr_weight", "self_attn_lr"} & known


def test_what_nobody_takes_is_a_problem():
    problems = Problems()
    check_arguments(
        "networks.lora",
        known_keys(create_network),
        {"conv_dims": "4", "dropout": None, "dora_wd": "True", "network_dim": "4"},
        frozenset(),
        problems,
    )
    assert len(problems.found) == 3
    assert "give --network_dim" in problems.found[2]
    assert "Did you mean conv_dim?" in problems.found[0]
    assert "networks.lycoris_grid" in problems.found[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"network_reg_lrs": "(img=1e-4"}, "does not compile"),
        ({"network_reg_lrs": "img_mlp:1e-4"}, "is not regex=value"),
        ({"network_reg_lrs": r"double_\d{1,2}=1e-4"}, "module_lr takes one"),
        ({"network_reg_lrs": "img=quick"}, "is not a number"),
        ({"network_reg_dims": "img=4.5"}, "is not a whole number"),
    ],
)
def test_regex_pairs_that_upstream_would_drop_in_silence(arguments, message):
    problems = Problems()
    check_regex_pairs(arguments, problems)
    assert message in problems.found[0]


def test_good_regex_pairs_pass():
    problems = Problems()
    check_regex_pairs({"network_reg_lrs": "img_mlp=1e-4, single=2e-4,", "network_reg_dims": "img=4"}, problems)
    assert problems.found == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"down_lr_weight": "cosin"}, "Did you mean cosine?"),
        ({"up_lr_weight": "sine+x"}, "not a number"),
        ({"mid_lr_weight": "much"}, "not a number"),
        ({"down_lr_weight": "1.0"}, "neither a list of numbers nor a curve"),
    ],
)
def test_block_curves_upstream_would_stumble_over(arguments, message):
    problems = Problems()
    check_block_curves(arguments, problems)
    assert any(message in problem for problem in problems.found)


def test_good_block_curves_pass():
    problems = Problems()
    check_block_curves({"down_lr_weight": "sine+.5", "mid_lr_weight": "1", "up_lr_weight": "1,0.5,,0"}, problems)
    assert problems.found == []


def test_a_missing_trainer_is_told():
    with pytest.raises(GridError, match=r"networks\.lora_nowhere was not found .*is the name right"):
        load_base("networks.lora_nowhere")
    with pytest.raises(GridError, match="pip install lycoris-lora"):
        load_base("lycoris_not_there")
