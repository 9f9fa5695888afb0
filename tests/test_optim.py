"""lr_grid.optim: bit for bit the optimizers that it is faster than, whatever the LRs, options and gradients."""

from __future__ import annotations

import copy
import io
import pickle

import pytest
import torch
from torch.optim.optimizer import register_optimizer_step_pre_hook

from lr_grid.optim import SGD, AdamW, Lion
from lr_grid.optim import batches as batches_of
from lr_grid.scales import scale_between

STEPS = 12
SHAPES = [(4, 6), (6, 4), (3,), (), (2, 3, 2, 2), (8, 1), (16, 5), (5, 16), (1, 1), (7, 2)]


def parameters(dtype=torch.float32, shapes=SHAPES, seed=0):
    generator = torch.Generator().manual_seed(seed)
    real = torch.float32 if not dtype.is_complex else torch.complex64
    return [torch.nn.Parameter(torch.randn(s, generator=generator, dtype=real).to(dtype)) for s in shapes]


def give_gradients(params, step, missing=()):
    for i, param in enumerate(params):
        generator = torch.Generator().manual_seed(1000 * step + i)
        real = torch.complex64 if param.is_complex() else torch.float32
        grad = torch.randn(param.shape, generator=generator, dtype=real).to(param.dtype) * 10.0 ** (i % 5 - 2)
        param.grad = None if i in missing else grad


def lr_of(i):
    return 1e-2 * (1 + 0.37 * i) * (-1 if i % 7 == 3 else 1)


def a_group_each(params, options=()):
    return [{"params": [p], "lr": lr_of(i), **(options[i] if options else {})} for i, p in enumerate(params)]


def one_group(params):
    base = 3e-3
    return [{"params": params, "lr": base, "lr_scales": [scale_between(base, lr_of(i)) for i in range(len(params))]}]


def train(optimizer, params, steps=STEPS, at=0, missing=lambda step: ()):
    for step in range(at, at + steps):
        give_gradients(params, step, missing(step))
        optimizer.step()
    return optimizer


def bits(tensor):
    """NaNs of the same bits are equal, 0 and -0 are not."""
    flat = torch.view_as_real(tensor.detach()) if tensor.is_complex() else tensor.detach()
    return flat.contiguous().view(-1).view(torch.uint8)


def assert_same(ours, theirs):
    assert len(ours) == len(theirs)
    for i, (one, other) in enumerate(zip(ours, theirs, strict=True)):
        assert one.dtype == other.dtype
        assert torch.equal(bits(one), bits(other)), f"parameter {i}: {one} and {other}"


def assert_same_state(ours, theirs):
    state, other = ours.state_dict()["state"], theirs.state_dict()["state"]
    assert state.keys() == other.keys()
    for place in state:
        assert state[place].keys() == other[place].keys()
        for key in state[place]:
            assert_same([state[place][key]], [other[place][key]])


def lion_pytorch(groups, **options):
    module = pytest.importorskip("lion_pytorch")
    return module.Lion(groups, **options)


def torch_adamw(groups, **options):
    return torch.optim.AdamW(groups, foreach=False, **options)


def torch_sgd(groups, **options):
    return torch.optim.SGD(groups, foreach=False, **options)


ADAMW = [
    {},
    {"weight_decay": 0.0},
    {"weight_decay": 0.3},
    {"amsgrad": True},
    {"maximize": True, "weight_decay": 0.1},
    {"betas": (0.8, 0.95), "eps": 1e-5, "amsgrad": True, "maximize": True},
    {"betas": (0.0, 0.0)},
    {"eps": 0.0},
    {"eps": 0.01, "betas": (0.9, 0.99)},
]
LION = [{}, {"weight_decay": 0.3}, {"betas": (0.95, 0.98), "weight_decay": 0.01}, {"betas": (0.0, 1.0)}]
SGDS = [
    {},
    {"weight_decay": 0.1},
    {"momentum": 0.9},
    {"momentum": 0.9, "nesterov": True, "weight_decay": 0.01},
    {"momentum": 0.9, "dampening": 0.5, "maximize": True},
    {"maximize": True, "weight_decay": 0.2},
]
CASES = [
    *[(AdamW, torch_adamw, options) for options in ADAMW],
    *[(Lion, lion_pytorch, options) for options in LION],
    *[(SGD, torch_sgd, options) for options in SGDS],
]
PAIRS = [(AdamW, torch_adamw, {}), (Lion, lion_pytorch, {}), (SGD, torch_sgd, {"momentum": 0.9})]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64])
@pytest.mark.parametrize(("ours", "theirs", "options"), CASES)
@pytest.mark.parametrize("groups", [one_group, a_group_each])
def test_every_option_is_exact(ours, theirs, options, dtype, groups):
    params, others = parameters(dtype), parameters(dtype)
    mine = train(ours(groups(params), lr=1e-3, **options), params)
    other = train(theirs(a_group_each(others), lr=1e-3, **options), others)
    assert_same(params, others)
    assert_same_state(mine, other)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_456_lrs_are_exact_after_100_steps(dtype):
    shapes = [((8, 6), (6, 8))[i % 2] for i in range(456)]
    lrs = [1e-4 * (1 + i / 456) * (16 if i % 2 else 1) for i in range(456)]

    def per_lr(params):
        return [{"params": [param], "lr": lr} for param, lr in zip(params, lrs, strict=True)]

    def folded(params):
        return [{"params": params, "lr": 1e-4, "lr_scales": [scale_between(1e-4, lr) for lr in lrs]}]

    assert len(set(lrs)) == 456
    trained = []
    for make, groups in ((torch_adamw, per_lr), (AdamW, folded), (AdamW, per_lr)):
        params = parameters(dtype, shapes)
        optimizer = make(groups(params), lr=1e-3, weight_decay=0.05)
        generator = torch.Generator().manual_seed(1)
        for _ in range(100):
            noise = torch.randn(48 + 456, generator=generator).to(dtype)
            for i, param in enumerate(params):
                param.grad = noise[i : i + 48].view(param.shape)
            optimizer.step()
        trained.append(params)
    assert_same(trained[1], trained[0])
    assert_same(trained[2], trained[0])


def test_what_is_worked_off_in_pieces_is_the_same(monkeypatch):
    params, others = parameters(), parameters()
    train(AdamW(one_group(params)), params)
    monkeypatch.setattr(batches_of, "_IN_CACHE", 20)
    optimizer = AdamW(one_group(others))
    give_gradients(others, 0)
    pieces = list(batches_of.batches(optimizer, ("betas",)))
    assert len(pieces) > 3
    assert [id(p) for piece in pieces for p in piece.params] == [id(p) for p in others]
    train(optimizer, others)
    assert_same(params, others)


def test_elsewhere_a_piece_is_as_large_as_its_copy_may_be():
    params = [torch.nn.Parameter(torch.empty(size, device="meta")) for size in (1 << 26, 1 << 26, 1 << 10, 1 << 28, 8)]
    for param in params:
        param.grad = torch.empty_like(param)
    pieces = list(batches_of.batches(AdamW(params), ("betas",)))
    assert [[p.numel() for p in piece.params] for piece in pieces] == [[1 << 26, 1 << 26], [1 << 10], [1 << 28], [8]]


@pytest.mark.parametrize(("ours", "theirs", "options"), PAIRS)
def test_gradients_that_are_missing_for_a_while(ours, theirs, options):
    def missing(step):
        return {i for i in range(len(SHAPES)) if (i + step) % 3 == 0 or (i == 4 and step < 10)}

    params, others = parameters(), parameters()
    mine = train(ours(one_group(params), lr=1e-3, **options), params, missing=missing)
    other = train(theirs(a_group_each(others), lr=1e-3, **options), others, missing=missing)
    assert_same(params, others)
    assert_same_state(mine, other)
    if ours is AdamW:
        assert len({float(state["step"]) for state in mine.state.values()}) > 1


def test_groups_with_settings_of_their_own_and_several_dtypes():
    own = [
        {},
        {"betas": (0.5, 0.9)},
        {"eps": 1e-3},
        {"amsgrad": True},
        {"maximize": True},
        {"weight_decay": 0.0},
        {"weight_decay": 0.7},
    ]
    dtypes = [torch.float32, torch.bfloat16, torch.float64]

    def mixed():
        return [parameters(dtypes[i % 3], [shape], seed=i)[0] for i, shape in enumerate(SHAPES)]

    params, others = mixed(), mixed()
    options = [own[i % len(own)] for i in range(len(SHAPES))]
    mine = train(AdamW(a_group_each(params, options)), params)
    other = train(torch_adamw(a_group_each(others, options)), others)
    assert_same(params, others)
    assert_same_state(mine, other)


@pytest.mark.parametrize("amsgrad", [False, True])
def test_complex_parameters(amsgrad):
    params, others = parameters(torch.complex64), parameters(torch.complex64)
    train(AdamW(one_group(params), amsgrad=amsgrad, weight_decay=0.1), params)
    train(torch_adamw(a_group_each(others), amsgrad=amsgrad, weight_decay=0.1), others)
    assert_same(params, others)
    with pytest.raises(ValueError, match="a complex number has no sign"):
        Lion(parameters(torch.complex64))


def test_infinite_and_missing_numbers_are_torchs():
    params, others = parameters(), parameters()
    mine, other = AdamW(one_group(params), amsgrad=True), torch_adamw(a_group_each(others), amsgrad=True)
    for step in range(4):
        for optimizer, own in ((mine, params), (other, others)):
            give_gradients(own, step)
            if step == 2:
                own[0].grad[0, 0], own[1].grad[0, 0] = torch.inf, torch.nan
            optimizer.step()
    assert_same(params, others)
    assert not params[1].isfinite().all()


@pytest.mark.parametrize("lr", [torch.tensor(0.01), torch.tensor([0.01]), torch.tensor(0.01, dtype=torch.float64)])
@pytest.mark.parametrize(("ours", "theirs", "options"), [PAIRS[0], PAIRS[2]])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_lrs_that_are_tensors(ours, theirs, options, lr, dtype):
    params, others = parameters(dtype), parameters(dtype)
    mine, other = ours(params, lr=lr.clone(), **options), theirs(others, lr=lr.clone(), **options)
    for step in range(5):
        for optimizer in (mine, other):
            optimizer.param_groups[0]["lr"].mul_(0.9)
        train(mine, params, 1, at=step)
        train(other, others, 1, at=step)
    assert_same(params, others)


def test_a_tensor_lr_is_scaled():
    params, others = parameters(), parameters()
    scales = [1 + 0.25 * i for i in range(len(params))]
    train(AdamW([{"params": params, "lr": torch.tensor(0.01), "lr_scales": scales}], lr=0.01), params)
    groups = [{"params": [p], "lr": torch.tensor(0.01) * s} for p, s in zip(others, scales, strict=True)]
    train(torch_adamw(groups, lr=0.01), others)
    assert_same(params, others)


def test_a_changed_lr_and_changed_scales_are_seen_at_the_next_step():
    params, others = parameters(), parameters()
    mine, other = AdamW(one_group(params)), torch_adamw(a_group_each(others))
    for step in range(6):
        mine.param_groups[0]["lr"] = 3e-3 * 2.0**-step
        for i, group in enumerate(other.param_groups):
            group["lr"] = lr_of(i) * 2.0**-step
            if step == 4:
                group["lr"] *= 2
        if step == 4:
            mine.param_groups[0]["lr_scales"] = [2 * scale for scale in mine.param_groups[0]["lr_scales"]]
        if step == 5:
            mine.param_groups[0]["lr_scales"] = [scale / 2 for scale in mine.param_groups[0]["lr_scales"]]
        train(mine, params, 1, at=step)
        train(other, others, 1, at=step)
    assert_same(params, others)


def test_schedulers_move_the_group():
    params, others = parameters(), parameters()
    mine, other = AdamW(one_group(params)), torch_adamw(a_group_each(others))
    schedulers = [torch.optim.lr_scheduler.LambdaLR(o, lambda step: 0.5**step) for o in (mine, other)]
    for step in range(6):
        train(mine, params, 1, at=step)
        train(other, others, 1, at=step)
        for scheduler in schedulers:
            scheduler.step()
    assert_same(params, others)


@pytest.mark.parametrize(("ours", "theirs", "options"), PAIRS)
@pytest.mark.parametrize("through", ["memory", "file"])
def test_states_go_both_ways(ours, theirs, options, through):
    def carried(state):
        if through == "memory":
            return copy.deepcopy(state)
        file = io.BytesIO()
        torch.save(state, file)
        file.seek(0)
        return torch.load(file, weights_only=True)

    straight = parameters()
    train(theirs(a_group_each(straight), lr=1e-3, **options), straight, 10)
    for first, then in ((theirs, ours), (ours, theirs), (ours, ours)):
        params = parameters()
        before = train(first(a_group_each(params), lr=1e-3, **options), params, 5)
        after = then(a_group_each(params), lr=1e-3, **options)
        after.load_state_dict(carried(before.state_dict()))
        train(after, params, 5, at=5)
        assert_same(params, straight)


def test_scales_are_saved_and_a_state_without_them_leaves_them():
    params = parameters()
    mine = train(AdamW(one_group(params)), params, 3)
    saved = copy.deepcopy(mine.state_dict())
    scales = mine.param_groups[0]["lr_scales"]
    other = AdamW([{"params": params, "lr": 1.0, "lr_scales": [5.0] * len(params)}])
    other.load_state_dict(saved)
    assert other.param_groups[0]["lr_scales"] == scales
    assert other.param_groups[0]["lr"] == 3e-3
    del saved["param_groups"][0]["lr_scales"]
    fresh = AdamW([{"params": params, "lr": 1.0, "lr_scales": [5.0] * len(params)}])
    fresh.load_state_dict(saved)
    assert fresh.param_groups[0]["lr_scales"] == [5.0] * len(params)


def test_a_state_of_a_fused_or_for_loop_run_goes_on():
    for options in ({"fused": True}, {"foreach": False}, {"foreach": True}):
        params, others = parameters(), parameters()
        before = train(torch.optim.AdamW(params, **options), params, 3)
        with torch.no_grad():
            for param, other in zip(params, others, strict=True):
                other.copy_(param)
        mine, loop = AdamW(params), torch.optim.AdamW(others, foreach=False)
        mine.load_state_dict(copy.deepcopy(before.state_dict()))
        loop.load_state_dict(copy.deepcopy(before.state_dict()))
        loop.param_groups[0].update(fused=None, foreach=False)
        train(mine, params, 3, at=3)
        train(loop, others, 3, at=3)
        assert_same(params, others)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda optimizer: pickle.loads(pickle.dumps(optimizer))])
@pytest.mark.parametrize(("ours", "_theirs", "options"), PAIRS)
def test_copies_go_on_alike(ours, _theirs, options, copied):
    params = parameters()
    mine = train(ours(one_group(params), lr=1e-3, **options), params, 3)
    twin = copied(mine)
    own = [param for group in twin.param_groups for param in group["params"]]
    assert own[0] is not params[0]
    train(mine, params, 3, at=3)
    train(twin, own, 3, at=3)
    assert_same(params, own)


def test_groups_can_be_added_and_be_empty():
    params, others = parameters(), parameters()
    mine = AdamW([{"params": []}, *a_group_each(params[:4])])
    other = torch_adamw(a_group_each(others[:4]))
    train(mine, params, 2)
    train(other, others, 2)
    mine.add_param_group({"params": params[4:], "lr": 0.1, "lr_scales": [1 + i for i in range(len(params) - 4)]})
    for i, param in enumerate(others[4:]):
        other.add_param_group({"params": [param], "lr": 0.1 * (1 + i)})
    train(mine, params, 5, at=2)
    train(other, others, 5, at=2)
    assert_same(params, others)


@pytest.mark.parametrize(
    ("scales", "message"),
    [
        ([1.0], r"a number for each of the group's 10 parameters, not 1 of them"),
        ([], "not 0 of them"),
        (2.0, "not float"),
        ([1.0] * 9 + [float("nan")], "holds nan: each must be a finite number"),
        ([1.0] * 9 + ["2"], "holds '2'"),
    ],
)
def test_scales_that_do_not_fit_are_refused(scales, message):
    params = parameters()
    with pytest.raises(ValueError, match=message):
        AdamW([{"params": params, "lr_scales": scales}])
    optimizer = AdamW(parameters(shapes=[(2,)]))
    with pytest.raises(ValueError, match=message):
        optimizer.add_param_group({"params": params, "lr_scales": scales})
    assert len(optimizer.param_groups) == 1
    optimizer.add_param_group({"params": params, "lr_scales": [1.0] * 9 + [0]})


def test_scales_that_no_longer_fit_stop_the_step():
    params = parameters()
    optimizer = AdamW(one_group(params))
    optimizer.param_groups[0]["lr_scales"].pop()
    give_gradients(params, 0)
    before = [param.detach().clone() for param in params]
    with pytest.raises(ValueError, match="lr_scales: 9 factors, and the group has 10 parameters"):
        optimizer.step()
    assert_same(params, before)


@pytest.mark.parametrize(
    "option", [{"foreach": False}, {"fused": True}, {"capturable": True}, {"differentiable": True}]
)
def test_other_ways_to_step_are_refused(option):
    key = next(iter(option))
    with pytest.raises(ValueError, match=rf"lr_grid.optim.AdamW: {key}=.* Leave {key} out"):
        AdamW(parameters(), **option)
    with pytest.raises(ValueError, match=key):
        AdamW([{"params": parameters(), **option}])
    if key != "capturable":
        with pytest.raises(ValueError, match=rf"lr_grid.optim.SGD: {key}="):
            SGD(parameters(), **option)
    AdamW(parameters(), foreach=True)


@pytest.mark.parametrize("ours", [AdamW, Lion, SGD])
def test_bad_numbers_are_refused(ours):
    with pytest.raises(ValueError, match=r"weight_decay|-1"):
        ours(parameters(), weight_decay=-1.0)
    with pytest.raises(ValueError, match=r"learning rate|lr"):
        ours(parameters(), lr=-1.0)
    ours(parameters(), lr=0.0, weight_decay=0.0)


def test_sparse_gradients_are_refused_before_anything_moves():
    for ours in (AdamW, Lion, SGD):
        params = parameters(shapes=[(2, 2), (2, 2)])
        optimizer = ours(params)
        give_gradients(params, 0)
        params[1].grad = params[1].grad.to_sparse()
        before = [param.detach().clone() for param in params]
        with pytest.raises(RuntimeError, match="sparse"):
            optimizer.step()
        assert_same(params, before)
        params[1].grad = params[1].grad.to_dense()
        optimizer.step()


@pytest.mark.parametrize(("ours", "theirs", "options"), PAIRS)
def test_closures_and_accumulated_gradients(ours, theirs, options):
    params, others = parameters(shapes=[(3, 3)]), parameters(shapes=[(3, 3)])
    losses = []
    for make, own in ((ours, params), (theirs, others)):
        optimizer, seen = make(own, lr=0.1, **options), []
        for _ in range(3):

            def closure(own=own, optimizer=optimizer):
                optimizer.zero_grad()
                for factor in (1.0, 0.5):  # accumulated over two passes
                    loss = (factor * own[0].square()).sum()
                    loss.backward()
                return loss

            seen.append(optimizer.step(closure).item())
        losses.append(seen)
    assert losses[0] == losses[1]
    assert_same(params, others)


def test_torchs_hooks_are_called_once_a_step():
    params, calls = parameters(), []
    optimizer = AdamW(params)
    optimizer.register_step_pre_hook(lambda *_: calls.append("pre"))
    optimizer.register_step_post_hook(lambda *_: calls.append("post"))
    everywhere = register_optimizer_step_pre_hook(lambda *_: calls.append("global"))
    try:
        train(optimizer, params, 2)
    finally:
        everywhere.remove()
    assert calls == ["global", "pre", "post"] * 2


def test_a_gradient_scaler_unscales_and_skips():
    params, others = parameters(), parameters()
    for optimizer, own in ((AdamW(params), params), (torch_adamw(others), others)):
        scaler = torch.amp.GradScaler("cpu", init_scale=8.0)
        for step in range(4):
            give_gradients(own, step)
            for param in own:
                param.grad.mul_(scaler.get_scale())
            if step == 1:
                own[0].grad[0, 0] = torch.inf
            scaler.scale(torch.ones(()))
            scaler.step(optimizer)
            scaler.update()
        assert scaler.get_scale() == 4.0
        assert {float(state["step"]) for state in optimizer.state.values()} == {3.0}
    assert_same(params, others)


def test_factors_hit_the_lr_to_the_last_bit_where_any_double_does():
    generator = torch.Generator().manual_seed(0)
    hit = near = 0
    for _ in range(500):
        base, lr = (10 ** torch.rand(2, generator=generator, dtype=torch.float64).mul(4).sub(6)).tolist()
        scale = scale_between(base, lr)
        hit += base * scale == lr
        near += abs(base * scale / lr - 1) < 3e-16
    assert near == 500
    assert hit > 400
    assert scale_between(1e-4, -3e-4) * 1e-4 == -3e-4
    assert scale_between(1e-4, 1e-4) == 1.0
