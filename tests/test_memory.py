"""The bytes of optimizer state against the optimizers themselves, stepped on a few tensors."""

import importlib
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from lr_grid.memory import OPTIMIZERS, state_bytes

SHAPES = [
    *[(16, 3072), (3072, 16), (4, 64), (64,)],
    *[(16, 320, 3, 3), (16, 320, 1, 1), (2, 3, 40, 64)],
    *[(63, 65), (16, 256), (64, 65)],  # one below, at, and above what bitsandbytes keeps in 8 bits
    *[(16, 31), (16, 32)],  # below and at what ProdigyPlusScheduleFree factors
]
SGD = {"lr": 1e-4, "momentum": 0.9, "nesterov": True}  # what sd-scripts makes of SGDNesterov
CLASSES: dict[str, tuple[str, dict[str, Any]]] = {
    "AdamW": ("torch.optim.AdamW", {"lr": 1e-4}),
    "AdamW8bit": ("bitsandbytes.optim.AdamW8bit", {"lr": 1e-4}),
    "PagedAdamW": ("bitsandbytes.optim.PagedAdamW", {"lr": 1e-4}),
    "PagedAdamW32bit": ("bitsandbytes.optim.PagedAdamW32bit", {"lr": 1e-4}),
    "PagedAdamW8bit": ("bitsandbytes.optim.PagedAdamW8bit", {"lr": 1e-4}),
    "Lion": ("lion_pytorch.Lion", {"lr": 1e-4}),
    "Lion8bit": ("bitsandbytes.optim.Lion8bit", {"lr": 1e-4}),
    "PagedLion8bit": ("bitsandbytes.optim.PagedLion8bit", {"lr": 1e-4}),
    "SGDNesterov": ("torch.optim.SGD", SGD),
    "SGDNesterov8bit": ("bitsandbytes.optim.SGD8bit", SGD),
    "Adafactor": ("transformers.optimization.Adafactor", {"lr": None, "relative_step": True}),
    "Prodigy": ("prodigyopt.Prodigy", {"lr": 1.0}),
    "DAdaptation": ("dadaptation.experimental.DAdaptAdamPreprint", {"lr": 1.0}),
    "DAdaptAdamPreprint": ("dadaptation.experimental.DAdaptAdamPreprint", {"lr": 1.0}),
    "DAdaptAdaGrad": ("dadaptation.DAdaptAdaGrad", {"lr": 1.0}),
    "DAdaptAdam": ("dadaptation.DAdaptAdam", {"lr": 1.0}),
    "DAdaptAdan": ("dadaptation.DAdaptAdan", {"lr": 1.0}),
    "DAdaptAdanIP": ("dadaptation.experimental.DAdaptAdanIP", {"lr": 1.0}),
    "DAdaptLion": ("dadaptation.DAdaptLion", {"lr": 1.0}),
    "DAdaptSGD": ("dadaptation.DAdaptSGD", {"lr": 1.0}),
    "AdamWScheduleFree": ("schedulefree.AdamWScheduleFree", {"lr": 1e-4}),
    "RAdamScheduleFree": ("schedulefree.RAdamScheduleFree", {"lr": 1e-4}),
    "SGDScheduleFree": ("schedulefree.SGDScheduleFree", {"lr": 1e-4}),
    "lr_grid.optim.AdamW": ("lr_grid.optim.AdamW", {"lr": 1e-4}),
    "lr_grid.optim.Lion": ("lr_grid.optim.Lion", {"lr": 1e-4}),
    "prodigyplus.ProdigyPlusScheduleFree": ("prodigyplus.ProdigyPlusScheduleFree", {"lr": 1.0}),
}


def tensors_in(value: object) -> Iterator[torch.Tensor]:
    """The tensors of a state, which ProdigyPlusScheduleFree may keep in a list."""
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from tensors_in(item)


def measured(optimizer: torch.optim.Optimizer) -> list[int]:
    """The bytes behind each trained tensor's state, without what memory.py counts as 0: scalars and code tables."""
    totals = []
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            kept = [t for k, v in optimizer.state[parameter].items() if "qmap" not in k for t in tensors_in(v)]
            totals.append(sum(t.untyped_storage().nbytes() for t in kept if t.ndim))
    return totals


def stepped(name: str, dtype: torch.dtype, zero: bool) -> torch.optim.Optimizer:
    """The optimizer after its first step on tensors of SHAPES; skips the test where its package is missing."""
    module, _, class_name = CLASSES[name][0].rpartition(".")
    pytest.importorskip(module, reason=f"{name} is not measured: {module} cannot be imported")
    torch.manual_seed(0)
    make = torch.zeros if zero else torch.randn
    parameters = [torch.nn.Parameter(make(shape, dtype=dtype)) for shape in SHAPES]
    optimizer = getattr(importlib.import_module(module), class_name)(parameters, **CLASSES[name][1])
    if hasattr(optimizer, "train"):
        optimizer.train()
    for parameter in parameters:
        parameter.grad = torch.randn_like(parameter)
    optimizer.step()
    return optimizer


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_state_is_as_large_as_the_optimizer_makes_it(name):
    for dtype in (torch.float32, torch.bfloat16):
        real = measured(stepped(name, dtype, zero=False))
        told = [state_bytes(name, [shape], dtype.itemsize) for shape in SHAPES]
        assert dict(zip(SHAPES, told, strict=True)) == dict(zip(SHAPES, real, strict=True)), dtype
        real = measured(stepped(name, dtype, zero=True))
        told = [state_bytes(name, [], dtype.itemsize, zero_shapes=[shape]) for shape in SHAPES]
        assert dict(zip(SHAPES, told, strict=True)) == dict(zip(SHAPES, real, strict=True)), f"{dtype}, zero at first"


# What was measured with all packages installed, so that the table is held to it where they are not.
@pytest.mark.parametrize(
    ("name", "matrix_fp32", "matrix_bf16", "small_fp32"),
    [
        ("AdamW", 393216, 196608, 2048),
        ("AdamW8bit", 99840, 99840, 2048),
        ("PagedAdamW", 393216, 393216, 2048),
        ("PagedAdamW32bit", 393216, 393216, 2048),
        ("PagedAdamW8bit", 99840, 99840, 2048),
        ("Lion", 196608, 98304, 1024),
        ("Lion8bit", 49920, 49920, 1024),
        ("PagedLion8bit", 49920, 49920, 1024),
        ("SGDNesterov", 196608, 98304, 1024),
        ("SGDNesterov8bit", 49920, 49920, 1024),
        ("Adafactor", 12352, 12352, 272),
        ("Prodigy", 786432, 393216, 4096),
        ("DAdaptation", 589824, 294912, 3072),
        ("DAdaptAdamPreprint", 589824, 294912, 3072),
        ("DAdaptAdaGrad", 589824, 294912, 3072),
        ("DAdaptAdam", 589824, 294912, 3072),
        ("DAdaptAdan", 983040, 491520, 5120),
        ("DAdaptAdanIP", 983040, 491520, 5120),
        ("DAdaptLion", 393216, 196608, 2048),
        ("DAdaptSGD", 589824, 294912, 3072),
        ("AdamWScheduleFree", 393216, 196608, 2048),
        ("RAdamScheduleFree", 393216, 196608, 2048),
        ("SGDScheduleFree", 196608, 98304, 1024),
        ("prodigyplus.ProdigyPlusScheduleFree", 226836, 128532, 1392),
    ],
)
def test_the_sizes_once_measured(name, matrix_fp32, matrix_bf16, small_fp32):
    assert state_bytes(name, [(16, 3072)]) == matrix_fp32
    assert state_bytes(name, [(16, 3072)], 2) == matrix_bf16
    assert state_bytes(name, [(4, 64)]) == small_fp32


def test_where_the_rules_change():
    assert [state_bytes("AdamW8bit", [shape]) for shape in [(63, 65), (16, 256), (64, 65)]] == [32760, 8320, 8456]
    plus = "prodigyplus.ProdigyPlusScheduleFree"
    assert [state_bytes(plus, [shape]) for shape in [(16, 31), (16, 32), (16, 320, 3, 3)]] == [4152, 2428, 213176]
    assert state_bytes(plus, [], zero_shapes=[(16, 3072)]) == 217898
    assert [state_bytes("Adafactor", [shape]) for shape in [(16, 320, 3, 3), (16, 320, 1, 1)]] == [122880, 40960]


def test_every_optimizer_is_measured():
    assert set(CLASSES) == set(OPTIMIZERS)


def test_tensors_add_up():
    shapes = [(16, 3072), (4, 64)]
    one_by_one = [state_bytes("Prodigy", [shape]) for shape in shapes]
    assert state_bytes("Prodigy", iter(shapes)) == sum(one_by_one)
    assert state_bytes("Prodigy", shapes, zero_shapes=[(64,)]) == sum(one_by_one) + 3 * 64 * 4
    assert state_bytes("Prodigy", []) == 0


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_names_are_taken_in_any_case(name):
    size = state_bytes(name, [(16, 3072)])
    assert state_bytes(name.lower(), [(16, 3072)]) == state_bytes(name.upper(), [(16, 3072)]) == size > 0


def test_an_unknown_optimizer_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match=r"'CAME'.*AdamW8bit"):
        state_bytes("CAME", [(16, 3072)])


def test_it_needs_no_torch():
    code = "import sys, lr_grid.memory; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
