"""lr-grid recommend at the command line: text, JSON, exit codes, and options that would do nothing."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys

import pytest

from lr_grid.cli.main import main
from lr_grid.errors import Problems
from lr_grid.recommend.lrtool_profile import load
from lr_grid.recommend.options import TAKES, parse_known
from lr_grid.settings import read_settings

HEAVY = ("torch", "rich", "matplotlib", "numpy", "tensorboard")


def run(capsys, line):
    code = main(["recommend", *shlex.split(line)])
    out = capsys.readouterr()
    return code, out.out, out.err


def told(capsys, line):
    code, _, err = run(capsys, line)
    assert code == 2
    assert "Traceback" not in err
    return err


def as_json(capsys, line):
    code, out, err = run(capsys, f"{line} --json")
    assert (code, err) == (0, "")
    return json.loads(out)


@pytest.mark.parametrize("line", ["--help", "--method lrtool --model sdxl --json", "--model flux --json"])
def test_neither_help_nor_numbers_import_anything_heavy(line):
    code = (
        "import json, sys\nfrom lr_grid.cli.main import main\n"
        f"code = main(['recommend', *{line.split()!r}])\n"
        f"print(json.dumps([code, [name for name in {HEAVY!r} if name in sys.modules]]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout.splitlines()[-1]) == [0, []]


def test_help_shows_every_way_with_an_example(capsys):
    _, out, _ = run(capsys, "--help")
    assert "examples:" in out
    for line in ("--method lrtool --model", "--probe-command config.toml", "--from-probe output", "--known lr=1e-4"):
        assert line in out


def test_rules_show_the_range_its_sources_and_what_they_are_worth(capsys):
    code, out, _ = run(capsys, "--model flux --rank 16 --alpha 8 --batch_size 4 --optimizer Lion --base_lr 1e-5")
    assert code == 0
    text = " ".join(out.split())
    for expected in (
        "flux-dev, Lion: base LR",
        "sd-scripts docs/flux_train_network.md",
        "arXiv 2302.06675",
        "arXiv 2602.06204",
        "LRTool and the rules point in different directions",
        "alpha/rank: LRTool x0.71, rules x1.4",
        "batch: LRTool x0.5, rules x2",
        "optimizer Lion: LRTool x1.1, rules x0.2",
        "Anchors, not measurements",
        "cost 3.8 % in loss, half of it 6.3 %",
        "Your 1e-05 is below the range",
    ):
        assert expected in text


def test_rules_as_json(capsys):
    data = as_json(capsys, "--model wan --rank 32 --alpha 32")
    assert data["model"] == "wan-14b"
    assert data["lr"]["low"] < data["lr"]["typical"] < data["lr"]["high"]
    assert data["takes_grid"] is True
    assert all(rule["source"] for rule in data["rules"])
    assert data["disagreements"] == []


def test_optimizers_that_find_their_lr_get_no_grid(capsys, tmp_path):
    code, out, _ = run(capsys, "--model flux --optimizer Prodigy")
    assert code == 0
    assert "the LR is 1, and no grid" in out
    assert as_json(capsys, "--model flux --optimizer DAdaptAdam")["takes_grid"] is False
    line = "--model flux --optimizer Prodigy --rank 8 --alpha 4 --batch_size 2 --base_lr 1e-4"
    text = " ".join(run(capsys, line)[1].split())
    assert "--rank, --alpha, --batch_size: without effect, as Prodigy finds its LR itself" in text
    assert "Your 0.0001 is no LR for Prodigy: it multiplies the LR that Prodigy finds. Set 1." in text
    assert "below the range" not in text
    data = as_json(capsys, line)
    assert "--rank, --alpha, --batch_size" in data["notes"][0]
    assert data["base_lr"]["where"] == "factor"
    assert "takes no grid" in told(capsys, f"--model flux --optimizer Prodigy --into {tmp_path / 'g.toml'}")
    assert not (tmp_path / "g.toml").exists()


def test_lrtool_shows_all_statistics_the_offset_and_the_limits(capsys):
    line = "--method lrtool --model flux --rank 32 --alpha 16 --batch_size 2 --optimizer lion8bit --scheduler cosine"
    code, out, _ = run(capsys, f"{line} --base_lr 1e-4")
    assert code == 0
    text = " ".join(out.split())
    for expected in (
        "LRTool, FLUX.1",
        "Lion (8-Bit)",
        "overshoot_k",
        "negative from t = 0.535",
        "100 % by construction",
    ):
        assert expected in text
    assert "Not given, so LRTool's own default: steps, grad_accum, images, resolution, objective, warmup" in text
    assert "Your 0.0001 is LRTool's LR at offset" in text
    assert "rules x0.2" in text
    data = as_json(capsys, f"{line} --base_lr 1e-4")
    assert len(data["statistics"]) == 23
    assert data["implied_offset"] == pytest.approx(1e-4 / data["statistics"]["recommended_lr"] - 1)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("--scheduler Rex", "not the published REX"),
        ("--scheduler adafactor", "about 16 times"),
        ("--offset 0.5", "how far the LR is from LRTool's own"),
        ("--rank 0", "rank 0 is read as 1, as LRTool does"),
        ("--scheduler cosine_with_restarts", "Cosine (Hard Restarts)"),
    ],
)
def test_lrtools_limits_for_the_users_own_values(capsys, line, expected):
    assert expected in " ".join(run(capsys, f"--method lrtool --model sdxl {line}")[1].split())


def test_profiles_in_and_out(capsys, tmp_path):
    path = tmp_path / "p.json"
    line = f"--method lrtool --model z-image --steps 800 --warmup 20% --offset 0.25 --save_profile {path}"
    first = as_json(capsys, line)
    assert load(str(path)).warmup == 20
    again = as_json(capsys, f"--method lrtool --profile {path}")
    assert again["statistics"] == first["statistics"]
    changed = as_json(capsys, f"--method lrtool --profile {path} --rank 8")
    assert (changed["configuration"]["rank"], changed["configuration"]["steps"]) == ("8", "800")


def test_the_lr_goes_into_a_grid(capsys, tmp_path):
    grid = tmp_path / "grid.toml"
    grid.write_text('ffn_lr = "0.5x"  # half\n', encoding="utf-8")
    data = as_json(capsys, f"--known lr=2e-4 --into {grid}")
    settings = read_settings({"grid": str(grid)}, Problems())
    assert settings.default_lr.value == pytest.approx(data["lr"]["typical"]) == 2e-4
    assert settings.component_lr["ffn"].value == pytest.approx(1e-4)
    assert data["into"]["changes"] == ["ffn_lr = 0.0001", "default_lr = 0.0002"]
    code, out, _ = run(capsys, f"--method lrtool --model sdxl --into {tmp_path / 'new.toml'}")
    assert code == 0
    assert "new.toml: written" in out
    assert "an LR of 0 trains nothing" in told(capsys, f"--method lrtool --model sdxl --offset -1 --into {grid}")


def test_from_probe_with_another_optimizer_and_loraplus(capsys):
    plain = as_json(capsys, "--from-probe 2e-4")["lr"]
    assert (plain["low"], plain["high"]) == (pytest.approx(4.4e-4), pytest.approx(5.4e-4))
    lion = as_json(capsys, "--from_probe 2e-4 --optimizer Lion --loraplus_lr_ratio 16")["lr"]
    assert lion["typical"] == pytest.approx(plain["typical"] / 5 / 2)
    _, out, _ = run(capsys, "--from-probe 2e-4")
    assert "On large models it is untested" in " ".join(out.split())
    assert "no probe is needed" in told(capsys, "--from-probe 2e-4 --optimizer Prodigy")


def test_the_probe_command_is_a_script_with_its_remarks_as_comments(capsys):
    command = "python train_network.py --network_module networks.lora_grid --network_args ffn_lr=2x --output_dir 'a b'"
    code, out, _ = run(capsys, f"--probe-command {shlex.quote(command)}")
    assert code == 0
    lines = [line for line in out.splitlines() if not line.startswith("#")]
    words = shlex.split("\n".join(lines).replace("\\\n", " "))
    assert words[:2] == ["python", "train_network.py"]
    assert "# left out: network_args ffn_lr=2x" in out
    assert "# then: lr-grid recommend --from-probe 'a b/last_probe-state'" in out
    assert as_json(capsys, f"--probe-command {shlex.quote(command)} --probe_d0 1e-5")["argv"][0] == "python"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("", "--model: which model?"),
        ("--method lrtool", "--model: which model?"),
        ("--model flix", "Did you mean flux?"),
        ("--model flux --optimizer adanw", "Did you mean AdamW?"),
        ("--method lrtool --model SDXM", "Did you mean SDXL?"),
        ("--method lrtool --model wan", "LRTool has no constants for wan"),
        ("--method lrtool --model sdxl --optimizer lionn", "Did you mean Lion?"),
        ("--method lrtool --model sdxl --optimizer Prodigy", "LRTool has no 'Prodigy'"),
        ("--method lrtool --model sdxl --scheduler cosin", "Did you mean Cosine?"),
        ("--method lrtool --model sdxl --objective stile", "Did you mean Style?"),
        ("--method lrtool --model sdxl --warmup 0.1", "'0.1' is no warmup"),
        ("--method lrtool --model sdxl --offset 2", "offset: 2 is outside"),
        ("--method lrtool --model sdxl --steps nan", "steps: nan is not a finite number"),
        ("--method lrtool --from-probe x", "--from-probe and --method lrtool: give one of them"),
        ("--method rules --probe-command x.toml", "give one of them"),
        ("--model flux --images 3", "--images does nothing with --method rules: it belongs to --method lrtool"),
        ("--method lrtool --model sdxl --rs_lora", "--rs_lora does nothing with --method lrtool"),
        ("--from-probe 1e-4 --rank 8", "the probe was taken with the run's own model, rank, alpha and batch"),
        ("--probe-command x.toml --into g.toml", "--into does nothing with --probe-command"),
        ("--model flux --probe_d0 1e-5", "--probe_d0 does nothing with --method rules"),
        ("--model flux --base_lr 0", "--base_lr must be a number above 0, not 0"),
        ("--known lr=1e-4 rnak=8", "Did you mean rank?"),
        ("--known rank=8 --rank 8", "--known needs lr=..."),
        ("--known lr=fast", "--known lr=fast: is no number above 0"),
        ("--known lr=1e-4 lr=2e-4", "--known gives lr twice"),
        ("--probe-command none.toml", "none.toml"),
        ("--model flux --method magic", "invalid choice"),
        ("--model ''", "--model is empty"),
        ("--model flux --into ''", "--into is empty"),
        ("--model flux --optimizer ' '", "--optimizer is empty"),
        ("--from-probe ''", "--from-probe is empty"),
        ("--probe-command ''", "--probe-command is empty"),
        ("--probe-command", "--probe-command is empty"),
        ("--method lrtool --model sdxl --profile ''", "--profile is empty"),
        ("--method lrtool --model sdxl --save_profile ''", "--save_profile is empty"),
        ("--method lrtool --model sdxl --scheduler '' --warmup ''", "--warmup is empty"),
        ("--known lr=1e-4 optimizer=", "--known optimizer= is empty"),
        ("--known lr=", "--known lr= is empty"),
        ("--known lr=1e-4 optimizer=foo", "--known optimizer: 'foo' is unknown"),
        ("--known lr=1e-4 optimizer=adanw", "--known optimizer: 'adanw' is unknown"),
        ("--known lr=1e-4 alpha=4", "--known alpha=4 needs rank=... beside it"),
        ("--known lr=1e999", "--known lr must be from 1e-12 to 1000, not inf"),
        ("--model flux --rank 1e308 --alpha 1e-308", "--rank must be from 1e-06 to 1e+06"),
        (
            f"--model flux --batch_size {'9' * 200}",
            "--batch_size must be from 1 to 1e+09, not 99999999... (200 digits)",
        ),
        (f"--model flux --batch_size {'9' * 400}", "--batch_size must be from 1 to 1e+09"),
        (f"--model flux --batch_size -{'9' * 400}", "--batch_size must be a number above 0"),
        (f"--method lrtool --model sdxl --batch_size {'9' * 400}", "batch: 99999999... (400 digits) is outside"),
        ("--method lrtool --model sdxl --rank 1e308", "rank: 1e+308 is outside"),
        ("--model flux --base_lr 1e-320", "--base_lr must be from 1e-12 to 1000"),
        ("--from-probe 1e-320", "--from-probe: d is a number from 1e-12 to below 1, not 1e-320"),
        ("--probe-command 'my config.toml'", "my config.toml: no such file"),
        ("flux", "'flux' belongs to no option"),
        ("--model flux rank 16", "'rank' belongs to no option"),
    ],
)
def test_wrong_input_is_told_with_exit_code_2(capsys, line, expected):
    assert expected in told(capsys, line)


def test_all_wrong_options_are_told_at_once(capsys):
    err = told(capsys, "--method lrtool --model sdxm --optimizer lionn --scheduler cosin --objective stile --warmup x")
    assert all(f"--{name}" in err for name in ("model", "optimizer", "scheduler", "objective", "warmup"))


def test_every_option_belongs_to_a_way_that_uses_it():
    from argparse import ArgumentParser

    from lr_grid.cli.recommend import add_parser

    parser = ArgumentParser()
    commands = parser.add_subparsers()
    add_parser(commands)
    given = vars(parser.parse_args(["recommend"]))
    assert set(given) - {"run", "json", "method", "from_probe", "probe_command", "words"} == {
        n for names in TAKES.values() for n in names
    }


def test_known_reads_every_field():
    known = parse_known(["lr=1e-4", "rank=16", "alpha=8", "batch=2", "optimizer=Lion"])
    assert (known.lr, known.rank, known.alpha, known.batch, known.optimizer) == (1e-4, 16, 8, 2, "Lion")


@pytest.mark.parametrize(
    ("line", "where", "times"),
    [
        ("--known lr=1e-4 --base_lr 5e-5", "below", 2),
        ("--known lr=1e-4 --base_lr 1e-4", "in", 1),
        ("--known lr=1e-4 --base_lr 3e-4", "above", 3),
        ("--from-probe 1e-4 --base_lr 5.4e-4", "above", 2),
    ],
)
def test_where_the_lr_in_use_stands_is_in_json_too(capsys, line, where, times):
    data = as_json(capsys, line)
    assert (data["base_lr"]["where"], data["base_lr"]["times"]) == (where, pytest.approx(times))
    assert as_json(capsys, line.partition(" --base_lr")[0])["base_lr"] is None


def test_a_missing_alpha_is_the_trainers_1_with_known_and_without(capsys):
    data = as_json(capsys, "--known lr=1e-4 rank=16 alpha=1 --rank 32")
    assert data["lr"]["typical"] == pytest.approx(1e-4)
    assert (data["disagreements"], len(data["assumed"])) == ([], 1)
    _, out, _ = run(capsys, "--known lr=1e-4 rank=16 alpha=1 --rank 32")
    assert "alpha 1, the trainers' default" in out
    _, out, _ = run(capsys, "--model flux --rank 32")
    assert "alpha 1, the trainers' default" in out


def test_what_lrtool_raises_to_its_smallest_is_said_beside_it(capsys):
    line = "--method lrtool --model sdxl --rank 0 --images -3 --batch_size 0 --steps 1.5 --alpha -4"
    code, out, _ = run(capsys, line)
    assert code == 0
    for expected in ("0 (read as 1)", "-3 (read as 1)", "-4 (read as 1e-06)", "its schedule runs over 1, its exposure"):
        assert expected in out
    assert all(isinstance(one["rules"], float) for one in as_json(capsys, line)["disagreements"])


def test_nothing_is_written_where_a_part_cannot_be(capsys, tmp_path):
    grid, profile = tmp_path / "g.toml", tmp_path / "q.json"
    line = "--method lrtool --model sdxl"
    assert "no folder" in told(capsys, f"{line} --save_profile {profile} --into {tmp_path / 'none/g.toml'}")
    assert "no folder" in told(capsys, f"{line} --save_profile {tmp_path / 'none/q.json'} --into {grid}")
    assert "name one file" in told(capsys, f"{line} --save_profile {grid} --into {grid}")
    assert list(tmp_path.iterdir()) == []
    assert run(capsys, f"{line} --save_profile {profile} --into {grid}")[0] == 0
    assert sorted(tmp_path.iterdir()) == [grid, profile]


def test_absolute_lrs_that_stay_are_told(capsys, tmp_path):
    grid = tmp_path / "grid.toml"
    text = 'ffn_lr = "0.5x"\nnorm_lr = 3e-5\nmod_lr = 0\n'
    grid.write_text(text, encoding="utf-8")
    _, out, _ = run(capsys, f"--known lr=2e-4 --into {grid}")
    assert "stay as they were:\n  norm_lr = 3e-5\n" in out
    grid.write_text(text, encoding="utf-8")
    assert as_json(capsys, f"--known lr=2e-4 --into {grid}")["into"]["kept"] == ["norm_lr = 3e-5"]
    assert as_json(capsys, f"--known lr=4e-4 --into {grid}")["into"]["kept"] == []  # now they follow default_lr


PROBED = (
    "accelerate launch train_network.py --network_module networks.lora_grid --network_args ffn_lr=2x --unet_lr 1e-4"
)


@pytest.mark.parametrize("before", ["", "--probe_d0 1e-4 ", "--json "])
def test_the_words_of_a_probed_command_may_stand_behind_two_dashes(capsys, before):
    quoted = run(capsys, f"{before}--probe-command '{PROBED}'")
    assert quoted[0] == 0
    assert run(capsys, f"{before}--probe-command -- {PROBED}") == quoted


def test_a_probed_command_may_come_from_standard_input(capsys, monkeypatch):
    import io

    monkeypatch.setattr(sys, "stdin", io.StringIO(PROBED + "\n"))
    assert run(capsys, "--probe-command -") == run(capsys, f"--probe-command '{PROBED}'")
