"""lr-grid check on what people have: GUIs' files, scripts with arrays, other encodings, other kinds of files."""

from __future__ import annotations

import codecs
from pathlib import Path

import pytest

from lr_grid.check import check_dataset_file, check_grid_file, check_training, is_grid_file
from lr_grid.cli.main import main
from lr_grid.errors import GridError
from lr_grid.training import read_training
from lr_grid.training.config_file import parse_toml
from lr_grid.training.guess import _MUSUBI
from lr_grid.training.read import is_command, require
from lr_grid.training.shells import BASH, CMD, POWERSHELL, split

SAMPLES = Path(__file__).parent.parent / "sample_configs"
NEEDED = {
    "wan_train_network.py": "--task t2v-1.3B",
    "kandinsky5_train_network.py": "--task k5-lite-t2v-5s-sd",
    "flux_2_train_network.py": "--model_version klein-4b",
    "hidream_o1_train_network.py": "--weighting_scheme none",
    "ideogram4_train_network.py": "--weighting_scheme none",
}
SDXL = "sdxl_train_network.py --pretrained_model_name_or_path x --network_module networks.lora --learning_rate 1e-4"


def told(command: str, **options: object) -> list[tuple[str, str]]:
    """(severity, text) of what is found in a command line."""
    found = check_training(read_training(command, is_text=True), **options)  # type: ignore[arg-type]
    return [(finding.severity, finding.text) for finding in found]


def bad(command: str) -> list[str]:
    """The errors and warnings among them."""
    return [text for severity, text in told(command) if severity != "note"]


def of_file(folder: Path, name: str, text: str | bytes) -> list[tuple[str, str]]:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return [(finding.severity, finding.text) for finding in check_training(read_training(path))]


@pytest.mark.parametrize(("module", "script"), [(name, scripts[0]) for name, scripts in _MUSUBI.items()])
def test_plain_modules_of_musubi_tuner_are_right(module: str, script: str) -> None:
    command = (
        f"accelerate launch src/musubi_tuner/{script} --dit x --dataset_config /path/to/d.toml --sdpa --learning_rate"
        f" 1e-4 --network_module networks.{module} --network_dim 8 {NEEDED.get(script, '')}"
    )
    assert bad(command) == []
    assert len(bad(f"{command} --network_args ffn_lr=2x")) == 1


@pytest.mark.parametrize(
    ("command", "wrong"),
    [
        (SDXL.replace("networks.lora", "lycoris.kohya") + " --network_args algo=locon preset=full", 0),
        (SDXL.replace("networks.lora", "networks.lycoris_grid") + " --network_args preset=attn-mlp self_attn_lr=2x", 0),
        (SDXL.replace("networks.lora", "networks.lycoris_grid") + " --network_args grid_preset=attn-mlp", 1),
        (SDXL.replace("networks.lora", "networks.lora_grid") + " --network_args preset=attn-mlp", 1),
        (
            "qwen_image_train_network.py --dit q --dataset_config /path/to/d.toml --sdpa --learning_rate 1e-4"
            " --network_module lycoris.kohya --network_args algo=lokr preset=full",
            0,
        ),
    ],
)
def test_a_preset_of_lycoris_is_its_own(command: str, wrong: int) -> None:
    assert len(bad(command)) == wrong


KOHYA_SS = """\
dynamo_backend = "no"
epoch = 10
max_token_length = 75
mem_eff_save = true
noise_offset_type = "Original"
learning_rate = 1e-4
network_module = "networks.lora_flux"
"""


def test_what_guis_write_is_a_note(tmp_path) -> None:
    found = of_file(tmp_path, "a.toml", KOHYA_SS.replace("max_token_length = 75\n", ""))
    assert [severity for severity, _ in found] == ["note"] * 3
    assert all("kohya_ss' GUI writes it, the trainer ignores it" in text for _, text in found)
    sdxl = "# sdxl_train_network.py\nnetwork_module = 'networks.lora'\nlearning_rate = 1e-4\n"
    assert of_file(tmp_path, "a.toml", sdxl + "max_token_length = 75\n")[0][0] == "note"
    assert of_file(tmp_path, "a.toml", sdxl + "max_token_length = 76\n")[0][0] == "error"
    compiled = of_file(tmp_path, "a.toml", sdxl + "torch_compile = true\ndynamo_backend = 'no'\n")
    assert compiled[0][0] == "error"
    (note,) = of_file(tmp_path, "a.toml", sdxl + "model_train_type = 'sdxl-lora'\n")
    assert note == (
        "note",
        "sdxl_train_network.py has no model_train_type: lora-scripts' GUI writes it, the trainer ignores it",
    )


def test_a_key_the_trainer_passes_over_stops_nothing_but_a_near_miss_is_an_error(tmp_path) -> None:
    sdxl = "# sdxl_train_network.py\nnetwork_module = 'networks.lora'\nlearning_rate = 1e-4\n"
    assert of_file(tmp_path, "a.toml", sdxl + "my_own_note = 1\n")[0][0] == "warning"
    require(read_training(tmp_path / "a.toml"))
    assert of_file(tmp_path, "a.toml", sdxl + "netwrok_dim = 1\n")[0][0] == "error"
    require(read_training(tmp_path / "a.toml"))
    of_file(tmp_path, "a.toml", sdxl + "network_dim = '8'\n")
    with pytest.raises(GridError, match="wants a number"):
        require(read_training(tmp_path / "a.toml"))
    with pytest.raises(GridError, match="no --netwrok_dim"):
        require(read_training(f"{SDXL} --netwrok_dim 8", is_text=True))


@pytest.mark.parametrize(
    ("shell", "script", "expected"),
    [
        (BASH, 'A=(\n --a 1 # c\n "b c"\n)\nA+=(--d)\nt.py "${A[@]}" x', ["t.py", "--a", "1", "b c", "--d", "x"]),
        (BASH, "A=()\nt.py ${A[@]} x", ["t.py", "x"]),
        (BASH, "M=${1:-flux}\nt.py $M ${2:-y}", ["t.py", "flux", "y"]),
        (POWERSHELL, '$a = @("--a", "1",\n "b c")\nt.py @a x', ["t.py", "--a", "1", "b c", "x"]),
        (
            POWERSHELL,
            "$a = [System.Collections.ArrayList]::new()\n[void]$a.Add('--v2')\n$b = 'y'\nt.py $a $b",
            ["t.py", "--v2", "y"],
        ),
        (POWERSHELL, "t.py \u201ca b\u201d", ["t.py", "a b"]),
    ],
)
def test_arrays_and_defaults_are_filled_in(shell, script: str, expected: list[str]) -> None:
    words = split(script, shell)[-1].words
    assert [word.text for word in words] == expected
    assert all(word.resolved for word in words)


@pytest.mark.parametrize(
    ("shell", "script"),
    [
        (BASH, "A=()\nif [[ $x ]]; then A+=(--v2); fi\nt.py ${A[@]}"),
        (BASH, "lr=$1\nt.py --lr $lr"),
        (BASH, "t.py $(date +%Y %m) $((1 + 2))"),
        (BASH, "t.py {lr} '{cfg}' ..."),
        (POWERSHELL, "$a = @()\nif ($x -eq 1) {\n  [void]$a.Add('--v2')\n}\nt.py $a"),
        (CMD, "t.py %* %1 %~dp0flux.safetensors"),
    ],
)
def test_what_only_the_run_knows_is_marked(shell, script: str) -> None:
    words = split(script, shell)[-1].words
    assert words[0].text == "t.py"
    unknown = [word for word in words[1:] if not word.text.startswith("--")]
    assert unknown
    assert not any(word.resolved for word in unknown)


@pytest.mark.parametrize("more", ['"${ARGS[@]}"', "--config_file C:/nowhere/a.toml", "--learning_rate {lr} ..."])
def test_nothing_is_missing_where_a_part_was_not_read(more: str) -> None:
    command = f"wan_train_network.py --network_module networks.lora_wan --fp8_scaled {more}"
    assert bad(command.replace("--fp8_scaled", "--task t2v-1.3B --fp8_scaled")) == []
    assert len(bad("wan_train_network.py --network_module networks.lora_wan --fp8_scaled")) > 3


def test_lrs_are_not_measured_by_a_base_that_nobody_knows() -> None:
    grid = SDXL.replace("networks.lora", "networks.lora_grid")
    assert bad(f"{grid} --network_args self_attn_lr=1e-2")
    assert bad(f"{grid.replace('1e-4', '$LR')} --network_args self_attn_lr=1e-2") == []


def test_files_that_are_elsewhere_are_a_note_unless_paths_are_asked_for() -> None:
    command = f"{SDXL} --dataset_config D:/ai/dataset.toml"
    assert [severity for severity, _ in told(command)] == ["note"]
    assert [severity for severity, _ in told(command, paths=True)] == ["error"]


def test_our_own_grid_files(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    for name, model in (("grid.toml", "flux"), ("musubi-tuner/hunyuan_video_grid.toml", "hunyuan-video")):
        assert is_grid_file(parse_toml((SAMPLES / name).read_text(encoding="utf-8"), name))
        assert check_grid_file(SAMPLES / name, model) == []
        assert [finding.severity for finding in check_grid_file(SAMPLES / name)] == ["note"]
    Path("g.toml").write_text("default_lr = '1x'\n[component_lr]\nffn = '2x'\nslef_attn = '1x'\n")
    assert main(["check", "g.toml"]) == 1
    assert "g.toml:4  error" in capsys.readouterr().out
    Path("g.toml").write_text("default_lr = '1x'\nblock_lr_weight = 'double_30:0.5'\n")
    assert main(["check", "g.toml"]) == 0
    assert main(["check", "g.toml", "--model", "flux"]) == 1
    assert "g.toml:2  error  block_lr_weight: 'double_30:0.5': block 30 is out of range" in capsys.readouterr().out
    assert not is_grid_file({"network_module": "networks.lora_flux", "self_attn_lr": 1})


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (
            "[[datasets]]\nresolution=1\n[[datasets.subsets]]\nconditioning_data_dir='c'\nimage_dir='x'\n",
            [],
        ),
        ("\ufeff[general]\nresolution=1\n[[datasets]]\n[[datasets.subsets]]\nimage_dir='x'\n", ["byte order mark"]),
        ("[general]\n[datasets]\nimage_directory='x'\n", ["write [[datasets]]"]),
        ("[[dataset]]\nimage_directory='x'\n", ["Write [[datasets]]"]),
        ("datasets=[]\n", ["no [[datasets]] in it"]),
        ("[[datasets]]\nimage_directory='x'\ntarget_frames=[1]\n", ["It belongs to a dataset of videos"]),
    ],
)
def test_dataset_configs_by_themselves(text: str, parts: list[str], tmp_path, capsys) -> None:
    file = tmp_path / "d.toml"
    file.write_text(text, encoding="utf-8")
    found = check_dataset_file(file)
    assert len(found) == len(parts)
    assert all(part in finding.text for part, finding in zip(parts, found, strict=True))
    assert main(["check", str(file)]) == bool(parts)  # and it is taken for one


@pytest.mark.parametrize(
    ("extra", "count"),
    [
        ("--optimizer_type Adafactor", 0),
        ("--optimizer_type Adafactor --optimizer_args relative_step=True", 0),
        ("--optimizer_type Adafactor --optimizer_args relative_step=False", 1),
        ("--optimizer_type AdamW", 1),
    ],
)
def test_adafactor_needs_no_learning_rate(extra: str, count: int) -> None:
    command = SDXL.replace(" --learning_rate 1e-4", "")
    assert len([text for text in bad(f"{command} {extra}") if "no learning rate" in text]) == count


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig", "gbk"])
def test_scripts_in_other_encodings(encoding: str, tmp_path) -> None:
    text = "# \u8bad\u7ec3\npython train_network.py `\n --network_dim 8\n"
    data = codecs.BOM_UTF8 * (encoding == "utf-8-sig") + text.encode(encoding.removesuffix("-sig"))
    (tmp_path / "run.ps1").write_bytes(data)
    config = read_training(tmp_path / "run.ps1")
    assert (config.values, config.where["network_dim"].line) == ({"network_dim": 8}, 3)


def test_tomls_that_no_trainer_reads(tmp_path, capsys) -> None:
    for data, part in (
        (b"a = 1\nb = '\xe9'\n", "a.toml:2  error  is not UTF-8"),
        ("a = 1".encode("utf-16"), "a.toml:1  error  is UTF-16"),
        (b"a = " + b"[" * 3000 + b"]" * 3000, "a.toml:1  error  is nested too deeply"),
    ):
        (tmp_path / "a.toml").write_bytes(data)
        assert main(["check", str(tmp_path / "a.toml")]) == 1
        assert part in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("python -m musubi_tuner.wan_train_network --dit x", True),
        ('C:\\venv\\Scripts\\accelerate.EXE launch "C:\\sd\\sdxl_train_network.py" --config_file "x"', True),
        ("--network_dim 8", True),
        ("my config.toml", False),
        ("no such", False),
    ],
)
def test_a_command_is_told_from_a_file(text: str, is_one: bool) -> None:
    assert is_command(text) is is_one


@pytest.mark.parametrize(
    ("extra", "part"),
    [
        ("--optimizer_type AdmW8bit", "Did you mean AdamW8bit?"),
        ("--optimizer_type adamw8bit", ""),
        ("--optimizer_type NAdam", ""),
        ("--optimizer_type prodigyplus.ProdigyPlusScheduleFree", ""),
        ("--lr_scheduler cosin", "Did you mean cosine?"),
        ("--lr_scheduler adafactor:1e-4", ""),
        ("--lr_scheduler cosin --lr_scheduler_type CosineAnnealingLR", ""),
        ("--optimizer_args weight_decay", "'weight_decay' is no key=value pair"),
        ("--optimizer_args betas=.9,.99 weight_decay=0.1 a=True", ""),
        ("--optimizer_args decouple=yes", "the trainer cannot read 'yes'"),
        ("--output_name my lora", "--output_name takes one value: quote it if it holds spaces"),
        ("--cache_latents true", "--cache_latents takes no value"),
        (
            "\u2014network_alpha 8",
            "begins with a typographic dash (\u2014), and the parser stops at it. Write --network_",
        ),
        ("--output_name \u201cmy lora\u201d", "is a typographic quote"),
        ("-network_alpha 8", "Two dashes: --network_alpha"),
        ("--network_args block_dims=1, 2", "A value holds no spaces: write block_dims=1,2"),
    ],
)
def test_names_and_signs(extra: str, part: str) -> None:
    found = bad(f"{SDXL} {extra}")
    assert (part in " ".join(found)) if part else not found


def test_block_lr_of_a_wrong_length() -> None:
    command = "sdxl_train.py --pretrained_model_name_or_path x --learning_rate 1e-5 --block_lr "
    assert bad(command + ",".join(["1e-5"] * 23)) == []
    assert "block_lr: 2 values, and SDXL has 23 blocks" in bad(command + "1e-5,1e-5")[0]


def test_one_error_for_a_command_without_continuation_marks() -> None:
    found = bad(SDXL.replace(" --", "\n --"))
    assert len(found) == 1
    assert "bash ends the command before this line" in found[0]


def test_other_scripts_and_files(tmp_path, capsys) -> None:
    assert bad("python networks/merge_lora.py --models a --nonsense 3") == [
        "merge_lora.py is no training script of sd-scripts or musubi-tuner"
    ]
    preset = tmp_path / "kohya.json"
    preset.write_text('{"LoRA_type": "Standard", "train_data_dir": "x"}')
    assert main(["check", str(preset)]) == 2
    assert "is a preset of a GUI, which no trainer reads" in capsys.readouterr().err
    assert main(["check", ""]) == 2
    assert "the name of the config is empty" in capsys.readouterr().err
    assert main(["check", str(tmp_path)]) == 2
    assert "is a folder" in capsys.readouterr().err
