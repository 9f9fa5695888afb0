"""What the page's server writes: the file it was started with and the user's presets, whole, and nothing else."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from ui_server import serving
from ui_states import random_state

from lr_grid.convert.texts import read_toml
from lr_grid.errors import GridError
from lr_grid.ui.edited import EditedFile
from lr_grid.ui.places import settings_folder
from lr_grid.ui.presets import OwnPresets
from lr_grid.ui.toml_merge import merged
from lr_grid.ui.write import texts_of

OLD = """\
# My grid, made with care.
ffn_lr = "0.5x"   # half

depth_strategy = "linear"

[block_lr_weight]  # by hand
double_0-6 = 0.3
"""


@pytest.fixture
def edited(tmp_path):
    path = tmp_path / "grid.toml"
    path.write_text(OLD)
    with serving(tmp_path, str(path)) as client:
        yield client, path


def files_below(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_page_begins_with_the_file(edited):
    client, _ = edited
    start = client.ask("start", {})
    assert start["file"]["name"] == "grid.toml"
    assert start["state"]["components"] == {"ffn": "0.5x"}
    assert start["state"]["weights"]["double"][6:8] == [0.3, 1]
    assert start["problems"] == []
    assert client.ask("file/read", {})["state"] == {
        **start["state"],
        "ranks": client.ask("file/read", {})["state"]["ranks"],
    }


def test_a_file_that_cannot_be_read_is_told_and_left_alone(edited):
    client, path = edited
    path.write_text("ffn_lr = 1.5x\nfoo = 1\n")
    start = client.ask("start", {})
    assert start["problems"][0]["line"] == 1
    assert start["state"]["components"] == {}
    answer = client.ask("file/read", {})
    assert answer["problems"][0]["line"] == 1
    assert path.read_text() == "ffn_lr = 1.5x\nfoo = 1\n"


def test_saving_changes_the_keys_and_leaves_the_comments(edited):
    client, path = edited
    start = client.ask("start", {})
    state = start["state"]
    state["components"] = {"ffn": "2x", "self_attn": "1e-4"}
    state["weights"]["double"][0] = 1
    answer = client.ask("file/save", {"state": state, "etag": start["file"]["etag"]})
    text = path.read_text()
    assert read_toml(text) == {
        "ffn_lr": "2x",
        "depth_strategy": "linear",
        "self_attn_lr": 0.0001,
        "block_lr_weight": {"double_1-6": 0.3},
    }
    for kept in ("# My grid, made with care.\n", "  # half\n", "# by hand\n"):
        assert kept in text, text
    assert client.ask("file/poll", {"etag": answer["etag"]}) == {"changed": False, "etag": answer["etag"]}
    again = client.ask("file/read", {})
    assert again["state"]["components"] == {"self_attn": "0.0001", "ffn": "2x"}
    assert again["etag"] == answer["etag"]


def test_a_change_from_outside_is_told_and_not_overwritten(edited):
    client, path = edited
    start = client.ask("start", {})
    etag, state = start["file"]["etag"], start["state"]
    path.write_text("ffn_lr = 0.001\n")
    told = client.ask("file/poll", {"etag": etag})
    assert told["changed"]
    refused = client.ask("file/save", {"state": state, "etag": etag})
    assert refused == {"changed": True, "etag": told["etag"]}
    assert path.read_text() == "ffn_lr = 0.001\n"
    assert set(client.ask("file/save", {"state": state, "etag": etag, "force": True})) == {"etag"}
    assert read_toml(path.read_text())["ffn_lr"] == "0.5x"
    path.unlink()
    assert client.ask("file/save", {"state": state, "etag": etag})["changed"]
    assert not path.exists()


def test_a_file_of_another_model_decides_which_model_the_page_begins_with(tmp_path):
    path = tmp_path / "grid.toml"
    path.write_text("[block_lr_weight]\nunet_5 = 0.5\n")
    with serving(tmp_path, str(path)) as client:
        start = client.ask("start", {})
        assert start["model"]["name"] == start["state"]["model"] == "sdxl"
        assert start["state"]["weights"]["unet"][5] == 0.5
        assert "--model" in start["notes"][0]
        assert start["problems"] == []
        other = client.ask("start", {"model": "flux-dev"})  # what the page had when it was reloaded
        assert other["model"]["name"] == "flux-dev"
        assert "has no stack 'unet'" in other["problems"][0]["text"]


def test_a_file_that_is_not_there_is_made_by_the_first_save_alone(tmp_path):
    path = tmp_path / "new.toml"
    with serving(tmp_path, str(path)) as client:
        start = client.ask("start", {})
        assert start["file"] == {"name": "new.toml", "etag": ""}
        assert not path.exists()
        state = {**start["state"], "components": {"ffn": "0.5x"}}
        client.ask("file/save", {"state": state, "etag": ""})
    assert read_toml(path.read_text()) == {"ffn_lr": "0.5x"}


def test_a_save_keeps_the_files_mode_and_a_link_to_it(tmp_path):
    real, link = tmp_path / "real.toml", tmp_path / "link.toml"
    real.write_text('ffn_lr = "2x"\n')
    real.chmod(0o640)
    link.symlink_to(real)
    with serving(tmp_path, str(link)) as client:
        start = client.ask("start", {})
        client.ask("file/save", {"state": {"model": "flux-dev", "default_lr": "3x"}, "etag": start["file"]["etag"]})
    assert link.is_symlink()
    assert real.stat().st_mode & 0o777 == 0o640
    assert read_toml(real.read_text()) == {"default_lr": "3x"}


def test_of_two_saves_at_once_one_wins_and_the_other_is_told(edited):
    client, path = edited
    state = client.ask("start", {})["state"]
    for turn in range(10):
        etag = client.ask("file/poll", {"etag": ""})["etag"]
        answers: list[dict] = []

        def save(lr: str, etag: str = etag, answers: list[dict] = answers) -> None:
            answers.append(client.ask("file/save", {"state": {**state, "default_lr": lr}, "etag": etag}))

        threads = [threading.Thread(target=save, args=(f"{turn + 2}.{i}x",)) for i in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted("changed" in answer for answer in answers) == [False, True, True, True]
        now = {answer["etag"] for answer in answers}
        assert now == {client.ask("file/poll", {"etag": ""})["etag"]}
        assert read_toml(path.read_text())["default_lr"].startswith(f"{turn + 2}.")
    assert set(files_below(path.parent)) == {"grid.toml"}  # nothing lies beside it


def test_a_grid_without_settings_empties_the_file_and_one_that_a_file_cannot_hold_is_refused(edited):
    client, path = edited
    etag = client.ask("start", {})["file"]["etag"]
    answer = client.ask("file/save", {"state": {"model": "flux-dev", "kept": {"split_qkv": "False"}}, "etag": etag})
    assert "cannot hold" in answer["problems"][0]["text"]
    assert path.read_text() == OLD
    client.ask("file/save", {"state": {"model": "flux-dev"}, "etag": etag})
    assert read_toml(path.read_text()) == {}


def test_a_grid_that_the_run_would_refuse_is_not_saved(edited):
    client, path = edited
    etag = client.ask("start", {})["file"]["etag"]
    answer = client.ask("file/save", {"state": {"model": "flux-dev", "default_lr": "fast"}, "etag": etag})
    assert "'fast' is not a learning rate" in answer["problems"][0]["text"]
    assert path.read_text() == OLD


@pytest.mark.parametrize(
    ("name", "told"),
    [("grid.json", "a .toml grid"), ("no/such/folder/grid.toml", "there is no folder"), (".", "a .toml grid")],
)
def test_a_file_that_could_never_be_saved_is_refused_at_the_start(tmp_path, monkeypatch, name, told):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(GridError, match=told):
        EditedFile.of(name)
    (tmp_path / "folder.toml").mkdir()
    with pytest.raises(GridError, match="is a folder"):
        EditedFile.of("folder.toml")


def test_a_huge_file_and_one_that_is_no_text_are_told(tmp_path):
    path = tmp_path / "grid.toml"
    path.write_bytes(b"#" * ((1 << 20) + 1))
    with pytest.raises(GridError, match="longer than any grid"):
        EditedFile.of(str(path)).read()
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(GridError, match="no UTF-8"):
        EditedFile.of(str(path)).read()


# The text of a file


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("", "a = 1\n", "a = 1\n"),
        ("# top\na = 1 # one\nb = 2\n", "a = 3\nb = 2\n", "# top\na = 3 # one\nb = 2\n"),
        ("a = 1\nb = 2 # two\n", "b = 2\n", "b = 2 # two\n"),
        ("b = 2 # two\n", "a = 1\nb = 2\n", "b = 2 # two\na = 1\n"),
        ("[t] # t\nx = 1\n", "[t]\nx = 1\ny = 2\n", "[t] # t\nx = 1\ny = 2\n"),
        ("a = 1\n\n[t]\nx = 1\n", "a = 1\n", "a = 1\n"),
        ("a = 1\n", "a = 1\n\n[t]\nx = 1\n", "a = 1\n\n[t]\nx = 1\n"),
        ("t = 'x' # t\n", "[t]\nx = 1\n", None),
        ("a = [\n  1, # one\n  2,\n] # a\nb = 1\n", "a = [3]\nb = 1\n", "a = [3] # a\nb = 1\n"),
        ("a.b = 1\n", "[a]\nb = 2\n", None),
        ("a = broken\n", "a = 1\n", "a = 1\n"),
        ("a = 1 # same\n", "a = 1\n", "a = 1 # same\n"),
        ("a = 1 # int\n", 'a = "1"\n', 'a = "1" # int\n'),
        ("[[t]]\nx = 1\n", "t = 1\n", None),
    ],
)
def test_a_file_keeps_what_stands_beside_its_keys(old, new, expected):
    text = merged(old, new)
    assert read_toml(text) == read_toml(new)
    if expected is not None:
        assert text == expected


def test_a_file_means_the_new_grid_and_keeps_its_comments_whatever_the_two_grids_are():
    for seed in range(60):
        draw = random.Random(seed)
        model = draw.choice(("flux-dev", "sdxl", "wan-14b"))
        old, new = (texts_of(random_state(draw, model)).toml for _ in range(2))
        text = merged(f"# mine\n{old}\n# the end", f"{new}\n") if old and new else "# mine"
        assert text.startswith("# mine")
        assert not (old and new) or read_toml(text) == read_toml(new)


# Own presets


def test_own_presets_are_kept_offered_where_they_fit_replaced_and_deleted(tmp_path):
    with serving(tmp_path) as client:
        state = {"model": "flux-dev", "components": {"ffn": "0.5x"}, "base_lr": "7e-5"}
        for name in ("mine", " Größe/..\\x:é ", "a" * 40):
            answer = client.ask("presets/save", {"name": name, "state": state})
        own = [preset for preset in answer["presets"] if preset["own"]]
        assert [preset["name"] for preset in own] == ["a" * 40, "Größe/..\\x:é", "mine"]
        assert own[-1]["grid"]["components"] == {"ffn": "0.5x"}
        assert "base_lr" not in own[-1]["grid"]
        client.ask("presets/save", {"name": "mine", "state": {**state, "components": {}}})
        again = {p["name"]: p for p in client.ask("model", {"model": "flux-schnell"})["presets"] if p["own"]}
        assert again["mine"]["grid"]["components"] == {}
        assert not [p for p in client.ask("model", {"model": "sdxl"})["presets"] if p["own"]]
        left = client.ask("presets/delete", {"name": "mine", "model": "flux-dev"})["presets"]
        assert "mine" not in [preset["name"] for preset in left]
    with serving(tmp_path) as client:  # another start
        names = [p["name"] for p in client.ask("start", {})["presets"] if p["own"]]
        assert names == ["a" * 40, "Größe/..\\x:é"]
    assert all(path.startswith("config/presets/") for path in files_below(tmp_path))


@pytest.mark.parametrize("name", ["", "   ", "a" * 41, "style", "Keep-Base", "a\nb", "a\0b"])
def test_names_that_no_preset_can_have_are_refused(tmp_path, name):
    with serving(tmp_path) as client:
        answer = client.ask("presets/save", {"name": name, "state": {"model": "flux-dev"}})
    assert answer["problems"]
    assert files_below(tmp_path) == {}


def test_presets_saved_at_once_are_all_kept(tmp_path):
    with serving(tmp_path) as client:

        def save(number: int) -> None:
            state = {"model": "flux-dev", "default_lr": f"{number + 1}x"}
            client.ask("presets/save", {"name": f"p{number % 6}", "state": state})

        threads = [threading.Thread(target=save, args=(number,)) for number in range(18)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        own = [preset for preset in client.ask("start", {})["presets"] if preset["own"]]
    assert [preset["name"] for preset in own] == [f"p{number}" for number in range(6)]
    assert len(files_below(tmp_path)) == 6


def test_what_somebody_else_put_into_the_folder_is_passed_over(tmp_path):
    folder = tmp_path / "config" / "presets"
    folder.mkdir(parents=True)
    good = {"name": "x", "model": "flux-dev", "stacks": {"double": 19, "single": 38}, "grid": {}}
    (folder / "a.json").write_text("{")
    (folder / "b.json").write_text("[]")
    (folder / "c.json").write_text(json.dumps({**good, "grid": {"weights": 5}}))
    (folder / "d.json").write_bytes(b"\xff")
    (folder / "e.json").mkdir()
    (folder / "f.txt").write_text(json.dumps(good))
    with serving(tmp_path) as client:
        assert not [preset for preset in client.ask("start", {})["presets"] if preset["own"]]
    (folder / "g.json").write_text(json.dumps(good))
    with serving(tmp_path) as client:
        assert [preset["name"] for preset in client.ask("start", {})["presets"] if preset["own"]] == ["x"]


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(GridError, match="cannot be made"):
        OwnPresets(tmp_path / "file").save("x", _state())


def _state():
    from lr_grid.ui.state_read import read_state

    return read_state({"model": "flux-dev"})


@pytest.mark.parametrize(
    ("environment", "platform", "expected"),
    [
        ({"LR_GRID_CONFIG": "/a"}, "linux", "/a"),
        ({"XDG_CONFIG_HOME": "/b"}, "linux", "/b/lr-grid"),
        ({"APPDATA": "/c"}, "win32", "/c/lr-grid"),
        ({}, "linux", "~/.config/lr-grid"),
        ({}, "darwin", "~/Library/Application Support/lr-grid"),
    ],
)
def test_the_settings_folder_is_where_the_system_keeps_such(environment, platform, expected):
    assert settings_folder(environment, platform) == Path(os.path.expanduser(expected))


# The whole command

_WATCHED = """
import json, os, sys, threading, urllib.request
opened = []
def watch(event, args):
    if event == "open" and isinstance(args[0], (str, bytes)):
        mode, flags = args[1] or "", args[2] or 0
        if set(mode) & set("wax+") or flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            opened.append(os.fsdecode(args[0]))
    elif event in ("os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.symlink", "shutil.move"):
        opened.append(f"{event} {args[0]}")
sys.dont_write_bytecode = True
sys.addaudithook(watch)
from lr_grid.cli import main
from lr_grid.ui import server as server_module
out = []
def use(self, poll_interval=0.5):
    threading.Thread(target=lambda: serve(self, 0.01), daemon=True).start()
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    def ask(name, data):
        headers = {"Content-Type": "application/json", "X-Lr-Grid-Token": self.guard.token}
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/api/{name}", json.dumps(data).encode(), headers)
        return json.load(opener.open(request))
    start = ask("start", {})
    state = {**start["state"], "components": {"ffn": "0.5x"}}
    text = "network_args = ['ffn_lr=2x']"
    for name, data in [("write", {"state": state}), ("parse", {"text": text}), ("model", {"model": "sdxl"}),
                       ("parse", {"text": "--network_args grid=grid.toml"}), ("file/read", {}),
                       ("file/poll", {"etag": ""}),
                       ("parse", {"text": "flux_train_network.py --config_file grid.toml --network_dim 4"}),
                       ("recommend", {"method": "rules", "fields": {"model": "sdxl"}}),
                       ("view", {"name": "x", "text": "{}"}),
                       ("profile/write", {"fields": {"model": "sdxl"}}), ("presets/delete", {"name": "none"})]:
        ask(name, data)
    out.append(list(opened))
    ask("file/save", {"state": state, "etag": start["file"]["etag"]})
    ask("presets/save", {"state": state, "name": "mine"})
    out.append(opened[len(out[0]):])
    out.append("torch" in sys.modules)
    raise KeyboardInterrupt
serve = server_module.UiServer.serve_forever
server_module.UiServer.serve_forever = use
code = main.main(["ui", "--file", "grid.toml", "--no-browser", "--port", "0", "--model", "flux"])
print(json.dumps([code, *out]))
"""


def test_nothing_is_written_but_what_was_saved_and_no_torch_is_imported(tmp_path):
    root = Path(__file__).parents[1]
    environment = {**os.environ, "HOME": str(tmp_path / "home"), "PYTHONPATH": str(root), "XDG_CONFIG_HOME": ""}
    (tmp_path / "home").mkdir()
    (tmp_path / "grid.toml").write_text('default_lr = "2x"\n')
    run = subprocess.run(
        [sys.executable, "-c", _WATCHED],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    printed = run.stdout.splitlines()
    assert printed[0].startswith("lr-grid ui: http://127.0.0.1:")
    code, before, saved, torch = json.loads(printed[-1])
    assert (code, before, torch) == (0, [], False)
    allowed = (str(tmp_path / "grid.toml"), str(tmp_path / "home" / ".config" / "lr-grid"), str(tmp_path / ".grid."))
    assert saved
    assert all(
        name.removeprefix("os.mkdir ").removeprefix("os.rename ").startswith((*allowed, str(tmp_path / "home")))
        for name in saved
    )
    assert [name[:5] for name in sorted(files_below(tmp_path))] == ["grid.", "home/"]
    assert "ended" in run.stderr


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")
def test_ctrl_c_ends_it_cleanly(tmp_path, stop):
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1]), "LR_GRID_CONFIG": str(tmp_path)}
    command = [sys.executable, "-m", "lr_grid", "ui", "--no-browser", "--port", "0"]
    run = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert run.stdout is not None
        lines = [run.stdout.readline() for _ in range(3)]
        port = int(lines[0].partition("127.0.0.1:")[2].partition("/")[0])
        with socket.create_connection(("127.0.0.1", port), timeout=10):  # somebody is connected all the while
            run.send_signal(stop)
            out, err = run.communicate(timeout=30)
    finally:
        run.kill()
    assert (run.returncode, out) == (0, "")
    assert err.strip() == "lr-grid ui: ended"


def test_the_end_waits_for_what_is_being_written(tmp_path):
    path = tmp_path / "grid.toml"
    with serving(tmp_path, str(path)) as client:
        assert client.page.file is not None
        client.page.file.lock.acquire()
        ended = threading.Thread(target=client.page.finish)
        ended.start()
        ended.join(0.1)
        assert ended.is_alive()
        client.page.file.lock.release()
        ended.join(5)
        assert not ended.is_alive()
