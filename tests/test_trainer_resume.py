"""--resume in the real scripts: the same grid bit by bit, other grids with every parameter's own moments."""

from __future__ import annotations

import hashlib
import shutil

import pytest
import torch
from safetensors.torch import load_file
from trainers.sd_scripts import DATASET

pytestmark = pytest.mark.trainer

GRID = ["self_attn_lr=2x", "depth_strategy=linear", "loraplus_lr_ratio=4"]
HALF, STEPS = 4, 8
OPTIONS = ["--network_train_unet_only", "--lr_scheduler=cosine"]


@pytest.fixture(scope="module")
def train(sd_scripts, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("resume")

    # One image: the trainer shuffles its buckets after it has fetched the first batch, so with more of them a resumed
    # run sees another order than one that was not interrupted (with any network module, upstream's too).
    images = workdir / "images"
    images.mkdir()
    first = min(file.stem for file in sd_scripts.image_dir.iterdir())
    for file in sd_scripts.image_dir.glob(f"{first}.*"):
        shutil.copy(file, images)
    dataset = workdir / "dataset.toml"
    dataset.write_text(DATASET.format(images=images).replace("batch_size = 2", "batch_size = 1"), encoding="utf-8")

    def run(name, *network_args, steps=STEPS, resume=None, extra=(), module="networks.lora_grid"):
        options = [*OPTIONS, *([f"--resume={resume}"] if resume else []), *extra]
        return sd_scripts.run(
            "train_network.py", "sd15", workdir=workdir, name=name, network_module=module,
            network_args=network_args, steps=steps, extra=options, dataset_config=dataset,
        )  # fmt: skip

    return run


@pytest.fixture(scope="module")
def half(train):
    """The state after half of the steps of a schedule of eight."""
    return train("half", *GRID, extra=["--save_state", "--save_every_n_epochs=4"]).expect_success()


def state_of(result):
    return result.folder / f"{result.name}-{HALF:06d}-state"


def moments_in(state):
    """What the state holds: name -> digest of its first moment."""
    saved = torch.load(state / "optimizer.bin")
    return {
        name: hashlib.sha256(saved["state"][at]["exp_avg"].float().numpy().tobytes()).hexdigest()
        for group in saved["param_groups"]
        for at, name in zip(group["params"], group["param_names"], strict=True)
    }


def files_of(folder):
    return {file.name: (file.stat().st_mtime_ns, file.stat().st_size) for file in folder.iterdir()}


def test_the_same_grid_goes_on_to_the_same_bits(train, half):
    resumed = train("same", *GRID, resume=state_of(half)).expect_success()
    assert len(resumed.probe()["steps"]) == STEPS - HALF
    straight, again = half.lora(), resumed.lora()
    assert straight.keys() == again.keys()
    assert [key for key in straight if not torch.equal(straight[key], again[key])] == []
    assert "at the plan's LRs" in resumed.text


@pytest.mark.parametrize(
    ("name", "grid"),
    [
        ("new_lrs", ["self_attn_lr=3x", *GRID[1:]]),
        ("merged", ["self_attn_lr=2x", "depth_strategy=linear", "depth_levels=2"]),
        ("frozen", [*GRID, "ffn_lr=0"]),
    ],
)
def test_another_grid_takes_every_parameters_own_moments_along(train, half, name, grid):
    state = state_of(half)
    before, held = files_of(state), moments_in(state)
    resumed = train(name, *grid, resume=state).expect_success()
    kept = {n: digest for n, digest in held.items() if name != "frozen" or "_ff_" not in n}
    assert resumed.probe()["moments"] == kept
    assert len(kept) < len(held) if name == "frozen" else kept == held
    assert files_of(state) == before
    assert "carried over by name" in resumed.text

    planned, shares = resumed.initial_rates(), set()
    for parameter, lr in resumed.learning_rates(0).items():
        shares.add(round(lr / planned[parameter], 9))
    assert len(shares) == 1, "every LR stands at the same place of the schedule"
    assert shares.pop() == pytest.approx(0.5, rel=1e-6)  # half of a cosine
    if name == "frozen":
        trained, end = load_file(state / "model.safetensors"), resumed.lora()
        assert [key for key in trained if "_ff_" in key and not torch.equal(end[key], trained[key])] == []
        assert all(clip["outside_with_grad"] == 0 for clip in resumed.probe()["clips"])


def test_upstreams_own_state_is_taken_over(train, half):
    upstream = train(
        "upstream", extra=["--save_state", "--save_every_n_epochs=4"], module="networks.lora"
    ).expect_success()
    resumed = train("from_upstream", *GRID, resume=state_of(upstream)).expect_success()
    assert "the state holds no names" in resumed.text
    assert len(resumed.probe()["moments"]) == len(moments_in(state_of(half)))

    # In another order its counts still match, and the trainer itself would train on without a word.
    file = state_of(upstream) / "optimizer.bin"
    saved = torch.load(file)
    places = sorted(saved["state"])
    # The order of the blocks, as another version of the module might have it: pairs stay pairs.
    pairs = [places[i : i + 2] for i in range(0, len(places), 2)]
    order = [place for pair in reversed(pairs) for place in pair]
    shuffled = {new: saved["state"][old] for new, old in zip(places, order, strict=True)}
    torch.save({**saved, "state": shuffled}, file)
    refused = train("shuffled", *GRID, resume=state_of(upstream))
    assert refused.returncode != 0
    assert "GridError: --resume" in refused.text
    assert "running training" not in refused.text


def test_a_component_left_out_does_not_weigh_in_the_clipping(sd_scripts, tmp_path):
    """Beside upstream's way, an LR of 0: there the gradients of what is left out pile up, and the clip counts them."""

    def last_clip(name, module, argument):
        result = sd_scripts.run(
            "flux_train_network.py", "flux", workdir=tmp_path, name=name, network_module=module,
            network_args=argument, steps=20, extra=["--network_train_unet_only"],
        )  # fmt: skip
        return result.expect_success().probe()["clips"][-1]

    ours = last_clip("ours", "networks.lora_flux_grid", ["ffn_lr=0", "fused_lr=1x"])
    theirs = last_clip("theirs", "networks.lora_flux", ["network_reg_lrs=img_mlp=0"])
    print(f"in the clip, but not in the optimizer, after 20 steps: {ours['outside_norm']}, upstream {theirs}")
    assert (ours["outside_norm"], ours["outside_with_grad"]) == (0, 0)
    assert ours["total_norm"] == pytest.approx(ours["optimizer_norm"], rel=1e-4)
    assert theirs["outside_with_grad"] > 0
    assert theirs["total_norm"] > 1.001 * theirs["optimizer_norm"]
