"""The base LR from a Prodigy run: a real Prodigy's state, a TensorBoard log, and the command that makes them."""

from __future__ import annotations

import math
import shlex

import pytest
import torch

from lr_grid.convert.quoting import split_powershell
from lr_grid.errors import GridError
from lr_grid.recommend.probe import check_growth
from lr_grid.recommend.probe_command import probe_command
from lr_grid.recommend.probe_log import from_scalars
from lr_grid.recommend.probe_read import read_probe
from lr_grid.recommend.probe_script import command
from lr_grid.recommend.probe_script import script as whole_script
from lr_grid.recommend.training_probe import probe_of
from lr_grid.training.shells import BASH, CMD, POWERSHELL

prodigyopt = pytest.importorskip("prodigyopt")
ASKED = {"d0": 1e-4, "use_bias_correction": True, "safeguard_warmup": True}


def train(steps=50, groups=1, **settings):
    """A real Prodigy on a least-squares problem whose solution is far off: its d rises above d0."""
    torch.manual_seed(0)
    data, wanted = torch.randn(64, 8), torch.randn(8, 4)
    weights = [torch.zeros(8, 4, requires_grad=True) for _ in range(groups)]
    optimizer = prodigyopt.Prodigy([{"params": [weight]} for weight in weights], lr=1.0, **{**ASKED, **settings})
    distances = []
    for _ in range(steps):
        loss = ((data @ (sum(weights) - wanted)) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        distances.append(optimizer.param_groups[0]["d"])
    return optimizer, distances


def save(optimizer, folder):
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(optimizer.state_dict(), folder / "optimizer.bin")
    return folder


def test_d_is_read_from_a_real_state_by_folder_by_file_and_from_above(tmp_path):
    optimizer, distances = train(groups=2)
    folder = save(optimizer, tmp_path / "out/name_probe-state")
    for path in (folder, folder / "optimizer.bin", tmp_path / "out"):
        probe = read_probe(str(path))
        assert probe.d == pytest.approx(distances[-1])
        assert probe.d > 2e-4
        assert (probe.steps, probe.d0) == (50, 1e-4)


def test_the_lr_is_2_2_to_2_7_times_d(tmp_path):
    optimizer, distances = train()
    lr = read_probe(str(save(optimizer, tmp_path))).lr()
    d = distances[-1]
    assert (lr.low, lr.high) == (pytest.approx(2.2 * d), pytest.approx(2.7 * d))
    assert lr.typical == pytest.approx(math.sqrt(2.2 * 2.7) * d)


def test_a_probe_under_other_settings_or_of_another_length_says_so(tmp_path):
    optimizer, _ = train(steps=200, use_bias_correction=False, d_coef=2.0)
    notes = " ".join(read_probe(str(save(optimizer, tmp_path))).notes)
    assert "use_bias_correction=0; the factor was measured with 1" in notes
    assert "d_coef=2; the factor was measured with 1" in notes
    assert "d was read at step 200" in notes


def test_a_probe_as_it_was_measured_needs_no_remark():
    assert check_growth(1e-3, 1e-4) == []
    assert "too high" in check_growth(2e-4, 1e-4)[0]
    assert "--probe_d0 9e-06" in check_growth(9e-5, 1e-6)[0]


def test_a_d_that_never_moved_is_no_result(tmp_path):
    optimizer, _ = train(steps=1, d0=1e-3)
    optimizer.param_groups[0]["d"] = 1e-3
    with pytest.raises(GridError, match=r"d is still d0 = 0.001.*--probe_d0 0.0001"):
        read_probe(str(save(optimizer, tmp_path)))


def test_the_state_of_another_optimizer_is_told(tmp_path):
    optimizer = torch.optim.AdamW([torch.zeros(2, requires_grad=True)])
    with pytest.raises(GridError, match="was not written by Prodigy"):
        read_probe(str(save(optimizer, tmp_path)))


class Unsafe:
    """Something that a state does not hold."""


def test_a_state_that_holds_more_than_data_is_not_loaded(tmp_path):
    torch.save({"param_groups": [{"d": Unsafe()}]}, tmp_path / "optimizer.bin")
    with pytest.raises(GridError, match="holds more than the plain data") as error:
        read_probe(str(tmp_path))
    assert "weights_only" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("optimizer.bin", "nothing", "is no saved state: expected a --save_state folder"),
        ("log.txt", "e", "is no saved state: expected a --save_state folder"),
        ("flux.toml", "network_dim = 4", "is a config, not what its run left behind"),
        ("train.ps1", "accelerate launch x.py", "is a config, not what its run left behind"),
    ],
)
def test_a_file_that_is_no_state_says_what_was_expected(tmp_path, name, text, told):
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(GridError) as error:
        read_probe(str(tmp_path / name))
    assert told in str(error.value)
    assert "weights_only" not in str(error.value)


RIGHT = {"d": 1e-3, "d0": 1e-4, "k": 50}


@pytest.mark.parametrize(
    ("groups", "told"),
    [
        ([{**RIGHT, "d": "large"}], "d of parameter group 0 is 'large', not a number above 0"),
        ([RIGHT, {**RIGHT, "d0": 0}], "d0 of parameter group 1 is 0, not a number above 0"),
        ([{**RIGHT, "d": math.nan}], "d of parameter group 0 is nan, not a number above 0"),
        ([{**RIGHT, "d": math.inf}], "d of parameter group 0 is inf"),
        ([{**RIGHT, "d": True}], "d of parameter group 0 is True"),
        ([{**RIGHT, "k": "fifty"}], "k of parameter group 0 is 'fifty', not a number of steps"),
        ([{**RIGHT, "k": math.nan}], "k of parameter group 0 is nan"),
        ([{**RIGHT, "k": -1}], "k of parameter group 0 is -1"),
        ([RIGHT, 3], "parameter group 1 is int, not a table"),
        (3, "holds no optimizer state"),
    ],
)
def test_a_state_that_prodigy_does_not_write_is_told(tmp_path, groups, told):
    torch.save({"param_groups": groups}, tmp_path / "optimizer.bin")
    with pytest.raises(GridError) as error:
        read_probe(str(tmp_path))
    assert told in str(error.value)


def test_settings_of_a_strange_type_are_shown(tmp_path):
    torch.save({"param_groups": [{**RIGHT, "d_coef": "two"}]}, tmp_path / "optimizer.bin")
    assert any("d_coef='two'" in note for note in read_probe(str(tmp_path)).notes)


def test_several_states_are_listed(tmp_path):
    optimizer, _ = train()
    save(optimizer, tmp_path / "a-state")
    save(optimizer, tmp_path / "b-state")
    with pytest.raises(GridError, match=r"holds 2 saved states: name one of .*a-state, .*b-state"):
        read_probe(str(tmp_path))


def test_d_itself_is_taken_with_a_remark():
    probe = read_probe("1.5e-4")
    assert probe.d == 1.5e-4
    assert "nothing of its run was checked" in probe.notes[0]


@pytest.mark.parametrize("path", ["0", "-1e-4", "3", "nan", "1e-320", "1e999"])
def test_a_number_that_is_no_d_is_refused(path):
    with pytest.raises(GridError, match="d is a number from 1e-12 to below 1"):
        read_probe(path)


def test_a_path_with_nothing_to_read_is_told(tmp_path):
    with pytest.raises(GridError, match="holds neither a saved state"):
        read_probe(str(tmp_path))
    with pytest.raises(GridError, match="no such file or folder"):
        read_probe(str(tmp_path / "none"))


def write_log(folder, scalars):
    """An event file as accelerate's tracker writes it."""
    pytest.importorskip("tensorboard")
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(folder)) as writer:
        for tag, series in scalars.items():
            for step, value in series.items():
                writer.add_scalar(tag, value, step)


def by_step(values):
    return dict(enumerate(values, 1))


def test_d_is_read_from_a_log_as_sd_scripts_writes_it(tmp_path):
    _, distances = train(steps=60)
    ones = by_step([1.0] * 60)
    scalars = {"lr/unet": ones, "lr/d*lr/unet": by_step(distances), "lr/group0": ones}
    write_log(tmp_path / "2026/network_train", scalars)
    write_log(tmp_path / "2026/other", {"loss/current": ones})
    probe = read_probe(str(tmp_path))
    assert probe.d == pytest.approx(distances[49], rel=1e-6)
    assert probe.steps == 50
    assert any("taken" in note or "trusted" in note for note in probe.notes)


def test_a_log_of_another_optimizer_and_two_logs_are_told(tmp_path):
    write_log(tmp_path / "a", {"lr/unet": by_step([1e-4])})
    with pytest.raises(GridError, match=r"holds no lr/d\*lr"):
        read_probe(str(tmp_path))
    for name in ("b", "c"):
        write_log(tmp_path / name, {"lr/d*lr/unet": by_step([1e-4, 1e-3])})
    with pytest.raises(GridError, match="the logs of 2 Prodigy runs"):
        read_probe(str(tmp_path))


def test_a_logs_product_is_divided_by_the_logged_lr():
    scalars = {"lr/unet": by_step([0.5] * 50), "lr/d*lr/unet": by_step([5e-5] + [5e-4] * 49)}
    assert from_scalars("log", scalars).d == pytest.approx(1e-3)


def test_a_log_whose_d_never_moved_is_no_result():
    with pytest.raises(GridError, match=r"d is still d0 = 0\.0001"):
        from_scalars("log", {"lr/d*lr": by_step([1e-4] * 50)})


@pytest.mark.parametrize("value", [math.nan, math.inf, 0.0, -1e-4])
def test_a_log_whose_d_is_no_number_names_the_step(value):
    with pytest.raises(GridError, match=r"log \(lr/d\*lr\): d at step 2 is"):
        from_scalars("log", {"lr/d*lr": by_step([1e-4, value, 1e-3])})


def test_a_log_of_groups_with_a_d_of_their_own_says_so():
    scalars = {"lr/d*lr/a": by_step([1e-4, 1e-3]), "lr/d*lr/b": by_step([1e-4, 5e-4])}
    probe = from_scalars("log", scalars)
    assert probe.d == 1e-3
    assert any("0.0005 to 0.001" in note for note in probe.notes)


def test_a_log_without_tensorboard_says_what_to_install(tmp_path, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "tensorboard.backend.event_processing.event_accumulator", None)
    (tmp_path / "events.out.tfevents.1").write_bytes(b"")
    with pytest.raises(GridError, match="pip install tensorboard"):
        read_probe(str(tmp_path))


FLUX = {
    "network_module": "networks.lora_flux_grid",
    "output_dir": "out",
    "output_name": "my flux",
    "learning_rate": 1e-4,
    "unet_lr": 2e-4,
    "text_encoder_lr": [1e-5, 0.0],
    "optimizer_type": "AdamW8bit",
    "optimizer_args": ["weight_decay=0.1"],
    "lr_scheduler": "cosine",
    "lr_warmup_steps": 0.1,
    "max_train_epochs": 10,
    "resume": "old-state",
    "sdpa": True,
    "cache_latents": False,
    "network_dim": 16,
}


def flags(argv: list[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for word in argv[argv.index(next(one for one in argv if one.endswith(".py"))) + 1 :]:
        if word.startswith("--"):
            assert word not in found, f"{word} twice"
            name = word
            found[name] = []
        else:
            found[name].append(word)
    return found


def test_the_probe_is_the_users_command_flat_and_short():
    network_args = {
        "self_attn_lr": "1.5x",
        "loraplus_lr_ratio": "4",
        "train_double_block_indices": "0-3",
        "dropout": "0.1",
    }
    probe = probe_command("sd-scripts", "flux_train_network.py", ["accelerate", "launch"], FLUX, network_args, 1e-5)
    given = flags(probe.argv)
    assert probe.argv[:3] == ["accelerate", "launch", "flux_train_network.py"]
    assert given["--network_module"] == ["networks.lora_flux"]
    assert given["--network_args"] == ["train_double_block_indices=0-3", "dropout=0.1"]
    assert given["--optimizer_type"] == ["Prodigy"]
    assert given["--optimizer_args"] == ["d0=1e-05", "use_bias_correction=True", "safeguard_warmup=True"]
    assert (given["--learning_rate"], given["--unet_lr"]) == (["1"], ["1"])
    assert (given["--max_train_steps"], given["--lr_scheduler"]) == (["50"], ["constant"])
    assert (given["--output_name"], given["--network_dim"]) == (["my flux_probe"], ["16"])
    assert given["--save_state"] == given["--sdpa"] == given["--network_train_unet_only"] == []
    for gone in ("--resume", "--max_train_epochs", "--lr_warmup_steps", "--cache_latents", "--text_encoder_lr"):
        assert gone not in given
    assert probe.state == "out/my flux_probe-state"
    told = " ".join(probe.left_out)
    for named in (
        "self_attn_lr=1.5x",
        "loraplus_lr_ratio=4",
        "resume old-state",
        "text encoders",
        "max_train_epochs 10",
    ):
        assert named in told


def test_a_probe_of_text_encoders_alone_keeps_them():
    values = {**FLUX, "network_train_text_encoder_only": True}
    given = flags(probe_command("sd-scripts", "train_network.py", [], values, {}).argv)
    assert given["--text_encoder_lr"] == ["1", "0"]
    assert "--network_train_unet_only" not in given


@pytest.mark.parametrize(
    ("module", "network_args", "base", "kept"),
    [
        ("networks.lora_grid", {"conv_dim": "2"}, "networks.lora", {"conv_dim": "2"}),
        ("networks.lora", {"down_lr_weight": "sine"}, "networks.lora", {}),
        (
            "networks.lycoris_grid",
            {"preset": "attn-mlp", "grid_preset": "style"},
            "lycoris.kohya",
            {"preset": "attn-mlp"},
        ),
        ("networks.lora_flux_grid", {"preset": "style", "network_reg_lrs": "a=1"}, "networks.lora_flux", {}),
        ("lr_grid.musubi.lora_wan_grid", {"ffn_lr": "2x"}, "networks.lora_wan", {}),
        ("lr_grid.musubi.lycoris_grid", {}, "lycoris.kohya", {}),
        ("lr_grid.network", {"base": "my.module", "x": "1"}, "my.module", {"x": "1"}),
    ],
)
def test_the_grids_module_gives_way_to_the_one_it_wraps(module, network_args, base, kept):
    given = flags(probe_command("sd-scripts", "train_network.py", [], {"network_module": module}, network_args).argv)
    assert given["--network_module"] == [base]
    assert given.get("--network_args", []) == [f"{key}={value}" for key, value in kept.items()]


def test_musubi_tuner_knows_prodigy_by_its_path_only():
    values = {"network_module": "networks.lora_wan"}
    given = flags(probe_command("musubi-tuner", "wan_train_network.py", [], values, {}).argv)
    assert given["--optimizer_type"] == ["prodigyopt.Prodigy"]
    assert "--network_train_unet_only" not in given


@pytest.mark.parametrize(
    ("script", "values", "d0", "told"),
    [
        (None, {"network_module": "networks.lora"}, 1e-4, "the training script cannot be told"),
        ("sdxl_train.py", {}, 1e-4, "there is no network_module"),
        ("train_network.py", {"network_module": "networks.lora"}, 2, "--probe_d0 must be from 1e-12 to below 1"),
        ("train_network.py", {"network_module": "lr_grid.network"}, 1e-4, "needs base=..."),
    ],
)
def test_what_cannot_be_probed_is_told(script, values, d0, told):
    with pytest.raises(GridError) as error:
        probe_command("sd-scripts", script, [], values, {}, d0)
    assert told in str(error.value)


COMMAND = (
    "accelerate launch --num_processes 1 /opt/sd-scripts/flux_train_network.py --pretrained_model_name_or_path $MODEL "
    "--output_dir 'my out' --network_module networks.lora_flux_grid --network_args self_attn_lr=2x "
    "--unet_lr 1e-4 --sdpa"
)


def of_text(text: str, d0: float = 1e-4):
    return probe_of(text, d0, is_text=True)


def test_a_pasted_command_keeps_its_launch_its_folder_and_its_variables():
    probe, shell = of_text(COMMAND)
    assert probe.argv[:5] == ["accelerate", "launch", "--num_processes", "1", "/opt/sd-scripts/flux_train_network.py"]
    text = command(shell, probe.argv)
    assert '--pretrained_model_name_or_path "$MODEL" \\\n' in text
    assert shlex.split(text.replace("\\\n", " ")) == probe.argv


def test_a_pasted_command_may_be_longer_than_a_file_name():
    long = f"{COMMAND} --logging_dir {'/logs' * 200}"
    assert flags(of_text(long)[0].argv)["--logging_dir"] == ["/logs" * 200]


def test_a_script_file_and_a_config_file_give_the_same_probe(tmp_path):
    script = tmp_path / "run.sh"
    script.write_text(COMMAND.replace(" --network_module", " \\\n  --network_module") + "\n", encoding="utf-8")
    config = tmp_path / "config.toml"
    config.write_text(
        '[a]\npretrained_model_name_or_path = "$MODEL"\noutput_dir = "my out"\nunet_lr = 1e-4\nsdpa = true\n'
        '[b]\nnetwork_module = "networks.lora_flux_grid"\nnetwork_args = ["self_attn_lr=2x"]\n',
        encoding="utf-8",
    )
    wanted = flags(of_text(COMMAND)[0].argv)
    assert flags(probe_of(str(script), 1e-4)[0].argv) == wanted
    assert flags(probe_of(str(config), 1e-4)[0].argv) == wanted


def test_a_config_that_is_wrong_is_told_before_a_probe_is_made_of_it():
    with pytest.raises(GridError, match="unet_lrs"):
        of_text(COMMAND.replace("--unet_lr ", "--unet_lrs "))


KOHYA_SS = """\
clip_skip = 1
dynamo_backend = "no"
epoch = 10
lr_scheduler = "cosine"
lr_scheduler_args = []
max_token_length = 75
mem_eff_save = false
network_alpha = 1
network_args = []
network_dim = 8
network_module = "networks.lora"
noise_offset_type = "Original"
optimizer_args = []
optimizer_type = "AdamW8bit"
output_dir = "out"
persistent_data_loader_workers = 0
highvram = 1
pretrained_model_name_or_path = "stable-diffusion-xl-base-1.0"
text_encoder_lr = []
train_data_dir = "img"
unet_lr = 0.0001
xformers = true
"""


def test_a_config_of_a_gui_is_usable_without_what_the_trainers_parser_would_stop_at(tmp_path):
    config = tmp_path / "config.toml"
    config.write_text(KOHYA_SS, encoding="utf-8")
    probe, _ = probe_of(str(config), 1e-4)
    given = flags(probe.argv)
    assert (given["--network_dim"], given["--xformers"], given["--highvram"]) == (["8"], [], [])
    for gone in ("epoch", "mem_eff_save", "noise_offset_type", "dynamo_backend", "max_token_length"):
        assert f"--{gone}" not in given
        assert any(one.startswith(f"{gone} ") for one in probe.left_out)
    assert "--persistent_data_loader_workers" not in given
    assert "--text_encoder_lr" not in given
    assert not any("[]" in one for one in probe.left_out)
    config.write_text(KOHYA_SS.replace("unet_lr = 0.0001", 'unet_lr = "0.0001"'), encoding="utf-8")
    with pytest.raises(GridError, match="unet_lr: wants a number") as error:
        probe_of(str(config), 1e-4)
    assert len(error.value.problems) == 1


def test_a_grid_file_is_no_training_config(tmp_path):
    grid = tmp_path / "grid.toml"
    grid.write_text('self_attn_lr = "2x"\n[component_lr]\nffn = "0.5x"\n', encoding="utf-8")
    with pytest.raises(GridError, match=r"grid\.toml: is a grid file, not a training config"):
        probe_of(str(grid), 1e-4)


def test_a_missing_file_with_a_space_in_its_name_is_a_missing_file():
    with pytest.raises(GridError, match=r"my config\.toml: no such file"):
        probe_of("my config.toml", 1e-4)


WORDS = [
    "accelerate",
    "launch",
    "x.py",
    "--output_dir",
    "my out",
    "--a",
    'say "hi"',
    "--b",
    "don't, `x`",
    "--c",
    "a&b|c",
]


def test_a_powershell_script_gets_a_probe_for_powershell(tmp_path):
    script = tmp_path / "train.ps1"
    line = COMMAND.replace(" --network_module", " `\n  --network_module")
    script.write_text(line.replace("'my out'", '"C:\\my out"'), encoding="utf-8")
    probe, shell = probe_of(str(script), 1e-4)
    assert shell is POWERSHELL
    text = command(shell, probe.argv)
    assert " `\n  --output_dir 'C:\\my out' `\n" in text
    assert '--pretrained_model_name_or_path "$MODEL"' in text
    assert "\\\n" not in text
    assert split_powershell(command(POWERSHELL, WORDS)) == WORDS
    assert command(POWERSHELL, ["my python.exe", "x.py"]) == "& 'my python.exe' x.py"


def test_a_batch_file_gets_a_probe_on_one_line_with_its_own_comments(tmp_path):
    script = tmp_path / "train.bat"
    script.write_text(COMMAND.replace("'my out'", '"my out"').replace("$MODEL", "%MODEL%"), encoding="utf-8")
    probe, shell = probe_of(str(script), 1e-4)
    assert shell is CMD
    text = whole_script(shell, probe.argv, ["before"], ["after"])
    before, line, after = text.split("\n")
    assert (before, after) == ("rem before", "rem after")
    assert "--pretrained_model_name_or_path %MODEL% " in line
    quoted = (r'"my out"', r'--a "say \"hi\""', '--b "don\'t, `x`"', '--c "a&b|c"')
    assert command(CMD, WORDS).endswith(" ".join(quoted))
    assert command(CMD, ["a b\\"]) == r'"a b\\"'


@pytest.mark.parametrize("shell", [BASH, POWERSHELL, CMD])
def test_a_remark_stays_a_remark_whatever_a_value_holds(shell):
    lines = whole_script(shell, ["x.py"], ["left out: sample_prompts a\nrm -rf b\r\nc"], []).split("\n")
    assert len(lines) == 2
    assert lines[0].endswith("left out: sample_prompts a rm -rf b c")


def test_a_variable_beside_quotes_stays_one_word_of_bash():
    assert command(BASH, ['$A "b" `c`']) == r'"$A \"b\" \`c\`"'
    assert command(BASH, ["$A/b"]) == '"$A/b"'
