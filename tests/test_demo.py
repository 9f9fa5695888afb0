"""The demo, run for real in a few steps: it learns, keeps what it says, and writes what it says."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

for package in ("torch", "sklearn", "lycoris", "accelerate", "diffusers", "matplotlib"):
    pytest.importorskip(package)

import torch  # noqa: E402
from safetensors import safe_open  # noqa: E402
from safetensors.torch import load_file  # noqa: E402

from lr_grid.cli.main import main  # noqa: E402
from lr_grid.demo import base, digits, flow  # noqa: E402
from lr_grid.demo import run as demo_run  # noqa: E402
from lr_grid.demo.options import DemoOptions  # noqa: E402
from lr_grid.errors import GridError  # noqa: E402

BASE_STEPS, STEPS, LR = 60, 24, 2e-3


@pytest.fixture(scope="module", autouse=True)
def short_demo(tmp_path_factory):
    """A cache folder of its own, few drawings, few held-out times, one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        patch.setattr(demo_run, "DRAWN_A_CLASS", 3)
        patch.setattr(flow, "HELD_OUT_TIMES", 3)
        yield
    torch.set_num_threads(threads)


def options(folder, **changes):
    return replace(DemoOptions(steps=STEPS, base_steps=BASE_STEPS, learning_rate=LR, output_dir=str(folder)), **changes)


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """(folder, result) of one short demo."""
    folder = tmp_path_factory.mktemp("demo")
    return folder, demo_run.run_demo(options(folder))


def lora_of(folder, name="digits_8_9"):
    return load_file(folder / f"{name}.safetensors")


def test_the_held_out_loss_of_the_new_digits_falls(done):
    _, result = done
    assert result.after.loss_new < 0.97 * result.before.loss_new


def test_the_saved_lora_is_what_was_measured(done):
    folder, result = done
    _, held_out = digits.load()
    new = held_out.only(digits.NEW_CLASSES)
    model = base.load_or_train(base.BaseRecipe(steps=BASE_STEPS), digits.load()[0])
    assert flow.held_out_loss(model, new.images, new.labels, 0) == pytest.approx(result.before.loss_new, abs=1e-6)
    lora = lora_of(folder)
    layers = {f"lora_unet_{path.replace('.', '_')}": layer for path, layer in model.named_modules()}
    with torch.no_grad():
        for name in {key.split(".")[0] for key in lora}:
            down, up = lora[f"{name}.lora_down.weight"], lora[f"{name}.lora_up.weight"]
            layers[name].weight += up @ down * (lora[f"{name}.alpha"] / len(down))
    assert flow.held_out_loss(model, new.images, new.labels, 0) == pytest.approx(result.after.loss_new, abs=1e-5)


def test_the_lora_has_the_keys_of_every_module_the_plan_trains(done):
    folder, result = done
    trained = {row.site.name for row in result.plan.rows if not row.frozen}
    assert len(result.plan.rows) == 60
    assert {f"lora_unet_blocks_{block}_cross_attn_k_proj" for block in range(6)} <= trained
    expected = {f"{name}.{tensor}" for name in trained for tensor in ("lora_down.weight", "lora_up.weight", "alpha")}
    assert lora_of(folder).keys() == expected


def test_the_lora_tells_how_it_was_made(done):
    folder, _ = done
    with safe_open(folder / "digits_8_9.safetensors", framework="pt") as file:
        metadata = file.metadata()
    assert metadata["ss_network_module"] == "networks.lycoris_grid"
    grid = dict(argument.split("=") for argument in DemoOptions().network_args)
    assert grid.items() <= json.loads(metadata["ss_network_args"]).items()
    assert metadata["ss_max_train_steps"] == str(STEPS)


def test_every_file_it_names_is_there(done):
    folder, result = done
    names = {"digits_8_9.safetensors", "digits_8_9.lr_grid.json", "digits_8_9.lr_grid.png", "digits_8_9.digits.png"}
    assert {file.name for file in result.files} == names
    assert names <= {file.name for file in folder.iterdir()}
    for name in names:
        if name.endswith(".png"):
            assert (folder / name).read_bytes().startswith(b"\x89PNG")


def test_the_plan_obeys_the_default_grid(done):
    _, result = done
    by_place = {(row.site.block, row.site.component): row for row in result.plan.rows}
    first, last = by_place[0, "cross_attn"], by_place[5, "cross_attn"]
    assert first.lr_down == pytest.approx(8 * LR)
    assert last.lr_down == pytest.approx(0.3 * first.lr_down)
    assert by_place[0, "self_attn"].lr_down == pytest.approx(0.5 * LR)
    assert all(row.frozen == (row.site.component == "ffn") for row in result.plan.rows)


def test_the_same_seed_gives_the_same_lora_and_another_does_not(done, tmp_path):
    folder, _ = done
    first = lora_of(folder)
    torch.rand(7)  # whatever the caller drew before must not matter
    demo_run.run_demo(options(tmp_path, output_name="again"))
    again = lora_of(tmp_path, "again")
    assert all(torch.equal(first[key], again[key]) for key in first)
    demo_run.run_demo(options(tmp_path, output_name="other", seed=1, steps=2, base_steps=2))
    other = lora_of(tmp_path, "other")
    assert any(not torch.equal(first[key], other[key]) for key in first)


def test_threads_and_random_state_are_left_as_they_were(done, tmp_path):
    torch.set_num_threads(2)
    state = torch.get_rng_state()
    demo_run.run_demo(options(tmp_path, steps=1))
    assert torch.get_num_threads() == 2
    assert torch.equal(torch.get_rng_state(), state)
    torch.set_num_threads(1)


def test_a_damaged_cache_is_trained_again_to_the_same_base(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    recipe, (train, _) = base.BaseRecipe(steps=2), digits.load()
    said = []
    whole = base.load_or_train(recipe, train, say=said.append).state_dict()
    (path,) = base.cache_folder().iterdir()
    content = path.read_bytes()
    flipped = content[:-9] + bytes([content[-9] ^ 1]) + content[-8:]
    for damaged in (b"", content[: len(content) // 2], flipped):
        path.write_bytes(damaged)
        said.clear()
        again = base.load_or_train(recipe, train, say=said.append).state_dict()
        assert "cannot be used" in said[0]
        assert all(torch.equal(whole[key], again[key]) for key in whole)
        assert load_file(path).keys() == whole.keys()
    said.clear()
    base.load_or_train(recipe, train, say=said.append)
    assert said == [f"base: loaded from {path}"]
    assert list(base.cache_folder().iterdir()) == [path]


def test_fresh_trains_again_over_a_whole_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    recipe, (train, _) = base.BaseRecipe(steps=2), digits.load()
    base.load_or_train(recipe, train)
    said = []
    base.load_or_train(recipe, train, fresh=True, say=said.append)
    assert said[0].startswith("base: trained")


def test_a_cache_that_cannot_be_written_is_told_and_does_no_harm(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    said = []
    base.load_or_train(base.BaseRecipe(steps=1), digits.load()[0], say=said.append)
    assert said[0].startswith("base: trained, but not kept")


def test_every_part_of_the_recipe_has_a_cached_file_of_its_own():
    recipe = base.BaseRecipe()
    changed = [replace(recipe, steps=1), replace(recipe, seed=1), replace(recipe, learning_rate=1e-3)]
    assert len({recipe.key(), *(other.key() for other in changed)}) == 4
    assert recipe.key() == base.BaseRecipe().key()


def test_training_and_held_out_digits_do_not_overlap():
    train, held_out = digits.load()
    assert len(train) + len(held_out) == 1797
    seen = {image.numpy().tobytes() for image in train.images}
    assert not any(image.numpy().tobytes() in seen for image in held_out.images)
    assert set(train.only(digits.BASE_CLASSES).labels.tolist()) == set(range(8))


def test_an_unknown_grid_argument_stops_the_demo_with_a_message(done, tmp_path, capsys):
    argv = ["demo", "--output_dir", str(tmp_path), "--base_steps", str(BASE_STEPS), "--network_args", "cros_attn_lr=2x"]
    assert main(argv) == 2
    text = capsys.readouterr().err
    assert "lr-grid: error:" in text
    assert "cros_attn_lr" in text
    assert "Traceback" not in text


def test_a_folder_that_cannot_be_made_stops_the_demo_with_a_message(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main(["demo", "--output_dir", str(tmp_path / "file" / "below")]) == 2
    assert "lr-grid: error: --output_dir" in capsys.readouterr().err


def test_lrs_that_blow_the_training_up_are_told(done, tmp_path):
    with pytest.raises(GridError, match="too high"):
        demo_run.run_demo(options(tmp_path, network_args=("ffn_lr=1e30",), steps=8))
