"""The rehearsal's parts in one process: hollow models, the fence, the schedule, the measured movement."""

from __future__ import annotations

import argparse
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import safetensors
import safetensors.torch
import torch
from safetensors.torch import save_file

from lr_grid.rehearse import hollow
from lr_grid.rehearse.errors import tell_error
from lr_grid.rehearse.job import Job, Report
from lr_grid.rehearse.measure import Measure
from lr_grid.rehearse.missing import CannotRehearse, need
from lr_grid.rehearse.optimizer import Optimizers
from lr_grid.rehearse.overrides import onto_cpu, redirect
from lr_grid.rehearse.schedule import Schedule
from lr_grid.rehearse.script import run_script
from lr_grid.rehearse.tell import tell_movement


@pytest.fixture
def hooks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The hooks of a child, taken away afterwards."""
    places: list[tuple[Any, str]] = [(torch.Tensor, name) for name in ("to", "cpu", "cuda")]
    places += [(safetensors.torch, "load_file"), (safetensors.torch, "safe_open"), (safetensors, "safe_open")]
    places += [(torch, "load"), (torch.nn.Module, "load_state_dict")]
    places += [(torch.nn.init, name) for name in dir(torch.nn.init) if name.endswith("_") and name[0] != "_"]
    for owner, name in places:
        monkeypatch.setattr(owner, name, getattr(owner, name))
    hollow.keep_meta()
    hollow.read_headers_only()
    hollow.hollow_modules()


@pytest.mark.usefixtures("hooks")
def test_weights_are_hollow_while_models_load_and_real_at_any_other_time(tmp_path: Path) -> None:
    file = tmp_path / "model.safetensors"
    save_file({"a": torch.ones(2, 3, dtype=torch.bfloat16), "b": torch.ones(4)}, file, {"format": "pt"})
    assert float(safetensors.torch.load_file(file)["b"].sum()) == 4
    with hollow.loading():
        state = safetensors.torch.load_file(file, device="cpu")
        with safetensors.safe_open(file, framework="pt", device="cpu") as opened:
            assert sorted(opened.keys()) == ["a", "b"]
            assert opened.metadata() == {"format": "pt"}
            assert opened.get_slice("a").get_shape() == [2, 3]
            assert opened.get_tensor("a").is_meta
    assert all(tensor.is_meta for tensor in state.values())
    assert (state["a"].shape, state["a"].dtype) == ((2, 3), torch.bfloat16)
    assert not safetensors.torch.load_file(file)["a"].is_meta


@pytest.mark.usefixtures("hooks")
def test_a_header_tells_shapes_without_the_data_being_there_to_read(tmp_path: Path) -> None:
    file = tmp_path / "large.safetensors"
    header = b'{"w":{"dtype":"F16","shape":[1000000,50000],"data_offsets":[0,100000000000]}}'
    with file.open("wb") as out:
        out.write(struct.pack("<Q", len(header)) + header)
        out.truncate(8 + len(header) + 100_000_000_000)
    with hollow.loading():
        assert safetensors.torch.load_file(file)["w"].shape == (1_000_000, 50_000)


@pytest.mark.parametrize("cut", [4, 30, -1])
def test_an_incomplete_file_is_refused(cut: int, tmp_path: Path) -> None:
    file = tmp_path / "model.safetensors"
    save_file({"a": torch.ones(2, 3)}, file)
    hollow.read_header(file)
    file.write_bytes(file.read_bytes()[:cut])
    with pytest.raises(ValueError, match=r"incomplete|no safetensors"):
        hollow.read_header(file)


@pytest.mark.usefixtures("hooks")
@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickled_checkpoint_is_hollow_too(zipped: bool, tmp_path: Path) -> None:
    file = tmp_path / "model.ckpt"
    torch.save({"state_dict": {"a": torch.ones(3, 5)}}, file, _use_new_zipfile_serialization=zipped)
    with hollow.loading():
        loaded = torch.load(file, map_location="cpu", weights_only=False)["state_dict"]["a"]
    assert loaded.is_meta
    assert loaded.shape == (3, 5)
    assert float(torch.load(file)["state_dict"]["a"].sum()) == 15


@pytest.mark.usefixtures("hooks")
def test_a_hollow_model_stays_hollow_wherever_it_is_moved() -> None:
    with hollow.loading():
        model = torch.nn.Linear(3, 4)
    other = torch.ones(1, dtype=torch.float64)
    assert model.to("cpu").weight.is_meta
    assert model.to(torch.device("cpu"), dtype=torch.bfloat16).weight.dtype == torch.bfloat16
    assert model.weight.cpu().is_meta
    assert model.weight.cuda().is_meta
    assert model.weight.to(other).dtype == torch.float64
    assert not torch.ones(2).to("cpu", torch.float16).is_meta


@pytest.mark.usefixtures("hooks")
def test_a_module_made_on_the_cpu_takes_hollow_weights_of_its_shapes_only() -> None:
    def state(rows: int) -> dict[str, torch.Tensor]:
        return {"weight": torch.empty(rows, 3, device="meta"), "bias": torch.empty(rows, device="meta")}

    with hollow.loading():
        model = torch.nn.Linear(3, 4, device="cpu")
        model.load_state_dict(state(4))
        assert model.weight.is_meta
        with pytest.raises(RuntimeError, match="size mismatch"):
            torch.nn.Linear(3, 4, device="cpu").load_state_dict(state(5))


def test_the_trainers_own_reader_is_hollow_while_models_load() -> None:
    class Opener:
        def __init__(self) -> None:
            self.header = {"a": {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}}

        def get_tensor(self, key: str, device: Any = None, dtype: Any = None) -> torch.Tensor:
            return torch.ones(2, 2)

    hollow.hollow_opener(Opener, "sd-scripts")
    with hollow.loading():
        assert Opener().get_tensor("a", torch.device("cpu"), torch.float16).dtype == torch.float16
        assert Opener().get_tensor("a").is_meta
        with pytest.raises(KeyError):
            Opener().get_tensor("b")
    assert float(Opener().get_tensor("a").sum()) == 4


def test_a_hook_that_a_trainer_lacks_is_named() -> None:
    class NetworkTrainer:
        train = 1

    assert need(NetworkTrainer, "train", "sd-scripts") == 1
    with pytest.raises(CannotRehearse, match=r"this version of sd-scripts has no NetworkTrainer\.process_batch"):
        need(NetworkTrainer, "process_batch", "sd-scripts")


FENCE = """
import os, pathlib, shutil, socket, sys
from lr_grid.rehearse.fence import Fence
inside, outside = map(pathlib.Path, sys.argv[1:])
fence = Fence(inside)
fence.put_up()
(inside / "new").mkdir()
(inside / "new" / "a.txt").write_text("x")
os.rename(inside / "new" / "a.txt", inside / "b.txt")
(inside / "more" / "deep").mkdir(parents=True)
(inside / "more" / "deep" / "c.txt").write_text("x")
os.symlink(outside / "kept.txt", inside / "more" / "link.txt")
shutil.rmtree(inside / "more")  # removes by open folders and bare names
assert (outside / "kept.txt").read_text() == "kept"
os.makedirs(outside, exist_ok=True)
open(os.devnull, "w").close()
os.symlink(outside / "kept.txt", inside / "link.txt")
def refused(do):
    try:
        do()
    except PermissionError:
        return True
    return False
tries = [
    lambda: (outside / "c.txt").write_text("x"),
    lambda: open(outside / "kept.txt", "a"),
    lambda: os.open(outside / "d.txt", os.O_CREAT | os.O_WRONLY),
    lambda: (outside / "folder").mkdir(),
    lambda: os.remove(outside / "kept.txt"),
    lambda: os.rename(inside / "b.txt", outside / "b.txt"),
    lambda: os.symlink(inside, outside / "link"),
    lambda: (outside / "kept.txt").chmod(0),
    lambda: (inside / "link.txt").write_text("x"),
    lambda: os.remove("kept.txt", dir_fd=os.open(outside, os.O_RDONLY)),
    lambda: os.mkdir("new", dir_fd=os.open(outside, os.O_RDONLY)),
    lambda: socket.create_connection(("192.0.2.1", 80), timeout=1),
    lambda: socket.getaddrinfo("example.org", 80),
]
assert all([refused(do) for do in tries]), [refused(do) for do in tries]
assert len(fence.refused) >= 10, fence.refused
"""


def test_nothing_is_written_outside_the_fence_and_nothing_is_sent(tmp_path: Path) -> None:
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    inside.mkdir()
    outside.mkdir()
    (outside / "kept.txt").write_text("kept", encoding="utf-8")
    before = sorted((p.name, p.stat().st_mtime_ns, p.stat().st_mode) for p in outside.iterdir())
    done = subprocess.run(
        [sys.executable, "-c", FENCE, str(inside), str(outside)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert sorted((p.name, p.stat().st_mtime_ns, p.stat().st_mode) for p in outside.iterdir()) == before


SCRIPT = """
import sys
class Trainer:
    word = "own"
def main():
    print(Trainer.word, __name__, sys.argv)
if __name__ == "__main__":
    main()
"""


def test_hooks_go_between_a_script_s_definitions_and_what_it_does(tmp_path: Path, monkeypatch, capsys) -> None:
    file = tmp_path / "train_network.py"
    file.write_text(SCRIPT, encoding="utf-8")
    monkeypatch.setattr(sys, "argv", sys.argv)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])
    job = Job(str(file), "", file.name, "sd-scripts", ("--x", "1"), str(tmp_path))
    run_script(file, job, lambda names: setattr(names["Trainer"], "word", "hooked"))
    assert capsys.readouterr().out == f"hooked __main__ ['{file}', '--x', '1']\n"
    assert sys.path[0] == str(tmp_path)


class Flattening(torch.optim.SGD):
    """As pytorch_optimizer's Prodigy: it keeps the groups' LRs and moves all of them by the first one's."""

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:
        for group in self.param_groups:
            for p in group["params"]:
                p.sub_(self.param_groups[0]["lr"] * p.grad.sign())


def rehearsed(make: Any, lrs: list[float], scheduler: Any = None, steps: int = 4, total: int = 100) -> Report:
    """A few steps of an optimizer on a network of one tensor a group, as the hooks see it."""
    report, network = Report(), torch.nn.ParameterList([torch.nn.Parameter(torch.rand(6, 8)) for _ in lrs])
    groups = [{"params": [p], "lr": lr} for p, lr in zip(network, lrs, strict=True)]
    optimizers, schedule = Optimizers(report), Schedule(report)
    args = argparse.Namespace(max_train_steps=total, resume=None)
    optimizer = optimizers.made(lambda: ("", "", make(groups)), groups, 1e-3)[2]
    scheduler = scheduler or (lambda one: torch.optim.lr_scheduler.LambdaLR(one, lambda step: 1.0))
    lr_scheduler = schedule.made(scheduler, optimizer, args)
    job = Job("", "", "", "sd-scripts", (), "", steps)
    measure = Measure(network, optimizer, None, job, optimizers, schedule, report)
    for _ in range(steps):
        measure.loss().backward()
        optimizer.step()
        lr_scheduler.step()
        optimizer.zero_grad()
    measure.close()
    schedule.judge()
    tell_movement(measure, stopped=False)
    return report


@pytest.mark.parametrize("make", [torch.optim.AdamW, torch.optim.SGD, torch.optim.Adagrad, torch.optim.RMSprop])
def test_an_optimizer_that_obeys_its_groups_is_verified(make: Any) -> None:
    report = rehearsed(make, [1e-4, 3e-4, 5e-6])
    assert report.findings == []
    assert {subject for subject, _ in report.verified} == {"groups", "optimizer", "scheduler"}
    measured = {cell["lr"]: cell["measured_lr"] for cell in report.data["cells"]}
    assert all(lr == pytest.approx(value, rel=1e-3) for lr, value in measured.items())


def test_an_optimizer_that_moves_all_groups_alike_is_found_though_its_lrs_are_right() -> None:
    report = rehearsed(Flattening, [1e-4, 3e-4])
    assert [subject for subject, _, _ in report.findings] == ["optimizer"]
    assert "by the same 0.0001" in report.findings[0][1]
    assert rehearsed(Flattening, [1e-4, 1e-4]).findings == []


def test_one_group_that_moves_by_another_lr_is_named() -> None:
    class Half(torch.optim.SGD):
        @torch.no_grad()
        def step(self, closure: Any = None) -> None:
            for i, group in enumerate(self.param_groups):
                for p in group["params"]:
                    p.sub_(group["lr"] * (0.5 if i == 2 else 1) * p.grad.sign())

    (finding,) = rehearsed(Half, [1e-4, 2e-4, 4e-4, 8e-4]).findings
    assert "group 2" in finding[1]
    assert "0.0004, moved like 0.0002" in finding[1]


def test_a_warm_up_is_measured_at_its_tiny_lrs() -> None:
    def warm(one: Any) -> Any:
        return torch.optim.lr_scheduler.LambdaLR(one, lambda step: min(step / 1000, 1.0))

    report = rehearsed(torch.optim.AdamW, [1e-4, 1e-6], warm, total=2000)
    assert report.findings == []
    assert report.data["schedule"]["factors"] == {"1": 0.0, "1000": 0.999, "1001": 1.0, "2000": 1.0}
    assert report.data["movement"]["unit"] == pytest.approx(1, rel=1e-3)


def test_a_schedule_that_starts_later_than_the_rehearsal_ends_is_told() -> None:
    def late(one: Any) -> Any:
        return torch.optim.lr_scheduler.LambdaLR(one, lambda step: float(step > 50))

    assert "nothing moved" in rehearsed(torch.optim.AdamW, [1e-4, 2e-4], late).findings[0][1]


@pytest.mark.parametrize(
    ("make", "wrong"),
    [
        (lambda one: torch.optim.lr_scheduler.OneCycleLR(one, 1e-3, 100), True),
        (lambda one: torch.optim.lr_scheduler.CyclicLR(one, 1e-5, 1e-3, cycle_momentum=False), True),
        (lambda one: torch.optim.lr_scheduler.CosineAnnealingLR(one, 100, eta_min=1e-5), True),
        (lambda one: torch.optim.lr_scheduler.CosineAnnealingLR(one, 100), False),
        (lambda one: torch.optim.lr_scheduler.PolynomialLR(one, 100), False),
        (lambda one: torch.optim.lr_scheduler.OneCycleLR(one, [1e-4, 3e-4], 100), False),
    ],
)
def test_a_schedule_that_does_not_keep_ratios_is_found_wherever_it_happens(make: Any, wrong: bool) -> None:
    report = rehearsed(torch.optim.AdamW, [1e-4, 3e-4], make)
    assert [subject for subject, _, _ in report.findings] == (["scheduler"] if wrong else [])


def test_a_schedule_made_for_fewer_steps_than_the_run_has_is_found() -> None:
    report = rehearsed(
        torch.optim.AdamW, [1e-4, 1e-4], lambda one: torch.optim.lr_scheduler.OneCycleLR(one, 1e-4, 10), total=100
    )
    assert "stops the run at step 11" in report.findings[0][1]


def test_an_optimizer_that_keeps_no_lrs_is_found() -> None:
    class Own(torch.optim.AdamW):
        def __init__(self, groups: Any) -> None:
            super().__init__(groups)
            for group in self.param_groups:
                group["lr"] = None

    optimizers = Optimizers(Report())
    groups = [{"params": [torch.nn.Parameter(torch.ones(1))], "lr": lr} for lr in (1e-4, 2e-4)]
    optimizers.made(lambda: ("", "", Own(groups)), groups, 1e-3)
    assert "sets its own LR" in optimizers.report.findings[0][1]


def test_an_optimizer_for_gpus_only_is_stood_in_for_and_said_so() -> None:
    class AdamW8bit(torch.optim.SGD):
        __module__ = "bitsandbytes.optim.adamw"

    optimizers = Optimizers(Report())
    groups = [{"params": [torch.nn.Parameter(torch.ones(1))], "lr": lr, "param_names": ["x"]} for lr in (1e-4, 2e-4)]
    made = optimizers.made(lambda: ("", "", AdamW8bit(groups, lr=1e-3)), groups, 1e-3)[2]
    assert type(made) is torch.optim.AdamW
    assert [(g["lr"], g["param_names"]) for g in made.param_groups] == [(1e-4, ["x"]), (2e-4, ["x"])]
    assert "bitsandbytes' AdamW8bit runs on a GPU only" in optimizers.report.notes[0]


@pytest.mark.parametrize(
    ("error", "finding", "impossible"),
    [
        (ValueError("no images"), "ValueError: no images", ""),
        (NotImplementedError("Cannot copy out of meta tensor; no data!"), "", "base model's values"),
        (RuntimeError("Found no NVIDIA driver on your system"), "", "needs a GPU"),
        (OSError("Cannot load model me/none: model is not cached locally and"), "", "would download a file"),
        (OSError("[Errno 2] No such file: 'a.toml'"), "OSError", ""),
        (PermissionError(13, "lr-grid rehearse does not write /a"), "", "the trainer needs to write /a"),
        (CannotRehearse("this version has no x"), "", "this version has no x"),
    ],
)
def test_the_command_s_errors_are_told_apart_from_the_rehearsal_s_limits(
    error: Exception, finding: str, impossible: str
) -> None:
    report = Report()
    try:
        raise error
    except Exception as raised:
        tell_error(raised, report)
    assert [finding in text for _, text, _ in report.findings] == [True] * bool(finding)
    assert impossible in report.impossible
    assert bool(impossible) == bool(report.impossible)


def test_a_long_error_is_cut_to_its_first_lines() -> None:
    report = Report()
    tell_error(RuntimeError("\n".join(f"line {i} " + "x" * 500 for i in range(300))), report)
    assert len(report.findings[0][1]) < 800
    assert "(300 lines)" in report.findings[0][1]


def test_outputs_are_redirected_and_what_needs_a_gpu_is_left_out_and_told(tmp_path: Path) -> None:
    args = argparse.Namespace(
        output_dir="mine",
        logging_dir="logs",
        log_with="wandb",
        sample_prompts=str(tmp_path / "none.txt"),
        save_every_n_steps=1,
        mixed_precision="fp16",
        full_fp16=True,
        full_bf16=False,
        blocks_to_swap=20,
        fp8_base=True,
        xformers=False,
        max_train_steps=1600,
        huggingface_repo_id="me/mine",
    )
    report = Report()
    redirect(args, Job("", "", "", "sd-scripts", (), str(tmp_path)), report)
    onto_cpu(args, report)
    assert str(tmp_path) in args.output_dir
    assert args.log_with != "wandb"
    assert (args.mixed_precision, args.full_bf16, args.full_fp16) == ("bf16", True, False)
    assert not any((args.blocks_to_swap, args.fp8_base, args.save_every_n_steps, args.huggingface_repo_id))
    assert args.max_train_steps == 1600
    assert any("block swap" in note and "fp8" in note for note in report.notes)
    assert any("none.txt: no such file" in text for _, text, _ in report.findings)
