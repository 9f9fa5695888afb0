"""Norms recorded round the optimizer's steps: the numbers, and that recording them changes nothing."""

from __future__ import annotations

import gc
import math
import sys
import weakref

import pytest
import torch
from small_models import WIDTH, Flux, TextEncoder, make_network, start

from lr_grid.api import param_groups
from lr_grid.errors import GridError
from lr_grid.norms.cells import ABSENT, QUANTITIES, NormCell
from lr_grid.norms.measure import Measure
from lr_grid.norms.read import read_norms
from lr_grid.norms.recorder import NormRecorder
from lr_grid.norms.series import series
from lr_grid.norms.writer import NormsWriter

BF16 = 2**-8
"""Relative error of a stored number."""


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch):
    """Nothing here looks at the plan's picture."""
    monkeypatch.setattr(sys.modules["lr_grid.report.announce"], "_draw", lambda *_: "")


@pytest.fixture
def record(tmp_path):
    """record(parameters of each cell): (recorder, its run as read from the file so far). One cell a block."""
    made = []

    def begin(cells, name="run", **measure):
        described = [NormCell("unet", "double", block, "ffn", "down", (1e-4,), 1, 1) for block in range(len(cells))]
        file = tmp_path / f"{name}.lr_grid.norms"
        facts = {"model": "m", "stacks": {"double": len(cells)}, "base_lr": 1e-4, "arguments": {}}
        writer = NormsWriter(file, {**facts, "quantities": [], "cells": [cell.to_dict() for cell in described]})
        recorder = NormRecorder(described, cells, writer)
        if measure:
            recorder._measure = Measure(cells, range(len(cells)), **measure)
        made.append(recorder)

        def read():
            recorder.flush()
            return read_norms(str(file)).runs[-1]

        return recorder, read

    yield begin
    for recorder in made:
        recorder.close()


def parameter(*values, grad=None):
    made = torch.nn.Parameter(torch.tensor(values))
    made.grad = None if grad is None else torch.tensor(grad)
    return made


def train(model, groups, steps=6):
    optimizer = torch.optim.AdamW(groups)
    for step in range(steps):
        generator = torch.Generator().manual_seed(step)
        model(torch.randn(4, WIDTH, generator=generator)).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)


def network_of(tmp_path, **network_args):
    torch.manual_seed(0)
    model = Flux()
    network = make_network(model, **network_args)
    groups, _ = start(network, model, output_dir=str(tmp_path))
    network.on_epoch_start(None, model)
    return network, model, groups


def runs_in(tmp_path, name="test"):
    return read_norms(str(tmp_path / f"{name}.lr_grid.norms")).runs


def close(network):
    """What the end of the process does."""
    for reference in list(weakref.finalize._registry):
        if reference.peek() and reference.peek()[0] is network:
            reference()


def test_every_cell_has_the_norms_of_a_plain_computation(tmp_path):
    network, model, groups = network_of(tmp_path, self_attn_lr="2x", log_grad_norms="true")
    parameters = {name: p for group in groups for name, p in zip(group["param_names"], group["params"], strict=True)}
    cells = {
        ("double", 1, "self_attn", "up"): ("double_blocks_1_img_attn_qkv", "double_blocks_1_img_attn_proj"),
        ("double", 0, "ffn", "down"): ("double_blocks_0_img_mlp_0", "double_blocks_0_img_mlp_2"),
        ("single", 3, "fused", "up"): ("single_blocks_3_linear1", "single_blocks_3_linear2"),
    }

    def norm(tensors):
        return float(torch.cat([tensor.detach().flatten() for tensor in tensors]).double().norm())

    def members(cell):
        return [n for n in parameters if f"lora_{cell[-1]}" in n and any(f"_{layer}." in n for layer in cells[cell])]

    optimizer = torch.optim.AdamW(groups)
    wanted = []
    for step in range(6):
        model(torch.randn(4, WIDTH, generator=torch.Generator().manual_seed(step))).square().mean().backward()
        torch.nn.utils.clip_grad_norm_(list(parameters.values()), 0.01)
        before = {name: (p.grad.clone(), p.detach().clone()) for name, p in parameters.items()}
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        for cell in cells:
            assert len(members(cell)) == 2
            wanted.append(
                (
                    cell,
                    step,
                    norm(before[n][0] for n in members(cell)),
                    norm(parameters[n] for n in members(cell)),
                    norm(parameters[n] - before[n][1] for n in members(cell)),
                )
            )
    close(network)
    (run,) = runs_in(tmp_path)
    assert run.steps == [1, 2, 3, 4, 5, 6]
    index_of = {(*cell.place[1:], cell.side): index for index, cell in enumerate(run.cells)}
    for cell, step, *values in wanted:
        got = [run.column(quantity, index_of[cell])[step] for quantity in QUANTITIES]
        assert got == pytest.approx(values, rel=BF16)
    sizes = {(c.stack, c.component, c.side): (c.modules, c.parameters, c.lrs) for c in run.cells}
    assert sizes["double", "cross_attn", "down"] == (4, 4 * 2 * WIDTH, (1e-4,))
    assert sizes["double", "self_attn", "up"] == (2, 2 * 2 * WIDTH, (2e-4,))


def test_of_a_lora_that_begins_the_first_update_ratio_of_the_up_side_is_1(tmp_path):
    network, model, groups = network_of(tmp_path, log_grad_norms="true")
    train(model, groups, steps=3)
    close(network)
    (run,) = runs_in(tmp_path)
    up = next(i for i, cell in enumerate(run.cells) if cell.side == "up")
    first, second, _ = series(run, "update", [up])
    assert first == pytest.approx(1, rel=BF16)
    assert 0 < second < 1


@pytest.mark.parametrize("network_args", [{}, {"self_attn_lr": "2x", "mod_lr": "0"}])
def test_recording_changes_no_bit_of_what_is_trained(tmp_path, network_args):
    results = []
    for asked in ({}, {"log_grad_norms": "true"}):
        network, model, groups = network_of(tmp_path, **network_args, **asked)
        shape = [(group["lr"], [tuple(p.shape) for p in group["params"]]) for group in groups]
        train(model, groups)
        active = network._grid_state.active
        results.append((active, shape, {name: tensor.clone() for name, tensor in network.state_dict().items()}))
        close(network)
    (active, shape, plain), (active_too, shape_too, recorded) = results
    assert active == active_too == bool(network_args)
    assert shape == shape_too
    assert plain.keys() == recorded.keys()
    assert all(torch.equal(plain[name], tensor) for name, tensor in recorded.items())
    assert len(runs_in(tmp_path)) == 1


def test_a_frozen_cell_is_not_recorded_and_a_text_encoder_is(tmp_path):
    torch.manual_seed(0)
    model, encoder = Flux(), TextEncoder()
    network = make_network(model, encoder, mod_lr="0", log_grad_norms="true")
    groups, _ = start(network, model, encoder, output_dir=str(tmp_path), text_encoder_lr=[1e-5])
    network.on_epoch_start(encoder, model)
    train(model, groups, steps=1)
    close(network)
    (run,) = runs_in(tmp_path)
    assert "mod" not in {cell.component for cell in run.cells}
    encoders = [i for i, cell in enumerate(run.cells) if cell.part == "te1"]
    assert encoders
    assert all(run.column("grad", i)[0] == ABSENT for i in encoders), "the loss does not reach it"


def test_on_other_processes_than_the_first_nothing_is_recorded(tmp_path, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    network, model, groups = network_of(tmp_path, log_grad_norms="true")
    train(model, groups, steps=1)
    close(network)
    assert not list(tmp_path.glob("*.norms"))


def test_a_second_run_of_the_name_is_added_and_the_first_stays(tmp_path):
    for steps in (2, 3):
        network, model, groups = network_of(tmp_path, log_grad_norms="true")
        train(model, groups, steps=steps)
        close(network)
    first, second = runs_in(tmp_path)
    assert (first.steps, second.steps) == ([1, 2], [1, 2, 3])
    assert first.column("grad", 1)[0] == second.column("grad", 1)[0]


def test_a_tensor_without_gradient_is_left_out_and_a_cell_without_any_is_absent(record):
    cells = [[parameter(1.0, grad=[3.0]), parameter(2.0)], [parameter(3.0)]]
    _, read = record(cells)
    torch.optim.SGD([p for cell in cells for p in cell], lr=1.0).step()
    run = read()
    assert [run.column("grad", i)[0] for i in (0, 1)] == [3.0, ABSENT]
    assert [run.column("moved", i)[0] for i in (0, 1)] == [3.0, 0.0]
    assert run.column("weight", 0)[0] == pytest.approx(math.hypot(-2, 2), rel=BF16)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_gradients_that_are_not_finite_are_recorded_as_they_are(record, value):
    cells = [[parameter(1.0, 1.0, grad=[value, 1.0])], [parameter(1.0, grad=[2.0])]]
    _, read = record(cells)
    torch.optim.SGD([p for cell in cells for p in cell], lr=0.0).step()
    run = read()
    assert str(run.column("grad", 0)[0]) == str(value)
    assert run.column("grad", 1)[0] == 2.0


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_norms_of_half_precision_tensors_are_taken_in_float32(record, dtype):
    weights = torch.nn.Parameter(torch.ones(70_000, dtype=dtype))
    weights.grad = torch.full((70_000,), 300.0, dtype=dtype)  # its norm, 79373, is no float16
    mixed = parameter(1.0, grad=[1.0])
    _, read = record([[weights], [mixed]])
    torch.optim.SGD([weights, mixed], lr=2**-9).step()
    run = read()
    assert run.column("grad", 0)[0] == pytest.approx(300 * math.sqrt(70_000), rel=BF16)
    assert run.column("moved", 0)[0] == pytest.approx(300 / 512 * math.sqrt(70_000), rel=0.01)


def test_where_the_copy_is_too_large_cells_take_turns(record):
    cells = [[parameter(*[1.0] * 4, grad=[1.0] * 4)] for _ in range(5)]
    recorder, read = record(cells, limit=2 * 4 * 4)
    assert recorder.measure.turns == 3
    assert recorder.measure.copy_bytes == 32
    optimizer = torch.optim.SGD([p for cell in cells for p in cell], lr=0.5)
    for _ in range(6):
        optimizer.step()
    run = read()
    measured = [[value != ABSENT for value in run.column("moved", i)] for i in range(5)]
    assert measured == [
        [True, False, False] * 2,
        [True, False, False] * 2,
        [False, True, False] * 2,
        [False, True, False] * 2,
        [False, False, True] * 2,
    ]
    assert all(value in (ABSENT, 1.0) for i in range(5) for value in run.column("moved", i))
    # Of several cells together, the ratio is over the weights of those that were measured.
    assert series(run, "update", range(5))[3] == pytest.approx(1 / 2, rel=BF16), "weights are at 1 - 4 * 0.5"
    assert series(run, "update", [0])[1] is None


def test_without_memory_for_the_copy_gradients_and_weights_are_still_recorded(record, monkeypatch, capsys):
    def refuse(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr("lr_grid.norms.measure._buffers", refuse)
    cells = [[parameter(1.0, grad=[1.0])]]
    _, read = record(cells)
    optimizer = torch.optim.SGD(cells[0], lr=0.5)
    optimizer.step()
    optimizer.step()
    run = read()
    assert list(run.column("grad", 0)) == [1.0, 1.0]
    assert list(run.column("weight", 0)) == [0.5, 0.0]
    assert list(run.column("moved", 0)) == [ABSENT, ABSENT]
    assert capsys.readouterr().out.count("no memory for a copy") == 1


def test_an_error_ends_the_recording_with_one_line_and_training_goes_on(record, monkeypatch, capsys):
    cells = [[parameter(1.0, grad=[1.0])]]
    record(cells)
    optimizer = torch.optim.SGD(cells[0], lr=0.25)
    optimizer.step()

    def fail(*_):
        raise RuntimeError("no such kernel")

    monkeypatch.setattr("lr_grid.norms.measure._norms", fail)
    optimizer.step()
    optimizer.step()
    assert float(cells[0][0].detach()) == 0.25
    assert capsys.readouterr().out == "[lr_grid] norms are no longer recorded: no such kernel. Training goes on\n"


@pytest.mark.parametrize("fused", [False, True])
def test_a_gradient_scalers_factor_is_taken_out_and_a_skipped_step_is_none(record, fused):
    weights = parameter(1.0, 1.0)
    _, read = record([[weights]])
    optimizer = torch.optim.AdamW([weights], lr=0.1, fused=fused)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    for factor in (3.0, math.inf, 4.0):
        scaler.scale((weights * factor).sum()).backward()
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad()
    grads = list(read().column("grad", 0))
    # A fused optimizer is called for the step that is skipped, too, and leaves the weights as they are.
    wanted = [3 * math.sqrt(2), *([math.inf] if fused else []), 4 * math.sqrt(2)]
    assert grads == pytest.approx(wanted, rel=BF16)


def test_with_gradient_accumulation_a_step_is_one_of_the_optimizer(record):
    accelerate = pytest.importorskip("accelerate")
    weights = parameter(1.0)
    _, read = record([[weights]])
    accelerator = accelerate.Accelerator(cpu=True, gradient_accumulation_steps=3)
    layer = torch.nn.Module()
    layer.weights = weights
    layer, optimizer = accelerator.prepare(layer, torch.optim.SGD([weights], lr=0.1))
    for _ in range(6):
        with accelerator.accumulate(layer):
            accelerator.backward((weights * 6.0).sum())
            optimizer.step()
            optimizer.zero_grad()
    run = read()
    assert run.steps == [1, 2]
    assert list(run.column("grad", 0)) == [6.0, 6.0]


def test_a_loop_of_ones_own_records_beside_its_plan_file(tmp_path):
    model = Flux(double=1, single=1)
    grid = {"log_grad_norms": True, "mod_lr": 0}
    groups = param_groups(model, grid, lr=1e-3, plan_file=tmp_path / "mine.lr_grid.json", quiet=True)
    train(model, groups, steps=2)
    close(model)
    (run,) = runs_in(tmp_path, "mine")
    assert run.steps == [1, 2]
    assert {cell.side for cell in run.cells} == {"down"}
    with pytest.raises(GridError, match="log_grad_norms: give plan_file"):
        param_groups(Flux(), grid, lr=1e-3)


def test_a_network_that_is_gone_is_watched_no_longer_and_all_is_written(tmp_path):
    network, model, groups = network_of(tmp_path, log_grad_norms="true")
    train(model, groups, steps=2)
    parameters = weakref.ref(groups[0]["params"][0])
    assert runs_in(tmp_path)[0].steps == []
    del network, model, groups
    gc.collect()
    gc.collect()  # the recorder is let go when the network is
    assert parameters() is None
    assert runs_in(tmp_path)[0].steps == [1, 2]
