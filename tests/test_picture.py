"""The picture of a plan: every cell once, with its LR, frozen and blank ones told apart."""

from __future__ import annotations

import subprocess
import sys

import pytest

matplotlib = pytest.importorskip("matplotlib")

import numpy as np  # noqa: E402
from PIL import Image  # noqa: E402

from lr_grid.plan import Plan, Row  # noqa: E402
from lr_grid.report.picture import OUTSIDE, draw_plan, format_lr, pixels  # noqa: E402
from lr_grid.sites import Site  # noqa: E402


def row(stack, block, component, lr, *, up=None, part="unet"):
    """One row of a plan; LRs absolute, 0 is frozen."""
    name = f"{part}_{stack}_{block}_{component}"
    return Row(Site(name, name, part, stack, block, component), 8, 8.0, lr, lr if up is None else up, lr == 0, "")


def plan(rows, stacks=None, family="flux"):
    return Plan(family, {"blocks": 4} if stacks is None else stacks, tuple(rows), 1e-4)


def flux_plan():
    rows = []
    for block in range(19):
        for component, modules in (("self_attn", 2), ("cross_attn", 4), ("ffn", 2), ("mod", 2)):
            rows += [row("double", block, component, 1e-4 / (block + 1)) for _ in range(modules)]
    for block in range(38):
        rows += [row("single", block, "fused", 2e-4 / (block + 1)) for _ in range(2)]
        rows.append(row("single", block, "mod", 3e-4 / (block + 1)))
    return plan(rows, {"double": 19, "single": 38})


def patches(figure, prefix="cell:"):
    """gid -> patch of everything drawn whose gid starts so."""
    return {
        patch.get_gid(): patch
        for axes in figure.axes
        for patch in axes.patches
        if (patch.get_gid() or "").startswith(prefix)
    }


def texts(figure, prefix=""):
    """gid -> text of everything written whose gid starts so."""
    found = [text for axes in figure.axes for text in axes.texts] + figure.texts
    return {text.get_gid(): text.get_text() for text in found if (text.get_gid() or "").startswith(prefix)}


def bar_labels(figure):
    (bar,) = (axes for axes in figure.axes if axes.get_label() == "colour bar")
    return [label.get_text() for label in bar.get_xticklabels()]


def test_flux_has_a_cell_for_every_block_and_component_of_both_stacks(tmp_path):
    figure = draw_plan(flux_plan(), tmp_path / "flux.png")
    expected = {
        f"cell:double:{block}:{component}:both"
        for block in range(19)
        for component in ("self_attn", "cross_attn", "ffn", "mod")
    } | {f"cell:single:{block}:{component}:both" for block in range(38) for component in ("fused", "mod")}
    assert patches(figure).keys() == expected
    numbers = texts(figure, "text:cell:")
    assert len(numbers) == len(expected)
    assert numbers["text:cell:double:1:ffn:both"] == "5e-5"
    assert numbers["text:cell:single:37:fused:both"] == "5.26e-6"


def test_the_colour_bar_ends_at_the_extreme_lrs_and_has_round_ticks_between(tmp_path):
    labels = bar_labels(draw_plan(flux_plan(), tmp_path / "flux.png"))
    assert (labels[0], labels[-1]) == ("5.26e-6", "3e-4")
    assert {"1e-4", "1e-5"} <= set(labels)


def test_equal_lrs_have_one_colour_and_higher_lrs_are_brighter(tmp_path):
    figure = draw_plan(
        plan([row("blocks", 0, "ffn", 1e-4), row("blocks", 1, "ffn", 1e-5), row("blocks", 2, "self_attn", 1e-4)]),
        tmp_path / "a.png",
    )
    colours = {gid: patch.get_facecolor() for gid, patch in patches(figure).items()}
    assert colours["cell:blocks:0:ffn:both"] == colours["cell:blocks:2:self_attn:both"]
    assert sum(colours["cell:blocks:0:ffn:both"][:3]) > sum(colours["cell:blocks:1:ffn:both"][:3])


def test_the_scale_is_logarithmic(tmp_path):
    rows = [row("blocks", index, "ffn", lr) for index, lr in enumerate((1e-6, 1e-5, 1e-4))]
    middle = patches(draw_plan(plan(rows), tmp_path / "a.png"))["cell:blocks:1:ffn:both"].get_facecolor()
    assert middle == pytest.approx(matplotlib.colormaps["viridis"](0.5), abs=0.01)


def test_frozen_cells_are_hatched_and_say_so_and_blank_cells_are_not_drawn(tmp_path):
    figure = draw_plan(plan([row("blocks", 0, "ffn", 0), row("blocks", 1, "mod", 1e-4)]), tmp_path / "a.png")
    assert patches(figure).keys() == {"cell:blocks:0:ffn:both", "cell:blocks:1:mod:both"}
    (hatched,) = patches(figure, "frozen:").values()
    assert hatched.get_hatch()
    assert texts(figure, "text:cell:")["text:cell:blocks:0:ffn:both"] == "frozen"
    assert {"note:frozen", "note:blank"} <= texts(figure, "note:").keys()


def test_a_full_plan_has_no_notes_it_does_not_need(tmp_path):
    figure = draw_plan(plan([row("blocks", i, "ffn", 1e-4) for i in range(4)]), tmp_path / "a.png")
    assert texts(figure, "note:") == {}


def test_a_cell_of_several_lrs_shows_their_range_and_the_colour_of_their_geometric_mean(tmp_path):
    rows = [row("unet", 0, "ffn", 1e-5), row("unet", 0, "ffn", 1e-3), row("unet", 1, "ffn", 1e-4)]
    rows += [row("unet", 2, "ffn", 1e-6)]
    figure = draw_plan(plan(rows, {"unet": 3}, "sdxl"), tmp_path / "a.png")
    assert texts(figure, "text:cell:")["text:cell:unet:0:ffn:both"] == "1e-5–1e-3"
    cells = patches(figure)
    mean = cells["cell:unet:0:ffn:both"].get_facecolor()
    assert mean == pytest.approx(cells["cell:unet:1:ffn:both"].get_facecolor())
    assert "geometric mean" in texts(figure)["note:range"]


def test_a_partly_frozen_cell_keeps_its_lr_and_is_marked(tmp_path):
    figure = draw_plan(plan([row("blocks", 0, "ffn", 0), row("blocks", 0, "ffn", 1e-4)]), tmp_path / "a.png")
    assert texts(figure, "text:cell:") == {"text:cell:blocks:0:ffn:both": "1e-4"}
    (mark,) = patches(figure, "frozen:").values()
    assert mark.get_width() < patches(figure)["cell:blocks:0:ffn:both"].get_width() / 2
    assert "note:partly" in texts(figure)


def test_loraplus_splits_a_column_into_both_sides(tmp_path):
    rows = [row("blocks", 0, "ffn", 1e-4, up=4e-4), row("blocks", 0, "mod", 1e-4)]
    numbers = texts(draw_plan(plan(rows), tmp_path / "a.png"), "text:cell:")
    assert numbers == {
        "text:cell:blocks:0:ffn:down": "1e-4",
        "text:cell:blocks:0:ffn:up": "4e-4",
        "text:cell:blocks:0:mod:both": "1e-4",
    }


def test_modules_outside_the_blocks_and_text_encoders_have_their_place(tmp_path):
    rows = [row("blocks", 0, "ffn", 1e-4), row(None, None, "embed", 2e-4)]
    rows += [row("layers", block, "self_attn", lr, part="te1") for block, lr in enumerate((1e-5, 2e-5, 0))]
    figure = draw_plan(plan(rows), tmp_path / "a.png")
    assert patches(figure).keys() == {"cell:blocks:0:ffn:both", f"cell:{OUTSIDE}:0:embed:both"}
    assert texts(figure)["part:te1"] == "te1 (text encoder): 3 modules, LR 1e-5–2e-5, 1 frozen"


@pytest.mark.parametrize("rows", [[], [row("blocks", 0, "ffn", 0)], [row("blocks", 0, "ffn", 1e-4)]])
def test_plans_with_no_range_of_lrs_can_be_drawn(rows, tmp_path):
    draw_plan(plan(rows), tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 1000


@pytest.mark.parametrize(("blocks", "components", "numbers"), [(60, 4, True), (240, 6, False)])
def test_numbers_are_left_out_only_where_nobody_could_read_them(blocks, components, numbers, tmp_path):
    names = ("self_attn", "cross_attn", "ffn", "mod", "norm", "other")[:components]
    rows = [row("blocks", i, name, 1e-4 / (i + 1)) for i in range(blocks) for name in names]
    figure = draw_plan(plan(rows, {"blocks": blocks}), tmp_path / "a.png")
    assert len(patches(figure)) == blocks * components
    assert len(texts(figure, "text:cell:")) == (blocks * components if numbers else 0)
    assert max(figure.get_size_inches()) < 16


def test_a_long_stack_goes_on_in_the_next_column_under_a_head_of_its_own(tmp_path):
    figure = draw_plan(plan([row("blocks", i, "ffn", 1e-4) for i in range(40)], {"blocks": 40}), tmp_path / "a.png")
    heads = texts(figure, "stack:")
    assert heads["stack:blocks:0"] == "blocks · 40 blocks"
    assert len(heads) > 1
    cells = patches(figure)
    for gid, text in list(heads.items())[1:]:
        first = int(gid.rpartition(":")[2])
        assert text.startswith(f"blocks {first}–")
        before, begins = cells[f"cell:blocks:{first - 1}:ffn:both"], cells[f"cell:blocks:{first}:ffn:both"]
        assert begins.get_x() > before.get_x()
        assert begins.get_y() == cells["cell:blocks:0:ffn:both"].get_y() < before.get_y()


@pytest.mark.parametrize("name", ["flux", "encoders", "narrow"])
def test_no_cell_covers_another_and_each_stands_once(name, tmp_path):
    drawn = {"flux": flux_plan(), "encoders": encoder_plan(), "narrow": narrow_plan()}[name]
    boxes = sorted(
        (p.get_x(), p.get_y(), p.get_width(), p.get_height()) for p in all_cells(draw_plan(drawn, tmp_path / "a.png"))
    )
    for index, (x, y, width, height) in enumerate(boxes):
        for other_x, other_y, _, _ in boxes[index + 1 :]:
            assert other_x >= x + width - 1e-6 or other_y >= y + height - 1e-6 or other_y + height <= y + 1e-6


def all_cells(figure):
    return [p for axes in figure.axes for p in axes.patches if (p.get_gid() or "").startswith("cell:")]


def encoder_plan():
    """A U-Net with few blocks that hold modules, and two text encoders, one with a grid of its own."""
    rows = [row("unet", block, "ffn", 1e-4) for block in (5, 6, 8, 11)]
    rows += [row("layers", block, "self_attn", 1e-5 * (block + 1), part="te1") for block in range(12)]
    rows += [row("layers", block, "self_attn", 3e-5, part="te2") for block in range(32)]
    stacks = {"te1": {"layers": 12}}
    return Plan("sdxl", {"unet": 23}, tuple(rows), 1e-4, encoder_stacks=stacks)


def test_text_encoders_with_a_grid_are_stacks_and_the_others_a_line(tmp_path):
    figure = draw_plan(encoder_plan(), tmp_path / "a.png")
    assert texts(figure, "stack:te1")["stack:te1 layers:0"] == "te1 layers · 12 blocks"
    assert texts(figure, "text:cell:te1 layers:11:")["text:cell:te1 layers:11:self_attn:both"] == "1.2e-4"
    assert texts(figure, "part:") == {"part:te2": "te2 (text encoder): 32 modules, LR 3e-5"}


def test_runs_of_blocks_without_modules_share_a_line(tmp_path):
    figure = draw_plan(encoder_plan(), tmp_path / "a.png")
    labels = {text.get_text() for axes in figure.axes for text in axes.texts}
    assert {"0–4", "5", "6", "7", "8", "9–10", "11", "12–22"} <= labels
    assert "note:blank" in texts(figure)


def wide_plan():
    rows = [*flux_plan().rows, row(None, None, "embed", 1e-4)]
    rows += [row("double", 0, "ffn", 0), row(None, None, "self_attn", 1e-5, part="te1")]
    return plan(rows, {"double": 19, "single": 38})


def narrow_plan():
    rows = [
        row("context_refiner", 0, "ffn", 1e-5, up=1e-4),
        row("context_refiner", 0, "ffn", 1e-3),
        row(None, None, "other", 0),
    ]
    return plan(rows, {"context_refiner": 1})


@pytest.mark.parametrize("drawn", [wide_plan(), narrow_plan()], ids=["wide", "narrow"])
def test_everything_written_stands_inside_the_picture(drawn, tmp_path):
    figure = draw_plan(
        drawn, tmp_path / "a.png", title="a title about as long as people make them, with the name of a run"
    )
    size = figure.bbox
    for text in [text for axes in figure.axes for text in axes.texts] + figure.texts:
        box = text.get_window_extent()
        assert size.x0 <= box.x0 < box.x1 <= size.x1, text.get_text()
        assert size.y0 <= box.y0 < box.y1 <= size.y1, text.get_text()


def test_suffix_chooses_the_format_and_others_are_refused(tmp_path):
    draw_plan(flux_plan(), tmp_path / "a.png")
    draw_plan(flux_plan(), tmp_path / "a.svg")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    assert b"<svg" in (tmp_path / "a.svg").read_bytes()
    with pytest.raises(ValueError, match=r"\.png or \.svg"):
        draw_plan(flux_plan(), tmp_path / "a.jpg")


def test_a_png_is_small_and_shows_what_was_drawn(tmp_path):
    figure = draw_plan(flux_plan(), tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size < 200_000
    with Image.open(tmp_path / "a.png") as saved:
        drawn = np.asarray(saved.convert("RGB")).astype(int)
    assert np.abs(drawn - np.asarray(pixels(figure)).astype(int)).max(axis=2).mean() < 2


def test_the_title_can_be_chosen(tmp_path):
    figure = draw_plan(flux_plan(), tmp_path / "a.png", title="my run")
    assert texts(figure)["title"] == "my run"


def test_drawing_leaves_pyplot_alone():
    code = "import sys, lr_grid.report.picture; assert 'matplotlib.pyplot' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("lr", "text"), [(4e-4, "4e-4"), (2.464e-4, "2.46e-4"), (1.0, "1e0"), (9.999e-5, "1e-4"), (1.5e-10, "1.5e-10")]
)
def test_lrs_are_written_short(lr, text):
    assert format_lr(lr) == text


def test_a_negative_lr_is_drawn_by_its_size_with_its_sign(tmp_path):
    rows = [row("blocks", 0, "ffn", -2e-4), row("blocks", 1, "ffn", 1e-4)]
    figure = draw_plan(plan(rows), tmp_path / "grid.png")
    assert any("-2e-4" in text for text in texts(figure).values())
    assert "note:negative" in texts(figure, "note:")
