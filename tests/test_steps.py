"""Watching the steps of the optimizer that holds a network's parameters."""

import gc

import pytest
import torch

from lr_grid.living import living
from lr_grid.steps import StepWatch


def make_optimizer(kind=torch.optim.SGD, lr=0.1):
    parameter = torch.nn.Parameter(torch.ones(2))
    parameter.grad = torch.ones(2)
    return parameter, kind([parameter], lr=lr)


class Child(torch.optim.SGD):
    def step(self, closure=None):
        return super().step(closure)


@pytest.fixture
def watched():
    seen, watches = [], []

    def watch(parameter, after=True):
        def note(word):
            return lambda optimizer: seen.append((word, float(parameter.detach()[0]), optimizer.param_groups[0]["lr"]))

        watches.append(StepWatch([parameter], note("before"), note("after") if after else None))
        return watches[-1]

    yield seen, watch
    for each in watches:
        each.close()


@pytest.mark.parametrize("kind", [torch.optim.SGD, Child])
def test_before_and_after_are_called_once_a_step_also_where_step_calls_its_parents(watched, kind):
    seen, watch = watched
    torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=1)  # torch has wrapped the parent's step, too
    parameter, optimizer = make_optimizer(kind)
    watch(parameter)
    optimizer.step()
    optimizer.step()
    assert [(word, round(value, 3)) for word, value, _ in seen] == [
        ("before", 1.0),
        ("after", 0.9),
        ("before", 0.9),
        ("after", 0.8),
    ]


def test_an_optimizer_of_other_parameters_is_not_watched(watched):
    seen, watch = watched
    parameter, _ = make_optimizer()
    _, other = make_optimizer()
    watch(parameter)
    other.step()
    assert not seen


def test_it_is_seen_through_accelerate(watched):
    accelerate = pytest.importorskip("accelerate")
    seen, watch = watched
    parameter, optimizer = make_optimizer()
    watch(parameter, after=False)
    accelerate.Accelerator(cpu=True).prepare(optimizer).step()
    assert [word for word, _, _ in seen] == ["before"]


def test_a_closed_watch_is_silent_and_an_error_stops_the_step(watched):
    seen, watch = watched
    parameter, optimizer = make_optimizer()
    watch(parameter).close()
    optimizer.step()
    assert not seen

    def refuse(_):
        raise RuntimeError("not so")

    refusing = StepWatch([parameter], refuse)
    before = parameter.detach().clone()
    try:
        with pytest.raises(RuntimeError, match="not so"):
            optimizer.step()
    finally:
        refusing.close()
    assert torch.equal(parameter, before)


def test_a_watch_may_close_itself_in_the_middle_of_a_step_with_others_behind_it(watched):
    seen, watch = watched
    parameter, optimizer = make_optimizer()
    first = StepWatch([parameter], lambda _: first.close())
    watch(parameter)
    optimizer.step()
    assert [word for word, _, _ in seen] == ["before", "after"]
    optimizer.step()
    assert len(seen) == 4


def test_a_watch_that_nobody_holds_is_gone():
    parameter, optimizer = make_optimizer()
    seen = []
    StepWatch([parameter], seen.append)
    gc.collect()
    optimizer.step()
    assert seen == []


def test_living_objects_of_a_class_and_its_subclasses_are_found():
    _, optimizer = make_optimizer(Child)
    assert any(found is optimizer for found in living(torch.optim.SGD))
    assert not any(found is optimizer for found in living(torch.optim.Adam))
