"""``lr-grid show``: the run's own plan, from options, a grid file, a training config or a whole command line."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest

from lr_grid.cli.main import main
from lr_grid.models import find_model, model_names
from lr_grid.preview import preview
from lr_grid.report.text import render

GRID = ["self_attn_lr=1x", "cross_attn_lr=2x", "ffn_lr=0.5x", "depth_strategy=linear", "loraplus_lr_ratio=4"]
COMMAND = (
    "accelerate launch --num_cpu_threads_per_process 1 flux_train_network.py --learning_rate 2e-4 --unet_lr 5e-5"
    " --network_module networks.lora_flux_grid --network_dim 16 --network_alpha 8 --network_train_unet_only"
    " --network_args self_attn_lr=2x depth_strategy=cosine"
)


def shown(capsys, *argv: str) -> dict:
    assert main(["show", *argv, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_it_prints_what_the_run_prints(capsys):
    assert main(["show", "--model", "flux", "--network_args", *GRID]) == 0
    out = capsys.readouterr().out
    made = preview(find_model("flux"), dict(a.split("=") for a in GRID))
    run = render(made.plan, len(made.groups), sum(len(group["params"]) for group in made.groups))
    for line in run.replace("[lr_grid] ", "").splitlines():
        assert line.split() in [own.split() for own in out.splitlines()], line


def test_json_is_the_plan_of_the_run(capsys):
    data = shown(
        capsys, "--model", "wan", "--network_args", "ffn_lr=0.5x", "--learning_rate", "1e-3", "--network_dim", "8"
    )
    assert data["base_lr"] == 1e-3
    assert {(row["component"], row["lr_down"], row["rank"]) for row in data["modules"]} == {
        ("self_attn", 1e-3, 8), ("cross_attn", 1e-3, 8), ("ffn", 5e-4, 8)}  # fmt: skip


def test_no_torch_is_imported():
    code = (
        "import sys\nfrom lr_grid.cli.main import main\n"
        "code = main(['show', '--model', 'flux', '--network_args', 'depth_strategy=linear', 'rank_budget=20M'])\n"
        "assert code == 0 and not {'torch', 'numpy', 'matplotlib'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


@pytest.mark.parametrize("form", ["words", "text", "script", "toml"])
def test_a_training_run_is_read_in_every_form(capsys, tmp_path, form):
    (tmp_path / "train.sh").write_text(
        "#!/bin/bash\n" + COMMAND.replace(" --network_module", " \\\n  --network_module")
    )
    (tmp_path / "flux.toml").write_text(
        'clip_l = "/x"\n[network]\nnetwork_module = "networks.lora_flux_grid"\nnetwork_dim = 16\nnetwork_alpha = 8\n'
        'learning_rate = 2e-4\nunet_lr = 5e-5\nnetwork_args = ["self_attn_lr=2x", "depth_strategy=cosine"]\n'
        "network_train_unet_only = true\n"
    )
    source = {
        "words": ["--", *COMMAND.split()],
        "text": [COMMAND],
        "script": [str(tmp_path / "train.sh")],
        "toml": [str(tmp_path / "flux.toml"), "--model", "flux"],
    }[form]
    options = ["--json"] if form == "words" else []
    assert main(["show", *options, *source] if options else ["show", *source, "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert (data["model"], data["base_lr"]) == ("flux", 5e-5)
    first = next(row for row in data["modules"] if row["name"] == "lora_unet_double_blocks_0_img_attn_qkv")
    assert (first["lr_down"], first["rank"], first["alpha"]) == (pytest.approx(1e-4), 16, 8)


def test_options_win_over_the_config(capsys):
    data = shown(capsys, COMMAND, "--unet_lr", "1e-3", "--network_args", "self_attn_lr=3x")
    first = next(row for row in data["modules"] if row["name"] == "lora_unet_double_blocks_0_img_attn_qkv")
    assert first["lr_down"] == pytest.approx(3e-3)
    assert data["arguments"]["depth_strategy"] == "cosine"


def test_a_grid_file_and_text_encoders(capsys, tmp_path):
    (tmp_path / "grid.toml").write_text('ffn_lr = "0.5x"\nte_self_attn_lr = "2x"\n')
    data = shown(capsys, "--model", "sdxl", "--grid", str(tmp_path / "grid.toml"), "--text_encoder_lr", "1e-5", "2e-5")
    lrs = {(row["part"], row["component"]): row["lr_down"] for row in data["modules"]}
    assert lrs["te1", "self_attn"], lrs["te2", "self_attn"] == pytest.approx((2e-5, 4e-5))
    assert lrs["unet", "ffn"] == pytest.approx(5e-5)


def test_diff_shows_ratios_and_what_trains_in_one_only(capsys, tmp_path):
    (tmp_path / "a.toml").write_text('self_attn_lr = "1x"\nmod_lr = 0\n')
    (tmp_path / "b.toml").write_text('self_attn_lr = "2x"\nffn_lr = 0\nloraplus_lr_ratio = 4\n')
    argv = ["--model", "flux", "--grid", str(tmp_path / "a.toml"), "--diff", str(tmp_path / "b.toml")]
    cells = {(c["stack"], c["block"], c["component"]): c for c in shown(capsys, *argv)["diff"]["cells"]}
    attention = cells["double", 3, "self_attn"]
    assert (attention["ratio_down"], attention["ratio_up"]) == ([2.0], [8.0])
    assert (cells["double", 3, "ffn"]["gone"], cells["double", 3, "mod"]["new"]) == (2, 2)
    assert main(["show", *argv]) == 0
    out = capsys.readouterr().out
    assert re.search(r"0-18\s+x2/x8\s+x1/x4\s+gone x2\s+new x2", out)


@pytest.mark.parametrize("first", [["te_ffn_lr=0.5x"], ["ffn_lr=2x"]])
def test_diff_of_text_encoders_tells_what_became_of_them(capsys, tmp_path, first):
    (tmp_path / "b.toml").write_text('te_self_attn_lr = "2x"\n')
    argv = ["--model", "sdxl", "--text_encoders", "--network_args", *first, "--diff", str(tmp_path / "b.toml")]
    cells = {(c["part"], c["block"], c["component"]): c for c in shown(capsys, *argv)["diff"]["cells"]}
    assert not any(cell["gone"] or cell["new"] for cell in cells.values())
    assert cells["te1", 3, "self_attn"]["ratio_down"] == [2.0]
    assert (("te2", 3, "ffn") in cells) == (first[0].startswith("te_"))


def test_diff_of_other_encoder_lrs_is_seen(capsys, tmp_path):
    text = (
        'network_module = "networks.lora_grid"\nnetwork_args = ["ffn_lr=2x"]\ntext_encoder_lr = [{}]\nunet_lr = 1e-4\n'
    )
    for name, lr in (("a", "1e-5"), ("b", "5e-5")):
        (tmp_path / f"{name}.toml").write_text(text.format(lr))
    argv = [str(tmp_path / "a.toml"), "--model", "sd15", "--diff", str(tmp_path / "b.toml")]
    assert [(c["part"], c["ratio_down"]) for c in shown(capsys, *argv)["diff"]["cells"]] == [("te1", [5.0])]
    assert main(["show", *argv]) == 0
    assert "te1 (text encoder)  x5" in capsys.readouterr().out


def test_two_training_configs_are_compared(capsys, tmp_path):
    text = 'network_module = "networks.lora_grid"\nnetwork_args = ["ffn_lr={}x"]\nunet_lr = 1e-4\n'
    for name, factor in (("a", 1), ("b", 3)):
        (tmp_path / f"{name}.toml").write_text(text.format(factor))
    data = shown(capsys, str(tmp_path / "a.toml"), "--model", "sd15", "--diff", str(tmp_path / "b.toml"))
    assert {(c["component"], *c["ratio_down"]) for c in data["diff"]["cells"]} == {("ffn", 3.0)}


@pytest.mark.parametrize("view", ["lr", "loraplus", "rank"])
def test_plot_draws_every_view(capsys, tmp_path, view):
    pytest.importorskip("matplotlib")
    path = tmp_path / "grid.svg"
    assert main(["show", "--model", "z-image", "--network_args", *GRID[3:], "--plot", str(path), "--view", view]) == 0
    assert path.read_text().lstrip().startswith("<?xml")
    assert f"drawn: {path}" in capsys.readouterr().out


def test_plot_draws_the_difference(tmp_path):
    pytest.importorskip("matplotlib")
    (tmp_path / "b.toml").write_text('ffn_lr = "2x"\n')
    argv = ["--model", "wan", "--diff", str(tmp_path / "b.toml"), "--plot", str(tmp_path / "d.png")]
    assert main(["show", *argv]) == 0
    assert (tmp_path / "d.png").stat().st_size < 200_000


def test_list_names_every_model(capsys):
    assert main(["show", "--list"]) == 0
    words = capsys.readouterr().out.split()
    assert set(model_names()) <= set(words)
    assert main(["show", "--list", "--json"]) == 0
    assert [entry["name"] for entry in json.loads(capsys.readouterr().out)] == list(model_names())


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        ([], "say which model"),
        (["--model", "flx"], "Did you mean flux?"),
        (["--model", "flux", "--network_args", "slef_attn_lr=1x"], "Did you mean self_attn_lr?"),
        (["--model", "flux", "--network_args", "ffn_lr"], "--network_args takes key=value, not 'ffn_lr'"),
        (["--model", "flux", "--network_args", "ffn_lr=1x", "ffn_lr=2x"], "--network_args gives ffn_lr twice"),
        (["--model", "flux", "--grid", "missing.toml"], "missing.toml: no such file"),
        (["--model", "flux", "--plot", "grid.gif"], "grid.gif"),
        (["--model", "flux", "--plot", "no/such/folder/grid.png"], "--plot no/such/folder/grid.png"),
        (["missing.toml"], "missing.toml"),
        (["--model", "flux", "--network_module", "networks.lora_wan_grid"], "is no module that adapts FLUX.1 dev"),
        (["--model", "sdxl", "--network_args", "default_lr=0"], "every LR is 0"),
        (["--model", "flux", "--network_module", "networks.lora_flux", "--network_args", "ffn_lr=1x"],
         "networks.lora_flux ignores it: it needs --network_module networks.lora_flux_grid"),
        (["--model", "wan", "--network_module", "networks.lora_wan_grid"], "it is lr_grid.musubi.lora_wan_grid"),
        (["--model", "flux", "--network_module", "lr_grid.network"], "needs to know the module to wrap"),
        (["--model", "flux", "--network_args", "img_attn_dim=abc"], "networks.lora_flux refuses its arguments"),
        (["--model", "flux", "--network_args", "in_dims=[4,4]"], "there must be 5 numbers"),
        (["--model", "flux", "--network_args", "train_blocks=foo"], "there are all, double, single"),
        (["--model", "sdxl", "--network_args", "conv_dim=4", "conv_alpha=abc"], "refuses its arguments"),
        (["--model", "anima", "--network_args", "exclude_patterns=['(']"], "does not compile"),
        (["--model", "sdxl", "--network_module", "networks.dylora_grid", "--network_args", "unit=3"], "multiple"),
        (["--model", "sdxl", "--network_module", "networks.oft_grid", "--network_dim", "7"], "7 blocks do not divide"),
        (["--model", "wan", "--network_module", "lr_grid.musubi.lokr_grid", "--network_args", "factor=x"], "factor=x"),
        (["--model", "diffusers/flux-dev", "--preset", "small_file"], "ranks are the adapter's own"),
        (["--model", "flux", "--learning_rate", "nan"], "--learning_rate nan"),
        (["--model", "flux", "--network_alpha", "-1"], "--network_alpha -1"),
        (["--model", "flux", "--network_args", "ffn_lr=1e200x", "--learning_rate", "1e200"], "is no number (inf"),
        (["--model", "flux", "--learning_rate", "1e308", "--plot", "x.png"], "could not be drawn"),
        (["--model", "flux", "--view", "rank"], "--view says what --plot draws"),
        (["--list", "--model", "flux"], "--list stands alone"),
        (["--model", "flux", "--network_args", "ffn_lr=1x", "--network_args", "mod_lr=1x"], "is given twice"),
        (["--model", "flux", "--preset", "style", "--network_args", "preset=flat"], "--preset and preset="),
        (["--model", "wan", "--text_encoders"], "get no LoRA"),
        (["--model", "flux", "--diff", "nosuch"], "neither a grid file (.toml, .json), a training config nor a preset"),
        (["--", "python", "sdxl_train.py", "--learning_rate", "1e-5"], "sdxl_train.py is no LoRA training"),
        ([f"{COMMAND} --optimizer_type Prodigy"], "knows one LR for all groups"),
        *[(["--model", "flux", f"--{name}", ""], f"--{name} is empty") for name in ("plot", "diff", "grid", "preset")],
    ],
)  # fmt: skip
def test_wrong_input_is_told_with_its_cure(capsys, argv, told):
    assert main(["show", *argv]) == 2
    assert told in capsys.readouterr().err


def test_a_grid_file_is_told_from_a_training_config(capsys, tmp_path):
    (tmp_path / "grid.toml").write_text('ffn_lr = "0.5x"\n')
    assert main(["show", str(tmp_path / "grid.toml")]) == 2
    assert f"is it a grid? --grid {tmp_path / 'grid.toml'}" in capsys.readouterr().err


def test_what_is_wrong_with_the_second_grid_is_told_of_it(capsys, tmp_path):
    (tmp_path / "b.toml").write_text('norm_lr = "2x"\n')
    assert main(["show", "--model", "flux", "--diff", str(tmp_path / "b.toml")]) == 2
    assert f"--diff {tmp_path / 'b.toml'}: norm_lr: this network has no norm module" in capsys.readouterr().err


def test_without_a_module_the_grids_is_named(capsys):
    assert main(["show", "--model", "wan"]) == 0
    assert "lr_grid.musubi.lora_wan_grid" in capsys.readouterr().out.splitlines()[0]


def test_a_reader_that_leaves_early_is_no_error():
    command = f"{sys.executable} -m lr_grid show --model sdxl --json | head -c 10; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert (done.stdout[-2:], done.stderr) == ("0\n", "")


def test_what_an_optimizer_does_with_the_lrs_is_shown_as_the_run_tells_it(tmp_path, capsys):
    config = tmp_path / "train.toml"
    config.write_text(
        'pretrained_model_name_or_path = "flux1-dev.safetensors"\nnetwork_module = "networks.lora_flux_grid"\n'
        'network_args = ["ffn_lr=0.5x"]\nlearning_rate = 1.0\n'
        'optimizer_type = "prodigyplus.ProdigyPlusScheduleFree"\n'
    )
    assert main(["show", str(config), "--model", "flux"]) == 0
    assert "the grid's LRs are factors of it" in " ".join(capsys.readouterr().out.split())
