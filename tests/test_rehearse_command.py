"""``lr-grid rehearse`` before its child starts: the command, the Python, what is told of its writing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from lr_grid.cli.main import main
from lr_grid.errors import GridError
from lr_grid.rehearse import run as parent
from lr_grid.rehearse.command import job_of, known_scripts, python_of, read_command
from lr_grid.rehearse.job import Job, Report
from lr_grid.rehearse.launch import launch_environment, launch_notes
from lr_grid.training import read_training


def job(text: str) -> Job:
    return job_of(read_command(text, "command line"), Path("/scratch"), 4, False)


@pytest.mark.parametrize(
    ("text", "script", "module", "trainer"),
    [
        (
            "accelerate launch --mixed_precision bf16 flux_train_network.py --x 1",
            "flux_train_network.py",
            "",
            "sd-scripts",
        ),
        ("python sd/train_network.py --x 1", "sd/train_network.py", "", "sd-scripts"),
        ("train_network.py --x 1", "train_network.py", "", "sd-scripts"),
        (
            "python src/musubi_tuner/wan_train_network.py --x 1",
            "src/musubi_tuner/wan_train_network.py",
            "",
            "musubi-tuner",
        ),
        (
            "accelerate launch -m musubi_tuner.wan_train_network --x 1",
            "",
            "musubi_tuner.wan_train_network",
            "musubi-tuner",
        ),
        ("accelerate launch \\\n  train_network.py \\\n  --x 1", "train_network.py", "", "sd-scripts"),
    ],
)
def test_a_command_is_taken_apart(text: str, script: str, module: str, trainer: str) -> None:
    found = job(text)
    assert (found.script, found.module, found.trainer, found.arguments) == (script, module, trainer, ("--x", "1"))


def test_arguments_keep_their_quotes_and_spaces() -> None:
    found = job("python train_network.py --dataset_config 'my folder/data.toml' --network_args \"a=1\" b=2")
    assert found.arguments == ("--dataset_config", "my folder/data.toml", "--network_args", "a=1", "b=2")


@pytest.mark.parametrize("script", ["flux_train.py", "sdxl_train.py", "my_own_train.py", "train_db.py"])
def test_a_script_that_cannot_be_rehearsed_is_named_with_those_that_can(script: str) -> None:
    with pytest.raises(GridError, match=f"{script} cannot be rehearsed") as refused:
        read_command(f"accelerate launch {script} --x 1", "command line")
    for trainer in ("sd-scripts", "musubi-tuner"):
        assert all(name in str(refused.value) for name in known_scripts(trainer))


def test_a_variable_that_only_a_shell_knows_is_refused() -> None:
    with pytest.raises(GridError, match=r"\$MODEL"):
        read_command("python train_network.py --pretrained_model_name_or_path $MODEL", "command line")
    assert job("MODEL=a.safetensors\npython train_network.py --pretrained_model_name_or_path $MODEL").arguments[1] == (
        "a.safetensors"
    )


def test_a_command_that_a_broken_line_cuts_off_is_refused() -> None:
    with pytest.raises(GridError, match="--x"):
        read_command("python train_network.py \\ \n  --x 1", "command line")


def test_the_python_is_the_one_that_is_named_or_stands_beside_accelerate(tmp_path: Path) -> None:
    assert python_of(["accelerate", "launch"], None) == sys.executable
    assert python_of(["python"], None) == sys.executable
    assert python_of([sys.executable], None) == sys.executable
    with pytest.raises(GridError, match="no such Python"):
        python_of([str(tmp_path / "bin" / "python")], None)
    bare = tmp_path / "python"
    bare.write_text(f'#!/bin/sh\nexec {sys.executable} -S -I "$@"\n', encoding="utf-8")
    bare.chmod(0o755)
    (tmp_path / "accelerate").touch()
    for launch, named in (([str(tmp_path / "accelerate"), "launch"], None), (["accelerate"], str(bare))):
        with pytest.raises(GridError, match="has no lr-grid: install it there"):
            python_of(launch, named)


def test_the_launcher_s_part_is_told() -> None:
    assert launch_notes(["accelerate", "launch", "--num_processes", "1", "--num_cpu_threads_per_process=2"]) == []
    assert "4 processes" in launch_notes(["accelerate", "launch", "--num_processes=4"])[0]
    assert "several" in launch_notes(["accelerate", "launch", "--multi_gpu"])[0]
    assert "DeepSpeed" in launch_notes(["accelerate", "launch", "--use_deepspeed", "x"])[0]
    assert launch_environment(["accelerate", "launch", "--mixed_precision", "fp16"]) == {
        "ACCELERATE_MIXED_PRECISION": "bf16"
    }
    assert launch_environment(["accelerate", "launch"]) == {}


def test_job_and_report_come_back_as_they_were_written(tmp_path: Path) -> None:
    before = job_of(read_command("python train_network.py --x 1", "x"), tmp_path, 7, True)
    before.write()
    assert Job.read(tmp_path) == before
    report = Report(data={"a": 1})
    report.verify("groups", "2 groups")
    report.find("optimizer", "moved", "cure")
    report.find("optimizer", "moved", "cure")
    report.write(tmp_path)
    assert Report.read(tmp_path) == report
    assert len(report.findings) == 1
    assert Report.read(tmp_path / "nowhere") is None


def test_the_exit_code_says_what_came_of_it() -> None:
    assert Report().code == 0
    assert Report(impossible="no hook").code == 2
    assert Report(impossible="no hook", findings=[("a", "b", "")]).code == 1


def told(text: str, options: tuple[str, ...] = ()) -> Report:
    report = Report(data={"options": list(options)})
    parent._tell_writing(read_training(text, is_text=True).findings, report)
    return report


def test_a_repeated_list_is_a_finding_and_a_repeated_value_a_note() -> None:
    report = told("python train_network.py --network_args a=1 --network_args b=2 --seed 1 --seed 2", ("seed",))
    assert [subject for subject, _, _ in report.findings] == ["arguments"]
    assert "a=1 is dropped" in report.findings[0][1]
    assert "--seed is given twice" in report.notes[0]


def test_an_argument_that_the_installed_trainer_knows_is_not_held_against_the_command() -> None:
    command = "python train_network.py --brand_new 1"
    assert "brand_new" in told(command).findings[0][1]  # the trainer's parser stopped at it, so it told no options
    assert told(command, ("brand_new", "seed")).findings == []


@pytest.mark.parametrize("numbers", [["--steps", "0"], ["--timeout", "-1"]])
def test_numbers_that_make_no_rehearsal_are_refused(numbers: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rehearse", *numbers, "--", "python", "train_network.py"]) == 2
    assert numbers[0] in capsys.readouterr().err


def test_a_script_that_is_not_here_is_told_by_the_child(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["rehearse", "--json", "--", "python", "train_network.py", "--seed", "1"]) == 2
    data = json.loads(capsys.readouterr().out)
    assert "no such file" in data["impossible"]
    assert data["verified"] == data["findings"] == []


@pytest.mark.parametrize(
    ("child", "told"),
    [
        ("echo loading; sleep 60", "no end after 1 s (--timeout); its last line: loading"),
        ("echo loading; kill -9 $$", "signal 9) without a report: loading"),
        ("echo broken; exit 3", "exit code 3) without a report: broken"),
    ],
)
def test_a_child_that_hangs_or_dies_is_told(child: str, told: str, tmp_path: Path, capsys) -> None:
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\n[ "$1" = -c ] && exit 0\n{child}\n', encoding="utf-8")
    python.chmod(0o755)
    options = ["--json", "--timeout", "1", "--python", str(python)]
    assert main(["rehearse", *options, "--", "python", "train_network.py"]) == 2
    assert told in json.loads(capsys.readouterr().out)["impossible"]


def test_the_temporary_folder_is_removed_or_kept_as_asked(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    words = ["--", "python", str(tmp_path / "train_network.py")]
    assert main(["rehearse", "--json", *words]) == 2
    assert list(tmp_path.iterdir()) == []
    capsys.readouterr()
    assert main(["rehearse", "--json", "--keep", *words]) == 2
    kept = Path(json.loads(capsys.readouterr().out)["folder"])
    assert kept.parent == tmp_path
    assert (kept / "output.txt").is_file()


SCRIPT = """
import sys
if __name__ == "__main__":
    {}
"""


@pytest.mark.parametrize("ending", ["sys.exit(0)", "pass"])
def test_a_script_that_is_another_s_is_not_passed(ending: str, tmp_path: Path, capsys) -> None:
    script = tmp_path / "train_network.py"
    script.write_text(SCRIPT.format(ending), encoding="utf-8")
    assert main(["rehearse", "--json", "--", "python", str(script)]) == 2
    assert "has no NetworkTrainer" in json.loads(capsys.readouterr().out)["impossible"]


def test_the_parent_needs_no_torch() -> None:
    code = (
        "import sys; import lr_grid.cli.rehearse, lr_grid.rehearse.run, lr_grid.rehearse.command;"
        "sys.exit(bool({'torch', 'numpy', 'rich', 'safetensors'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
