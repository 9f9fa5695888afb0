"""Which arguments a network module takes, read from its source."""

import logging
import re
from types import ModuleType

import pytest
from small_models import Flux, make_network

from lr_grid.accepted import known_keys
from lr_grid.errors import GridError, Problems
from lr_grid.passed_on import check_arguments, check_block_curves, check_regex_pairs
from lr_grid.quirks import check_flags, idle_arguments
from lr_grid.upstream import block_weights, load_base

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


def test_block_weights_in_three_lists_are_one_list_in_kohyas_order():
    def parse_block_lr_kwargs(arguments):  # the form of networks.lora_fa
        return [0.5] * 12 if "down_lr_weight" in arguments else None, 0.25, None

    base = ModuleType("networks.of_one_model")
    base.parse_block_lr_kwargs = parse_block_lr_kwargs
    assert block_weights(base, {}, False) is None
    assert block_weights(base, {"down_lr_weight": "0.5"}, False) == [0.5] * 12 + [0.25] + [1.0] * 12
    with pytest.raises(GridError, match=r"networks\.of_one_model has no block weights for SDXL"):
        block_weights(base, {"down_lr_weight": "0.5"}, True)


@pytest.mark.parametrize(
    ("base", "arguments", "problem"),
    [
        ("networks.lora_flux", {"split_qkv": "true"}, "split_qkv: .* takes 'true' for False .* give split_qkv=True"),
        ("networks.lora_sd3", {"train_t5xxl": "1"}, "train_t5xxl: .* takes '1' for False"),
        ("networks.oft_flux", {"enable_all_linear": "False"}, "enable_all_linear: .* takes every text for true"),
        ("networks.lora_lumina", {"split_qkv": "True"}, "split_qkv=True: .* crashes when it saves"),
        ("lycoris.kohya", {"decompose_both": "False", "algo": "lokr"}, "decompose_both: .* takes every text for true"),
    ],
)
def test_flags_that_upstream_reads_as_their_opposite_are_told(base, arguments, problem):
    problems = Problems()
    check_flags(base, arguments, problems)
    assert len(problems.found) == 1
    assert re.search(problem, problems.found[0])


def test_flags_that_upstream_reads_as_they_say_pass():
    problems = Problems()
    check_flags("networks.lora_flux", {"split_qkv": "True", "train_t5xxl": "False", "verbose": "false"}, problems)
    check_flags("lycoris.kohya", {"decompose_both": "False", "algo": "LoCon"}, problems)
    check_flags("networks.lora_anima", {"verbose": "true", "train_llm_adapter": "true"}, problems)
    check_flags("networks.oft", {"enable_conv": "True"}, problems)
    assert problems.found == []


def test_arguments_without_what_they_need_are_noted():
    assert idle_arguments("networks.lora", {"conv_alpha": "1"}) == [
        "conv_alpha has no effect without conv_dim or conv_block_dims"
    ]
    assert idle_arguments("networks.lora", {"block_alphas": "1", "down_lr_weight": "1"}) == []
    assert idle_arguments("networks.lora_flux", {"ggpo_beta": "0.1"}) == ["ggpo_beta has no effect without ggpo_sigma"]
    assert idle_arguments("networks.lora_lumina", {"conv_dim": "4"}) == [
        "conv_dim: networks.lora_lumina takes it and never uses it"
    ]
    assert idle_arguments("lycoris.kohya", {"conv_alpha": "1"}) == []


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"algo": "lohaa"}, r"algo: LyCORIS has no 'lohaa'; it has .*loha.* Did you mean loha\?"),
        (
            {"preset": "attn-mpl"},
            r"preset: LyCORIS has no 'attn-mpl', and there is no such file; .*Did you mean attn-mlp\?",
        ),
    ],
)
def test_an_algorithm_or_preset_that_lycoris_does_not_have_is_told(arguments, problem):
    with pytest.raises(GridError, match=problem):
        make_network(Flux(), ffn_lr="2x", **arguments)


def test_dropout_as_an_argument_of_a_plain_lora_is_told():
    problems = Problems()
    known = frozenset({"conv_dim", "neuron_dropout"})
    check_arguments("networks.lora", known, {"dropout": None, "conv_dim": "4"}, frozenset(), problems)
    assert problems.found == []
    check_arguments("networks.lora", known, {"dropout": "0.5"}, frozenset(), problems)
    assert "Give the trainer's --network_dropout" in problems.found[0]
