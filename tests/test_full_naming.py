"""Bare tensors get the names that their models know them by, however the trainer holds its models."""

from __future__ import annotations

import pytest
import torch
from full_models import GRID, LR, CLIPTextModel, T5EncoderModel, make_flux, train_script
from small_models import make_network
from torch import nn

from lr_grid.errors import GridError
from lr_grid.full.naming import find_roots
from lr_grid.optim import AdamW


def names_of(optimizer):
    return [name for group in optimizer.param_groups for name in group["param_names"]]


def named(model):
    return [name for name, _ in model.named_parameters()]


def test_every_tensor_has_the_name_of_its_model():
    model = make_flux()
    assert names_of(train_script(AdamW, model, **GRID)) == named(model)


def test_a_model_that_no_caller_has_as_a_variable_is_found():
    class Trainer:
        def __init__(self):
            self.held = {"deep": [make_flux()]}

        def tensors(self):
            return list(self.held["deep"][0].parameters())

    trainer = Trainer()
    optimizer = AdamW(trainer.tensors(), lr=LR, **GRID)
    assert names_of(optimizer) == named(trainer.held["deep"][0])


@pytest.mark.parametrize("wrap", [nn.Sequential, torch.compile, nn.DataParallel])
def test_wrappers_leave_no_trace_in_the_names(wrap):
    model = make_flux()
    expected = named(model)
    wrapped = wrap(model)
    optimizer = AdamW(list(wrapped.parameters()), lr=LR, **GRID)
    assert names_of(optimizer) == expected


def test_compiled_blocks_leave_no_trace_in_the_places():
    model = make_flux()
    for i, block in enumerate(model.double_blocks):
        model.double_blocks[i] = torch.compile(block)
    optimizer = train_script(AdamW, model, **GRID)
    lrs = dict(zip(names_of(optimizer), optimizer.param_groups[0]["lr_scales"], strict=True))
    assert lrs["double_blocks.2._orig_mod.img_attn.qkv.weight"] == pytest.approx(1.5 * 0.3)


def test_text_encoders_are_named_by_their_part():
    model, first, second = make_flux(), CLIPTextModel(), T5EncoderModel()
    names = names_of(train_script(AdamW, model, first, second, **GRID))
    tensors = (("", model), ("te1.", first), ("te2.", second))
    assert names == [prefix + name for prefix, each in tensors for name in named(each)]


def test_a_variable_says_which_text_encoder_it_is():
    text_encoder1, text_encoder2 = CLIPTextModel(), CLIPTextModel()  # only the second trains
    optimizer = AdamW(list(text_encoder2.parameters()), lr=LR, te2_ffn_lr="0.5x")
    assert names_of(optimizer) == [f"te2.{name}" for name in named(text_encoder2)]
    assert text_encoder1 is not text_encoder2


def test_sd3s_variables_say_which_text_encoder_they_are():
    clip_g, t5xxl = CLIPTextModel(), T5EncoderModel()
    optimizer = AdamW([*t5xxl.parameters(), *clip_g.parameters()], lr=LR, te2_ffn_lr="0.5x", te3_ffn_lr="0.1x")
    names = names_of(optimizer)
    assert names == [f"te3.{name}" for name in named(t5xxl)] + [f"te2.{name}" for name in named(clip_g)]


def test_a_model_without_a_table_is_refused_and_stays_untouched():
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    with pytest.raises(
        GridError, match="4 of the 4 tensors to train belong to Sequential, a model that lr-grid has no"
    ):
        train_script(AdamW, model, mod_lr=0, **GRID)
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_tensors_of_no_model_are_refused():
    tensors = [nn.Parameter(torch.ones(2, 3))]
    with pytest.raises(GridError, match=r"1 of the 1 tensors to train belong to no model .*\(2, 3\)"):
        AdamW(tensors, lr=LR, **GRID)


def test_tensors_beside_a_known_model_are_refused():
    model, stray = make_flux(), nn.Parameter(torch.ones(5))
    with pytest.raises(GridError, match=r"1 of the 87 tensors to train belong to no model .*\(5,\)"):
        AdamW([*model.parameters(), stray], lr=LR, **GRID)


def test_two_base_models_are_refused():
    one, other = make_flux(), make_flux()
    with pytest.raises(GridError, match="two models train at once, Flux, Flux"):
        AdamW([*one.parameters(), *other.parameters()], lr=LR, **GRID)


def test_a_lora_is_sent_to_network_args():
    model = make_flux()
    network = make_network(model)
    network.apply_to(None, model, False, True)
    with pytest.raises(GridError, match=r"trains an adapter .*its grid goes into --network_args"):
        AdamW(list(network.parameters()), lr=LR, **GRID)


def test_a_copy_of_the_model_is_not_taken_for_it():
    model = make_flux()
    ema = make_flux()
    roots = find_roots(list(model.parameters()), [{"ema": ema, "model": model}])
    assert [root.model for root in roots] == [model]
