"""Training on two processes (gloo, as accelerate launch --cpu starts it): every rank has the same groups and ends with
the same weights."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file

STEPS = 3


def run_ranks(what: str, folder: Path) -> list[str]:
    """What the two ranks printed."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {
        **{"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2", "ACCELERATE_USE_CPU": "true"},
        **{"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "LOCAL_WORLD_SIZE": "2"},
    }
    ranks = [
        subprocess.Popen(
            [sys.executable, __file__, what, folder],
            env={**os.environ, **shared, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in (0, 1)
    ]
    try:
        printed = [process.communicate(timeout=180)[0] for process in ranks]
    finally:
        for process in ranks:
            process.kill()
    assert [process.returncode for process in ranks] == [0, 0], printed
    return printed


def test_every_rank_has_the_same_groups_and_weights(tmp_path):
    printed = run_ranks("train", tmp_path)
    groups = [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in (0, 1)]
    assert groups[0] == groups[1]
    assert len(groups[0]["groups"]) > 6
    weights = [torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1)]
    begun = torch.load(tmp_path / "begun.pt")
    assert weights[0].keys() == weights[1].keys() == begun.keys()
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in begun)
    trained = {name for group in groups[0]["groups"] for name in group["names"]}
    ups = [name for name in trained if "lora_up" in name]
    assert ups
    assert all(not torch.equal(weights[0][name], begun[name]) for name in ups)
    assert groups[0]["losses"][0] != groups[0]["losses"][1]  # each rank has its own data
    assert "[lr_grid] model=flux" in printed[0]
    assert "[lr_grid]" not in printed[1]


def test_the_demos_lora_is_the_same_on_every_rank(tmp_path):
    printed = run_ranks("demo", tmp_path)
    groups = [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in (0, 1)]
    assert groups[0] == groups[1]
    assert len(groups[0]) > 6
    weights = [torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1)]
    assert weights[0].keys() == weights[1].keys()
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    ups = [name for group in groups[0] for name in group["names"] if "lora_up" in name]
    assert ups
    assert all(weights[0][name].any() for name in ups)  # they begin at zero
    saved = load_file(tmp_path / "0.safetensors")
    assert all(torch.equal(saved[name], weights[0][name]) for name in ups)
    assert not (tmp_path / "1.safetensors").exists()
    assert "[lr_grid] first step" in printed[0]
    assert "[lr_grid]" not in printed[1]


def demo(folder: Path) -> None:
    """One rank of the demo's own training of its LoRA, on a base that knows nothing."""
    from accelerate import PartialState
    from torch.optim.optimizer import register_optimizer_step_pre_hook

    from lr_grid.demo.digits import NEW_CLASSES, load
    from lr_grid.demo.lora import train_lora
    from lr_grid.demo.model import DigitDiT, DiTConfig
    from lr_grid.demo.options import DemoOptions

    rank = PartialState(cpu=True).process_index
    made: list[dict] = []

    def keep(optimizer, *_) -> None:
        if not made:
            made.extend({"lr": group["initial_lr"], "names": group["param_names"]} for group in optimizer.param_groups)

    register_optimizer_step_pre_hook(keep)
    torch.manual_seed(0)
    model = DigitDiT(DiTConfig())
    for parameter in model.parameters():  # its own start has layers of zeros, which hand on no gradient
        torch.nn.init.normal_(parameter, std=0.1)
    data = load()[0].only(NEW_CLASSES)
    network = train_lora(model, data, DemoOptions(steps=STEPS, output_dir=str(folder)), folder / f"{rank}.safetensors")
    torch.save(network.state_dict(), folder / f"{rank}.pt")
    (folder / f"{rank}.json").write_text(json.dumps(made))


def train(folder: Path) -> None:
    """One rank: the calls of the trainers, with accelerate's DDP."""
    from accelerate import Accelerator
    from accelerate.utils import gather_object
    from small_models import WIDTH, Flux, make_network, start

    accelerator = Accelerator(cpu=True)
    assert accelerator.num_processes == 2
    torch.manual_seed(0)
    model = Flux(2, 3).requires_grad_(False)
    grid = {"self_attn_lr": "2x", "ffn_lr": "0.5x", "mod_lr": "0", "depth_strategy": "linear", "loraplus_lr_ratio": "4"}
    network = make_network(model, **grid)
    groups, descriptions = start(network, model, learning_rate=1e-2)
    made = [
        {"lr": g["lr"], "names": g["param_names"], "description": d} for g, d in zip(groups, descriptions, strict=True)
    ]
    begun = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    optimizer = torch.optim.AdamW(groups, lr=1e-2)
    network.forward = model.forward  # what DDP calls
    wrapped, optimizer = accelerator.prepare(network, optimizer)
    torch.manual_seed(1 + accelerator.process_index)
    losses = []
    for _ in range(STEPS):
        loss = wrapped(torch.randn(8, WIDTH)).square().mean()
        losses.append(loss.item())
        accelerator.backward(loss)
        accelerator.clip_grad_norm_(accelerator.unwrap_model(wrapped).get_trainable_params(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
    rank = accelerator.process_index
    torch.save(accelerator.unwrap_model(wrapped).state_dict(), folder / f"{rank}.pt")
    if accelerator.is_main_process:
        torch.save(begun, folder / "begun.pt")
    seen = gather_object([losses[0]])
    (folder / f"{rank}.json").write_text(json.dumps({"groups": made, "losses": seen}))
    accelerator.end_training()


if __name__ == "__main__":
    {"train": train, "demo": demo}[sys.argv[1]](Path(sys.argv[2]))
