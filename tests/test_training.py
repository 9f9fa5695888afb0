"""Training configs are read as the trainers' parsers read them, with the place of every argument."""

from __future__ import annotations

import argparse
import subprocess
import sys
from itertools import chain
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lr_grid.errors import GridError
from lr_grid.training import TomlError, read_training
from lr_grid.training.config_file import parse_toml
from lr_grid.training.parse_options import parse_options
from lr_grid.training.shells import BASH, CMD, POWERSHELL, Word, shell_of, split
from lr_grid.training.tables import Option, options, scripts, trainer_of
from lr_grid.training.toml_lines import toml_lines

# ---- lines of TOML

bare = st.from_regex(r"[A-Za-z0-9_-]{1,6}", fullmatch=True)
text = st.text(st.sampled_from("ab\"\\'#]}[{=,.é "), max_size=8)


def basic(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


keys = st.one_of(bare, text.map(basic), bare.map(lambda name: f"'{name}#= '"))
strings = st.one_of(
    text.map(basic),
    bare.map(lambda word: f"'#{word}\\'"),
    text.map(lambda value: f"'''{value.replace(chr(39), '')}\n# no comment ]\n'''"),
    text.map(lambda value: f'"""\n{value.replace(chr(92), "").replace(chr(34), "")}\\" = [\n"""'),
)
scalars = st.one_of(strings, st.integers().map(str), st.sampled_from(["true", "1e-4", "1979-05-27", "inf"]))
gaps = st.sampled_from(["", " ", "\n", '\n  # a comment, with ] and " in it\n', "\t"])


@st.composite
def arrays(draw: Any, of: Any) -> str:
    parts = [f"{draw(gaps)}{draw(of)}{draw(gaps)}" for _ in range(draw(st.integers(0, 3)))]
    end = draw(st.sampled_from(["", ","])) if parts else ""
    return f"[{','.join(parts)}{end}{draw(gaps)}]"


@st.composite
def inline_tables(draw: Any, of: Any) -> str:
    names = draw(st.lists(bare, max_size=3, unique=True))
    return "{ " + ", ".join(f"{name} = {draw(of)}" for name in names) + " }"


values = st.recursive(scalars, lambda of: st.one_of(arrays(of), inline_tables(of)), max_leaves=5)


@st.composite
def toml_texts(draw: Any) -> str:
    lines = []
    for head in [
        "",
        *draw(st.lists(st.sampled_from(["[a]", "[b . 'c d']", "[[t]]", "[[ t.u ]] # x", "[t.v]"]), max_size=5)),
    ]:
        lines.append(head)
        for name in draw(st.lists(keys, max_size=4, unique=True)):
            lines += draw(st.lists(st.sampled_from(["", "# key = 1", "  "]), max_size=2))
            lines.append(
                f"{draw(st.sampled_from(['', '  ']))}{name} = {draw(values)}{draw(st.sampled_from(['', ' # [']))}"
            )
    return draw(st.sampled_from(["\n", "\r\n"])).join(lines)


def paths_of(value: Any, path: tuple = ()) -> Any:
    """(path, key or None in arrays) of everything below a parsed TOML value."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in pairs:
        yield (*path, key), item
        yield from paths_of(item, (*path, key))


@settings(deadline=None, max_examples=300)
@given(toml_texts())
@example('a = """x\\"""" # b\nc = \'\'\'y\'\'\'\'\'\nd = ""\ne = [[1, 2], # f\n [3]]\n')
@example("\"g.h\".i = {j = ['}'], k = 1}\nl.m = 2\n")
def test_every_key_of_a_toml_is_found_on_a_line_that_holds_it(source: str) -> None:
    try:
        data = parse_toml(source, "x.toml")
    except TomlError:
        return  # two tables of one name, say
    lines, rows = toml_lines(source), source.split("\n")
    for path, item in paths_of(data):
        assert path in lines
        shown = rows[lines[path] - 1]
        key = path[-1]
        if isinstance(key, str) and key.isidentifier():
            assert key in shown
        if isinstance(key, int) and isinstance(item, (bool, int)) and not isinstance(item, dict):
            assert str(item).lower() in shown
    assert all(1 <= line <= len(rows) for line in lines.values())


def test_the_lines_of_a_dataset_config() -> None:
    source = (
        '[general]\nresolution = [512,\n  768]\n\n[[datasets]]\n"batch_size" = 2\n'
        '  [[datasets.subsets]] # one\n  image_dir = "#a"\n  [[datasets.subsets]]\n'
        '  image_dir = "b"\n[[datasets]]\nx = 1\n'
    )
    lines = toml_lines(source)
    assert {
        ("general", "resolution"): 2,
        ("general", "resolution", 1): 3,
        ("datasets", 0, "batch_size"): 6,
        ("datasets", 0, "subsets", 0): 7,
        ("datasets", 0, "subsets", 1, "image_dir"): 10,
        ("datasets", 1, "x"): 12,
    }.items() <= lines.items()


# ---- words of a command line


def words(source: str, shell=BASH) -> list[list[str]]:
    return [[word.text for word in command.words] for command in split(source, shell)]


def test_bash_quotes_continuations_comments_and_variables() -> None:
    source = (
        "# first\nDIR=/a b=\n"
        "X=1 python t.py --a 'x y' \\\n  --b=\"q $X\" # end\n\nDIR=/d\npython $DIR/t.py | tee log 2>&1; echo\n"
    )
    assert words(source) == [
        ["X=1", "python", "t.py", "--a", "x y", "--b=q $X"],
        ["python", "/d/t.py"],
        ["echo"],
    ]


def test_powershell_backticks_and_variables() -> None:
    source = '$m = \'C:\\my models\\x\'\n& python t.py `\n  --dit $m --n "a`"b" # c\n'
    assert words(source, POWERSHELL) == [["python", "t.py", "--dit", "C:\\my models\\x", "--n", 'a"b']]


def test_cmd_carets_and_variables() -> None:
    source = 'REM a\nset M=C:\\m\npython t.py ^\r\n  --dit "%M%\\x y" --a \'b\n'
    assert words(source, CMD) == [["python", "t.py", "--dit", "C:\\m\\x y", "--a", "'b"]]


def test_bash_splits_words_as_bash_does() -> None:
    source = r"""a 'b c' "d \" \\ $ ' e" f\ g 'h'"i"j --k="l m" '' "" n#o"""
    done = subprocess.run(
        ["bash", "-c", f"set -- {source}; printf '%s\\n' \"$@\""], capture_output=True, text=True, check=True
    )
    assert words(source)[0] == done.stdout.removesuffix("\n").split("\n")


@pytest.mark.parametrize(
    ("source", "shell"),
    [("a \\\n b", BASH), ("a `\n b", POWERSHELL), ("a ^\n b", CMD), ('python .\\t.py --x "C:\\y"', CMD), ("a", BASH)],
)
def test_the_shell_is_told_by_the_way_lines_go_on(source: str, shell: object) -> None:
    assert shell_of(source) is shell


# ---- options as argparse reads them

TYPES = {"int": int, "float": float, "text": str}


def argparse_of(table: dict[str, Option]) -> argparse.ArgumentParser:
    class Parser(argparse.ArgumentParser):
        def error(self, message: str) -> Any:
            raise ValueError(message)

    parser = Parser(add_help=False)
    for option in table.values():
        if option.is_flag:
            parser.add_argument(*option.flags, dest=option.dest, action="store_const", const=option.const)
        else:
            kind = TYPES.get(option.type, float)
            parser.add_argument(
                *option.flags, dest=option.dest, nargs=option.nargs, type=kind, choices=option.choices, default=None
            )
    return parser


TABLE = {
    dest: option
    for dest, option in options("sd-scripts", "flux_train_network.py").items()
    if "or_float" not in option.type
}
FLAGS = [
    "seed",
    "unet_lr",
    "network_args",
    "text_encoder_lr",
    "cache_latents",
    "loss_type",
    "network_dim",
    "output_dir",
]
pieces = st.one_of(
    st.sampled_from(FLAGS).map("--{}".format),
    st.sampled_from(["--network_a", "--unet", "--nonsense", "--seed=3", "--cache_latents=1", "--v2", "--loss_type=l2"]),
    st.sampled_from(
        ["1", "-1", "-1.5", "-1e-4", "1e-4", "a=b", "bf16", "two words", "", "-x y", "--x y", "0.5", "true"]
    ),
)


VALUES = {
    "seed": ["1", "-1"],
    "unet_lr": ["1e-4", "-1.5", "-.5"],
    "network_args": ["a=b", "c", "-1"],
    "output_dir": ["x", ""],
}
whole = st.sampled_from(sorted(VALUES)).flatmap(
    lambda flag: st.lists(st.sampled_from(VALUES[flag]), min_size=1, max_size=2).map(
        lambda given: [f"--{flag}", *given]
    )
)


@settings(deadline=None, max_examples=600)
@given(
    st.one_of(
        st.lists(pieces, max_size=5), st.lists(whole, max_size=4).map(lambda many: list(chain.from_iterable(many)))
    )
)
@example(["--unet_lr", "-1e-4"])
@example(["--network_args", "a=b", "-1", "--seed", "3", "--seed", "4"])
def test_a_command_line_is_read_as_argparse_reads_it(line: list[str]) -> None:
    given_options, findings = parse_options([Word(piece, 1) for piece in line], TABLE)
    # what the parser lets pass is told as a warning; what it has no option for is told by the reader of all of it
    stops = [f for f in findings if f.severity == "error"] + [g for g in given_options if not g.known]
    try:
        expected = vars(argparse_of(TABLE).parse_args(line))
    except ValueError:
        assert stops, "argparse stops at this"
        return
    assert not stops
    assert {one.dest: one.value for one in given_options} == {k: v for k, v in expected.items() if v is not None}


@pytest.mark.parametrize(
    ("trainer", "written", "value"),
    [
        ("sd-scripts", "100", 100),
        ("sd-scripts", "0.05", 0.05),
        ("sd-scripts", "5%", 0.05),
        ("musubi-tuner", "100.0", 100),
        ("sd-scripts", "100.0", None),
    ],
)
def test_warmup_is_a_number_of_steps_or_a_share_of_them(trainer: str, written: str, value: float | None) -> None:
    script = {"sd-scripts": "train_network.py", "musubi-tuner": "wan_train_network.py"}[trainer]
    config = read_training(f"{script} --lr_warmup_steps {written}", is_text=True)
    assert config.values.get("lr_warmup_steps") == value
    assert bool(config.findings) == (value is None)


# ---- the whole


def test_a_toml_is_flattened_and_keeps_its_lines(tmp_path) -> None:
    file = tmp_path / "a.toml"
    file.write_text(
        "# flux_train_network.py\nseed = 1\n[model]\nae = 'x'\n[network]\n"
        "network_args = [\n  'ffn_lr=2x', # c\n  'a=b'\n]\n"
    )
    config = read_training(file)
    assert (config.trainer, config.script, config.guessed) == ("sd-scripts", "flux_train_network.py", False)
    assert config.values == {"seed": 1, "ae": "x", "network_args": ["ffn_lr=2x", "a=b"]}
    assert config.network_args == {"ffn_lr": "2x", "a": "b"}
    assert {key: place.line for key, place in config.network_args_where.items()} == {"ffn_lr": 7, "a": 8}
    assert config.where["ae"].line == 4
    assert config.findings == []


def test_the_command_line_wins_over_its_config_file(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.toml").write_text("seed = 1\nunet_lr = 1e-4\n")
    config = read_training(
        "accelerate launch --num_processes 2 train_network.py --config_file a --seed 2 --dataset_config d.toml",
        is_text=True,
    )
    assert (config.values["seed"], config.values["unet_lr"]) == (2, 1e-4)
    assert str(config.where["unet_lr"]) == "a.toml:2"
    assert str(config.where["seed"]) == "command line --seed"
    assert config.launch == ["accelerate", "launch", "--num_processes", "2"]
    assert config.dataset_config == "d.toml"
    assert config.defaults()["optimizer_type"] == ""


@pytest.mark.parametrize(
    ("command", "script"),
    [
        ("python -m musubi_tuner.wan_train_network --seed 1", "wan_train_network.py"),
        (
            "accelerate launch --mixed_precision bf16 src/musubi_tuner/wan_train_network.py --seed 1",
            "wan_train_network.py",
        ),
        ('accelerate launch "C:\\sd scripts\\sdxl_train_network.py" --seed 1', "sdxl_train_network.py"),
        ("uv run python ./flux_train_network.py --seed=1", "flux_train_network.py"),
        ("CUDA_VISIBLE_DEVICES=1 python3 hv_train_network.py --seed 1 2>&1 | tee log.txt", "hv_train_network.py"),
    ],
)
def test_the_script_is_found_in_what_people_write(command: str, script: str) -> None:
    config = read_training(command, is_text=True)
    assert (config.script, config.values, config.findings) == (script, {"seed": 1}, [])


def test_a_script_file_keeps_its_lines(tmp_path) -> None:
    file = tmp_path / "run.ps1"
    file.write_text(
        "# train\r\npython wan_train_network.py `\r\n  --dit x.safetensors `\r\n  --network_args a=1 `\r\n  b=2\r\n"
    )
    config = read_training(file)
    assert config.where["dit"].line == 3
    assert {key: place.line for key, place in config.network_args_where.items()} == {"a": 4, "b": 5}


@pytest.mark.parametrize(
    ("values", "script"),
    [
        ("network_module='networks.lora_flux_grid'", "flux_train_network.py"),
        ("network_module='lr_grid.musubi.lora_wan_grid'", "wan_train_network.py"),
        ("network_module='networks.lora_qwen_image'", "qwen_image_train_network.py"),
        ("network_module='networks.lora_grid'\ncache_text_encoder_outputs=true", "sdxl_train_network.py"),
        (
            "network_module='networks.lora_grid'\npretrained_model_name_or_path='/a/ponyXL.safetensors'",
            "sdxl_train_network.py",
        ),
        ("network_module='networks.lora_grid'\nv2=true", "train_network.py"),
        ("network_module='networks.lora_grid'", None),
        ("dit='x'\nt5='y'\ntask='t2v-14B'\nclip='z'", "wan_train_network.py"),
    ],
)
def test_a_bare_toml_tells_its_script_by_what_it_sets(tmp_path, values: str, script: str | None) -> None:
    file = tmp_path / "a.toml"
    file.write_text(values)
    config = read_training(file)
    assert config.script == script
    assert config.guessed
    assert config.trainer == (trainer_of(script) if script else "sd-scripts")


def test_what_cannot_be_read_is_an_error(tmp_path) -> None:
    with pytest.raises(GridError, match="no such file"):
        read_training(tmp_path / "missing.toml")
    with pytest.raises(GridError, match="no training command"):
        read_training("echo hello", is_text=True)
    broken = tmp_path / "broken.toml"
    broken.write_text("seed = 1\nv2 = True\n")
    with pytest.raises(TomlError, match=r"broken.toml:2: not valid TOML.*written small"):
        read_training(broken)


def test_reading_needs_no_torch(tmp_path) -> None:
    code = (
        "import sys; from lr_grid.training import read_training;"
        "read_training('train_network.py --seed 1', is_text=True);"
        "print([m for m in ('torch', 'numpy', 'rich') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_script_of_both_trainers_has_a_table() -> None:
    assert {"train_network.py", "flux_train_network.py", "sdxl_train.py"} <= set(scripts("sd-scripts"))
    assert {"wan_train_network.py", "hv_train.py", "krea2_train_network.py"} <= set(scripts("musubi-tuner"))
    assert options("sd-scripts", "train_network.py")["unet_lr"].type == "float"
    assert "unet_lr" not in options("musubi-tuner")
