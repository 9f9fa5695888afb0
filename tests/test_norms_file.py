"""The norms file: it only grows, what is whole in it is read, and a disk that takes nothing stops no run."""

from __future__ import annotations

import json
import math
import sys
from array import array
from pathlib import Path

import pytest
import torch

from lr_grid.errors import GridError
from lr_grid.norms.cells import QUANTITIES, NormCell, cell_of
from lr_grid.norms.fileformat import STEPS, chunk, head_chunk, record, unpack
from lr_grid.norms.read import chosen_run, read_norms
from lr_grid.norms.writer import NormsWriter

CELLS = [NormCell("unet", "double", 0, "ffn", side, (1e-4, 2e-4), 2, 96) for side in ("down", "up")]
FACTS = {
    "quantities": list(QUANTITIES),
    "model": "flux",
    "stacks": {"double": 1},
    "base_lr": 1e-4,
    "arguments": {},
    "cells": [cell.to_dict() for cell in CELLS],
}


def numbers(*values):
    return bytes(torch.tensor(values).to(torch.bfloat16).view(torch.uint8).tolist())


def write(path, steps, block=2):
    """A run of these steps, ``block`` of them a chunk; every number of step s is s + 0.5 and the like."""
    writer = NormsWriter(path, FACTS)
    for count, step in enumerate(steps, 1):
        writer.add(step, numbers(*(step + row / 2 for row in range(6))))
        if count % block == 0:
            writer.flush()
    writer.flush()
    return writer


@pytest.fixture
def file(tmp_path):
    return tmp_path / "deeper" / "run.lr_grid.norms"


def test_what_was_written_is_read(file):
    write(file, [1, 2, 3])
    (run,) = read_norms(str(file)).runs
    assert list(run.cells) == CELLS
    assert run.facts["model"] == "flux"
    assert run.steps == [1, 2, 3]
    assert list(run.column("grad", 0)) == [1, 2, 3]
    assert list(run.column("weight", 1)) == [2.5, 3.5, 4.5]
    assert list(run.column("moved", 1)) == [3.5, 4.5, 5.5]
    assert list(run.cut(2, None).column("moved", 1)) == [4.5, 5.5]
    assert run.cut(None, 1).steps == [1]


@pytest.mark.parametrize("byteorder", ["little", "big"])
def test_numbers_are_bfloat16_also_from_a_machine_of_the_other_byte_order(byteorder):
    values = torch.tensor([0.0, -1.0, 1e-30, 3.3895e38, 0.1, math.inf, math.nan])
    rounded = values.to(torch.bfloat16).float().tolist()
    raw = numbers(*values.tolist())
    if byteorder != sys.byteorder:
        raw = b"".join(raw[i : i + 2][::-1] for i in range(0, len(raw), 2))
    steps, got = unpack(record(7, raw), 4 + 2 * len(values), byteorder)
    assert steps == [7]
    assert str(list(got)) == str(list(array("f", rounded)))


def test_cut_off_anywhere_all_whole_records_are_read(file):
    write(file, [1, 2, 3, 4], block=1)
    data = file.read_bytes()
    ends = []
    for length in range(len(data) + 1):
        file.write_bytes(data[:length])
        try:
            found = read_norms(str(file))
        except GridError:
            ends.append(-1)  # not even the head
        else:
            ends.append(len(found.runs[0].steps))
            assert found.runs[0].steps == [1, 2, 3, 4][: ends[-1]]
            assert found.damaged == length - (len(data) - (4 - ends[-1]) * (len(data) - len_of_head(data)) // 4)
    assert ends == sorted(ends)
    assert set(ends) == {-1, 0, 1, 2, 3, 4}


def len_of_head(data):
    return data.index(b"LRGNS")


def test_a_run_goes_on_behind_what_a_crash_cut_off(file):
    write(file, [1, 2])
    file.write_bytes(file.read_bytes()[:-3])
    write(file, [1, 2, 3, 4])
    found = read_norms(str(file))
    assert [run.steps for run in found.runs] == [[], [1, 2, 3, 4]]
    assert found.damaged > 0
    assert chosen_run(found, None)[1] == 2
    with pytest.raises(GridError, match="--run 1: holds no step; runs with steps: 2"):
        chosen_run(found, 1)
    with pytest.raises(GridError, match=r"--run 3: .* holds 2"):
        chosen_run(found, 3)


def test_bytes_that_changed_cost_their_block_and_no_other(file):
    write(file, [1, 2, 3, 4, 5, 6])
    data = bytearray(file.read_bytes())
    second = data.index(b"LRGNS", data.index(b"LRGNS") + 1)
    data[second + 20] ^= 0xFF
    file.write_bytes(data)
    found = read_norms(str(file))
    assert found.runs[0].steps == [1, 2, 5, 6]
    assert found.damaged > 0


def test_two_runs_that_write_at_once_are_told_apart(file):
    first, second = NormsWriter(file, FACTS), NormsWriter(file, FACTS)
    for step in (1, 2):
        for writer, value in ((first, 1.0), (second, 2.0)):
            writer.add(step, numbers(*[value] * 6))
            writer.flush()
    runs = read_norms(str(file)).runs
    assert [(run.steps, list(run.column("grad", 0))) for run in runs] == [([1, 2], [1, 1]), ([1, 2], [2, 2])]


def test_steps_are_written_in_blocks(file, monkeypatch):
    now = [0.0]
    monkeypatch.setattr("lr_grid.norms.writer.time.monotonic", lambda: now[0])
    writer = NormsWriter(file, FACTS)
    for step in range(1, 100):
        writer.add(step, numbers(*[0.0] * 6))
    assert len(read_norms(str(file)).runs[0].steps) == 64
    now[0] = 20.0
    writer.add(100, numbers(*[0.0] * 6))
    assert len(read_norms(str(file)).runs[0].steps) == 100


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_one_line_and_no_error(tmp_path, capsys):
    file = tmp_path / "run.lr_grid.norms"
    file.symlink_to("/dev/full")
    write(file, range(10), block=1)
    told = f"[lr_grid] norms are no longer written to {file}: No space left on device. Training goes on\n"
    assert capsys.readouterr().out == told


def test_a_disk_that_fills_up_on_the_way_leaves_what_was_whole(file, capsys, monkeypatch):
    writer = write(file, [1, 2])

    class Full:
        def __enter__(self):
            return self

        def __exit__(self, *_):
            return False

        def write(self, data):
            with open(file, "ab") as plain:
                return plain.write(data[:7])

    monkeypatch.setattr(Path, "open", lambda *_, **__: Full())
    writer.add(3, numbers(*[0.0] * 6))
    writer.flush()
    writer.add(4, numbers(*[0.0] * 6))
    writer.flush()
    monkeypatch.undo()
    assert capsys.readouterr().out.count("the disk is full") == 1
    found = read_norms(str(file))
    assert (found.runs[0].steps, found.damaged) == ([1, 2], 7)


def test_a_folder_that_takes_no_file_is_one_line_and_no_error(tmp_path, capsys):
    (tmp_path / "taken").write_text("a file where the folder should be")
    write(tmp_path / "taken" / "run.lr_grid.norms", [1, 2, 3], block=1)
    assert capsys.readouterr().out.count("norms are no longer written") == 1


def refused(path, content=None):
    if content is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    with pytest.raises(GridError) as caught:
        chosen_run(read_norms(str(path)), None)
    return str(caught.value)


def test_what_is_no_norms_file_is_said(file):
    assert "no such file. A run with log_grad_norms=true writes <output_name>.lr_grid.norms" in refused(file)
    assert "is empty" in refused(file, b"")
    assert "is no norms file" in refused(file, b'{"lr_grid": "0.1.0"}')
    assert "is no norms file" in refused(file, chunk(STEPS, 1, b"steps of a run that has no head"))
    assert "holds no step yet" in refused(file, head_chunk(1, FACTS))
    assert "is a folder: name a file that ends in .lr_grid.norms; in it: run.lr_grid.norms" in refused(file.parent)


def test_a_file_of_another_version_is_refused_with_both_versions(file):
    data = head_chunk(1, {**FACTS, "lr_grid": "9.9"})
    body = json.loads(data[13:-4])
    assert body["version"] == 1
    newer = chunk(b"H", 1, json.dumps({**body, "version": 2}).encode())
    assert "is of format 2 (lr-grid 9.9); this lr-grid reads format 1" in refused(file, newer)
    broken = chunk(b"H", 1, json.dumps({**body, "cells": [{"part": "unet"}]}).encode())
    assert "its head cannot be understood" in refused(file, broken)


def test_a_cell_goes_through_json_unchanged():
    cell = NormCell("te1", None, None, "other", "up", (1e-4,), 3, 7)
    assert cell_of(json.loads(json.dumps(cell.to_dict()))) == cell
    assert cell.row == "te1.outside.other"
