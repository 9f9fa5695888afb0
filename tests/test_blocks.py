"""Block syntax: each good input beside its bad twin."""

import pytest

from lr_grid.blocks import compact, parse_block_values, parse_indices
from lr_grid.values import Rate, number, rate

FLUX = {"double": 19, "single": 38}
UNET = {"unet": 25}


def resolve(value, stacks=FLUX, parse=number):
    resolved = parse_block_values(value, parse).resolve(stacks, "model")
    assert not resolved.problems
    return resolved.values


def test_later_entries_override_earlier_ones():
    values = resolve("double_0-6:0.3,single:0.8,single_7:0")
    assert [values["double", i] for i in (0, 6)] == [0.3, 0.3]
    assert ("double", 7) not in values
    assert (values["single", 0], values["single", 7], values["single", 37]) == (0.8, 0, 0.8)


@pytest.mark.parametrize("text", ["double_block_3:0.5", "double_blocks_3:0.5", "double_3:0.5"])
def test_other_tools_spellings_of_a_block(text):
    assert resolve(text) == {("double", 3): 0.5}


def test_a_model_with_one_stack_needs_no_stack_name():
    assert resolve("0-1:0.5,24:2", UNET) == {("unet", 0): 0.5, ("unet", 1): 0.5, ("unet", 24): 2}


def test_stack_names_with_underscores():
    assert resolve("noise_refiner_0-1:0.5", {"noise_refiner": 2, "layers": 30})["noise_refiner", 1] == 0.5


def test_positional_lists_run_stack_after_stack():
    values = resolve(",".join(str(i) for i in range(57)))
    assert (values["double", 18], values["single", 0], values["single", 37]) == (18, 19, 56)


def test_tables_and_lists_of_a_file():
    assert resolve({"double_0": 0.5, "single": 1}, parse=number)["single", 5] == 1
    assert resolve([0.5] * 25, UNET)["unet", 24] == 0.5
    assert resolve(["double_0:0.5", "single:2"])["single", 0] == 2


def test_values_may_be_learning_rates():
    assert resolve("double_0:1e-4,double_1:0.5x", parse=rate) == {
        ("double", 0): Rate(1e-4),
        ("double", 1): Rate(0.5, True),
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("double_0-6", "is not a number"),
        ("double_6-0:0.5", "runs backwards"),
        ("double_0:high", "'high' is not a number"),
        ("double_0:0.5,single", "has no value"),
        ("dou-ble:0.5", "is no block"),
        ("", "is empty"),
        ("double_0:nan", "not a finite number"),
    ],
)
def test_bad_text_is_refused(text, message):
    with pytest.raises(ValueError, match=message):
        parse_block_values(text, number)


@pytest.mark.parametrize(
    ("text", "stacks", "message"),
    [
        ("doubel_0:1", FLUX, "Did you mean double"),
        ("single_38:1", FLUX, "out of range, model has single 0-37"),
        ("3:1", FLUX, "names no stack"),
        ("1,1,1", UNET, "3 values, but model has 25 blocks"),
    ],
)
def test_what_the_model_does_not_have_is_a_problem(text, stacks, message):
    assert message in parse_block_values(text, number).resolve(stacks, "model").problems[0]


def test_an_entry_that_later_ones_take_over_reaches_nothing():
    reach = parse_block_values("double_1:0.1,single_0-1:0.5,double:0.8", number).resolve(FLUX, "model").reach
    assert {entry.text: len(blocks) for entry, blocks in reach.items()} == {
        "double_1:0.1": 0,
        "single_0-1:0.5": 2,
        "double:0.8": 19,
    }


def test_index_lists():
    assert parse_indices("0-3,7").resolve(10) == ({0, 1, 2, 3, 7}, [])
    assert parse_indices("0 - 3, 7").resolve(10)[0] == {0, 1, 2, 3, 7}
    assert parse_indices("").resolve(3)[0] == set()
    assert parse_indices("all").resolve(3)[0] == {0, 1, 2}
    assert parse_indices("none").resolve(3)[0] == set()
    assert parse_indices([1, 2]).resolve(3)[0] == {1, 2}
    assert parse_indices("0,5").resolve(5)[1] == ["block 5 is out of range 0-4"]


@pytest.mark.parametrize("text", ["1-x", "3-1", "one"])
def test_bad_index_lists_are_refused(text):
    with pytest.raises(ValueError, match=r"neither a block|backwards"):
        parse_indices(text)


def test_compact_writes_what_parse_indices_reads():
    assert compact([3, 0, 1, 2, 7]) == "0-3,7"
