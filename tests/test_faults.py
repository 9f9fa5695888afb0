"""Power cuts, full disks, read-only folders, several runs in one folder, NaN: nothing of the trainer's saving is at
risk, and a file of lr-grid's is whole or is the one it was."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from small_models import Flux, make_network, start
from small_trainer import train

from lr_grid import files
from lr_grid.errors import GridError
from lr_grid.files import replace_file, write_text

GRID = {"self_attn_lr": "2x"}


def trains(folder: Path, **grid: str):
    """One step of a network under a grid that saves into a folder."""
    model = Flux()
    network = make_network(model, **(grid or GRID))
    groups, _ = start(network, model, output_dir=str(folder))
    for parameter in network.parameters():
        parameter.grad = torch.ones_like(parameter)
    torch.optim.AdamW(groups).step()
    return network


def full(*_, **__):
    raise OSError(errno.ENOSPC, "No space left on device")


def denied(*_, **__):
    raise PermissionError(errno.EACCES, "Permission denied")


@pytest.mark.parametrize("fault", [full, denied])
def test_where_the_plan_cannot_be_written_the_run_goes_on(tmp_path, monkeypatch, capsys, fault):
    old = '{"an": "older plan"}'
    (tmp_path / "test.lr_grid.json").write_text(old)
    monkeypatch.setattr(files.os, "replace", fault)
    trains(tmp_path)
    text = capsys.readouterr().out
    assert "the plan could not be written" in text
    assert "first step: AdamW holds exactly" in text
    assert (tmp_path / "test.lr_grid.json").read_text() == old
    assert [file.name for file in tmp_path.iterdir()] == ["test.lr_grid.json"]


def test_an_output_folder_that_cannot_be_made_does_not_stop_the_run(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    trains(tmp_path / "file" / "folder")
    assert "the plan could not be written" in capsys.readouterr().out


def test_a_picture_that_cannot_be_written_leaves_the_old_one(tmp_path, monkeypatch, capsys):
    trains(tmp_path)
    picture = tmp_path / "test.lr_grid.png"
    before = picture.read_bytes()
    real = files.os.replace
    monkeypatch.setattr(files.os, "replace", lambda a, b: full() if str(b).endswith(".png") else real(a, b))
    trains(tmp_path, self_attn_lr="4x")
    assert "its picture could not be drawn: [Errno 28] No space left" in capsys.readouterr().out
    assert picture.read_bytes() == before
    assert json.loads((tmp_path / "test.lr_grid.json").read_text())["arguments"]["self_attn_lr"] == "4x"


def test_a_truncated_plan_of_an_earlier_run_is_replaced(tmp_path):
    (tmp_path / "test.lr_grid.json").write_text('{"lr_grid": "0.')
    trains(tmp_path)
    assert json.loads((tmp_path / "test.lr_grid.json").read_text())["model"] == "flux"


CUT = """
import os, sys
from pathlib import Path
from lr_grid import files
files.os.replace = lambda *_: os._exit(9)  # the power goes between writing and moving
files.write_text(Path(sys.argv[1]), "new " * 10000)
"""


def test_a_power_cut_between_writing_and_moving_leaves_the_old_file(tmp_path):
    file = tmp_path / "plan.json"
    write_text(file, "old")
    assert subprocess.run([sys.executable, "-c", CUT, str(file)], check=False).returncode == 9
    assert file.read_text() == "old"
    write_text(file, "newer")
    assert file.read_text() == "newer"


def test_a_device_is_not_replaced(tmp_path):
    link = tmp_path / "plan.json"
    link.symlink_to(os.devnull)
    with pytest.raises(GridError, match="is no regular file"):
        write_text(link, "text")
    assert not Path(os.devnull).is_file()


def test_what_a_writer_raises_leaves_nothing_beside_the_file(tmp_path):
    def write(temporary):
        temporary.write_text("half")
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        replace_file(tmp_path / "plan.json", write)
    assert list(tmp_path.iterdir()) == []


def _write_many(path: str, letter: str) -> None:
    for _ in range(40):
        write_text(Path(path), letter * 200_000)


def test_two_runs_that_write_one_file_never_mix_it(tmp_path):
    file = tmp_path / "plan.json"
    write_text(file, "a" * 200_000)
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_write_many, args=(str(file), letter)) for letter in "ab"]
    for writer in writers:
        writer.start()
    seen = set()
    while any(writer.is_alive() for writer in writers):
        text = file.read_text()
        assert len(text) == 200_000
        assert len(set(text)) == 1
        seen.add(text[0])
    assert all(writer.exitcode == 0 for writer in writers)
    assert [entry.name for entry in tmp_path.iterdir()] == ["plan.json"]
    assert seen <= {"a", "b"}


def test_nan_gradients_change_nothing_in_proof_plan_or_saving(tmp_path, capsys):
    model = Flux()
    network = make_network(model, **GRID)
    groups, _ = start(network, model, output_dir=str(tmp_path))
    for parameter in network.parameters():
        parameter.grad = torch.full_like(parameter, float("nan"))
    optimizer = torch.optim.AdamW(groups)
    optimizer.step()
    optimizer.step()
    assert capsys.readouterr().out.count("first step") == 1
    network.save_weights(str(tmp_path / "lora.safetensors"), None, {})
    assert (tmp_path / "lora.safetensors").is_file()


def test_a_state_of_nan_is_carried_over_as_it_is(tmp_path):
    first = train({**GRID, "ffn_lr": "1x"}, 2, save=tmp_path / "state", scale=float("nan"))
    assert any(weight.isnan().any() for weight in first.weights().values())
    resumed = train({**GRID, "ffn_lr": "2x"}, 1, at=2, resume=tmp_path / "state")
    assert resumed.lrs == [pytest.approx(train({**GRID, "ffn_lr": "2x"}, 3).lrs[2])]
    assert all(moment.isnan().all() for moment in resumed.state().values())


@pytest.mark.parametrize("fault", [full, denied])
def test_a_resumed_state_that_cannot_be_carried_over_stops_the_run_before_it_trains(tmp_path, monkeypatch, fault):
    train(GRID, 2, save=tmp_path / "state")
    before = {file.name: file.read_bytes() for file in (tmp_path / "state").iterdir()}
    monkeypatch.setattr("lr_grid.resume.folder.torch.save", fault)
    with pytest.raises((GridError, OSError), match=r"No space|Permission"):
        train({**GRID, "ffn_lr": "2x"}, 1, at=2, resume=tmp_path / "state")
    assert {file.name: file.read_bytes() for file in (tmp_path / "state").iterdir()} == before
