"""The pictures of LoRA+, of ranks, and of two plans' ratio."""

from __future__ import annotations

from dataclasses import replace

import matplotlib
import pytest
from test_picture import bar_labels, narrow_plan, patches, plan, row, texts, wide_plan

from lr_grid.errors import GridError
from lr_grid.report.announce import announce
from lr_grid.report.picture import VIEWS, draw_diff, draw_plan, ranks_differ


def ranked(stack, block, component, rank, alpha, *, params=1000, saved=None, part="unet"):
    """A row with a rank; ``params`` train of ``saved`` numbers."""
    made = row(stack, block, component, 1e-4 if params else 0, part=part)
    shapes = ((params,),) if params else ()
    return made._replace(rank=rank, alpha=alpha, shapes=shapes, saved=params if saved is None else saved)


def cell_texts(figure):
    """``blocks:0:ffn:both`` -> what the cell says."""
    return {gid.removeprefix("text:cell:"): text for gid, text in texts(figure, "text:cell:").items()}


def test_a_view_that_does_not_exist_is_refused_with_the_ones_that_do(tmp_path):
    with pytest.raises(ValueError, match=r"no view 'ranks'. Did you mean rank\? Views: lr, loraplus, rank"):
        draw_plan(plan([row("blocks", 0, "ffn", 1e-4)]), tmp_path / "a.png", view="ranks")
    assert not (tmp_path / "a.png").exists()


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("rows", [[], [row("blocks", 0, "ffn", 0)], [row("blocks", 0, "ffn", 1e-4)]])
def test_every_view_draws_plans_with_nothing_to_compare(view, rows, tmp_path):
    draw_plan(plan(rows), tmp_path / "a.svg", view=view)
    assert b"<svg" in (tmp_path / "a.svg").read_bytes()


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("drawn", [wide_plan(), narrow_plan()], ids=["wide", "narrow"])
def test_everything_written_stands_inside_the_picture(view, drawn, tmp_path):
    figure = draw_plan(drawn, tmp_path / "a.png", view=view)
    for text in [text for axes in figure.axes for text in axes.texts] + figure.texts:
        box = text.get_window_extent()
        assert figure.bbox.x0 <= box.x0 < box.x1 <= figure.bbox.x1, text.get_text()
        assert figure.bbox.y0 <= box.y0 < box.y1 <= figure.bbox.y1, text.get_text()


# LoRA+


def test_loraplus_shows_ratios_and_white_is_no_loraplus(tmp_path):
    rows = [row("blocks", 0, "ffn", 1e-4, up=16e-4), row("blocks", 1, "ffn", 5e-5, up=2e-4)]
    rows += [row("blocks", 2, "ffn", 1e-4), row("blocks", 3, "ffn", 0)]
    rows += [row("blocks", 0, "mod", 1e-4, up=2e-4), row("blocks", 0, "mod", 1e-4)]
    figure = draw_plan(plan(rows), tmp_path / "a.png", view="loraplus")
    assert cell_texts(figure) == {
        "blocks:0:ffn:both": "×16",
        "blocks:1:ffn:both": "×4",
        "blocks:2:ffn:both": "×1",
        "blocks:3:ffn:both": "frozen",
        "blocks:0:mod:both": "×1–2",
    }
    colours = {gid: patch.get_facecolor()[:3] for gid, patch in patches(figure).items()}
    assert min(colours["cell:blocks:2:ffn:both"]) > 0.95
    # The higher the ratio, the less green is left of white.
    green = [colours[f"cell:blocks:{block}:ffn:both"][1] for block in (2, 1, 0)]
    assert green == sorted(green, reverse=True)
    assert (bar_labels(figure)[0], bar_labels(figure)[-1]) == ("×1", "×16")


def test_a_ratio_and_its_inverse_are_equally_far_from_white(tmp_path):
    rows = [row("blocks", 0, "ffn", 1e-4, up=4e-4), row("blocks", 1, "ffn", 4e-4, up=1e-4)]
    rows += [row("blocks", 2, "ffn", 1e-4, up=16e-4)]
    cells = patches(draw_plan(plan(rows), tmp_path / "a.png", view="loraplus"))
    above, below = (cells[f"cell:blocks:{block}:ffn:both"].get_facecolor() for block in (0, 1))
    colours = matplotlib.colormaps["RdBu_r"]
    assert above == pytest.approx(colours(0.75), abs=0.01)
    assert below == pytest.approx(colours(0.25), abs=0.01)


def test_modules_that_train_one_side_only_have_no_ratio(tmp_path):
    rows = [row("blocks", 0, "ffn", 1e-4)._replace(lr_down=0.0), row("blocks", 1, "ffn", 1e-4, up=4e-4)]
    figure = draw_plan(plan(rows), tmp_path / "a.png", view="loraplus")
    assert cell_texts(figure)["blocks:0:ffn:both"] == "up only"
    assert patches(figure, "frozen:") == {}
    assert "note:one_side" in texts(figure)


# ranks


def test_ranks_show_what_trains_and_what_has_no_lora(tmp_path):
    rows = [ranked("blocks", 0, "ffn", 8, 4, params=1500), ranked("blocks", 0, "ffn", 8, 4, params=500)]
    rows += [ranked("blocks", 1, "ffn", 16, 8, params=2_000_000), ranked("blocks", 2, "ffn", 0, None, params=0)]
    rows += [ranked("blocks", 3, "ffn", 4, 2, params=0, saved=64), ranked("blocks", 0, "norm", None, None, params=10)]
    figure = draw_plan(plan(rows), tmp_path / "a.png", view="rank")
    assert cell_texts(figure) == {
        "blocks:0:ffn:both": "8 · 2k",
        "blocks:1:ffn:both": "16 · 2M",
        "blocks:2:ffn:both": "none",
        "blocks:3:ffn:both": "4 · frozen",
        "blocks:0:norm:both": "no rank · 10",
    }
    assert bar_labels(figure) == ["4", "8", "16"]
    assert patches(figure, "frozen:").keys() == {"frozen:cell:blocks:2:ffn:both", "frozen:cell:blocks:3:ffn:both"}
    assert {"note:none", "note:partly", "note:unranked"} <= texts(figure, "note:").keys()
    assert texts(figure)["subtitle"] == "rank 4–16 · alpha/rank 0.5 · 2,002,010 parameters train"


def test_alphas_are_written_where_alpha_over_rank_is_not_the_same_everywhere(tmp_path):
    rows = [ranked("blocks", 0, "ffn", 8, 8), ranked("blocks", 1, "ffn", 16, 8)]
    figure = draw_plan(plan(rows), tmp_path / "a.png", view="rank")
    assert cell_texts(figure) == {"blocks:0:ffn:both": "8/8 · 1k", "blocks:1:ffn:both": "16/8 · 1k"}
    assert "alpha/rank 0.5–1" in texts(figure)["subtitle"]


def test_a_cell_of_several_ranks_shows_their_range(tmp_path):
    rows = [ranked("blocks", 0, "ffn", rank, rank / 2) for rank in (4, 16)]
    rows += [ranked("layers", 0, "ffn", 8, 4, part="te1")]
    figure = draw_plan(plan(rows), tmp_path / "a.png", view="rank")
    assert cell_texts(figure) == {"blocks:0:ffn:both": "4–16 · 2k"}
    assert "note:range" in texts(figure)
    assert texts(figure)["part:te1"] == "te1 (text encoder): 1 modules, rank 8, 1k parameters train"


SAME = [ranked("blocks", block, "ffn", 8, 4) for block in range(3)]


@pytest.mark.parametrize(
    ("rows", "differ"),
    [
        (SAME, False),
        ([], False),
        ([*SAME, ranked("blocks", 3, "ffn", None, None)], False),
        ([*SAME, ranked("blocks", 3, "ffn", 16, 4)], True),
        ([*SAME, ranked("blocks", 3, "ffn", 8, 8)], True),
        ([*SAME, ranked("blocks", 3, "ffn", 0, None, params=0)], True),
    ],
)
def test_beside_the_lora_lies_a_picture_of_ranks_where_they_differ(rows, differ, tmp_path, capsys):
    drawn = plan(rows)
    assert ranks_differ(drawn) == differ
    stale = tmp_path / "x.lr_grid.ranks.png"
    stale.write_bytes(b"of an earlier run")
    announce(drawn, "networks.lora", [{"params": []}], None, tmp_path / "x.lr_grid.json")
    files = {"x.lr_grid.json", "x.lr_grid.png"} | ({"x.lr_grid.ranks.png"} if differ else set())
    assert {file.name for file in tmp_path.iterdir()} == files
    told = "its pictures: x.lr_grid.png, x.lr_grid.ranks.png" if differ else "its picture: x.lr_grid.png"
    assert told in capsys.readouterr().out
    assert not differ or stale.read_bytes().startswith(b"\x89PNG")


# two plans


def test_the_diff_shows_ratios_and_marks_what_trains_in_one_only(tmp_path):
    a = plan([row("blocks", 0, "ffn", 1e-4), row("blocks", 1, "ffn", 1e-4), row("blocks", 2, "ffn", 0)])
    b = plan([row("blocks", 0, "ffn", 2e-4), row("blocks", 1, "ffn", 0), row("blocks", 2, "ffn", 1e-4)])
    a, b = (replace(p, rows=(*p.rows, row("blocks", 3, "ffn", 0), row("blocks", 0, "mod", 1e-4))) for p in (a, b))
    b = replace(b, rows=(*b.rows, row("blocks", 0, "norm", 1e-4)))
    figure = draw_diff(a, b, tmp_path / "a.png", names=("old.toml", "new.toml"))
    assert cell_texts(figure) == {
        "blocks:0:ffn:both": "×2",
        "blocks:1:ffn:both": "only a",
        "blocks:2:ffn:both": "only b",
        "blocks:3:ffn:both": "frozen",
        "blocks:0:mod:both": "×1",
        "blocks:0:norm:both": "only b",
    }
    cells = patches(figure)
    grounds = [cells[f"cell:blocks:{block}:ffn:both"].get_facecolor() for block in (1, 2, 3)]
    assert len(set(grounds)) == 3
    assert texts(figure)["subtitle"] == "a: old.toml · b: new.toml"
    assert {"note:only", "note:frozen", "note:blank"} >= texts(figure, "note:").keys() >= {"note:only", "note:frozen"}


def test_the_diff_splits_a_column_where_the_sides_changed_by_different_factors(tmp_path):
    a = plan([row("blocks", 0, "ffn", 1e-4, up=4e-4), row("blocks", 0, "mod", 1e-4, up=4e-4)])
    b = plan([row("blocks", 0, "ffn", 1e-4, up=16e-4), row("blocks", 0, "mod", 2e-4, up=8e-4)])
    figure = draw_diff(a, b, tmp_path / "a.svg")
    assert cell_texts(figure) == {"blocks:0:ffn:down": "×1", "blocks:0:ffn:up": "×4", "blocks:0:mod:both": "×2"}


def test_the_diff_of_a_plan_with_itself_is_all_one(tmp_path):
    rows = [row("blocks", 0, "ffn", 1e-4, up=4e-4), row("blocks", 1, "ffn", -1e-4)]
    drawn = plan([*rows, row(None, None, "self_attn", 1e-5, part="te1")])
    figure = draw_diff(drawn, drawn, tmp_path / "a.png")
    assert set(cell_texts(figure).values()) == {"×1"}
    assert texts(figure)["part:te1"] == "te1 (text encoder): ×1"


def test_plans_of_different_models_have_no_diff(tmp_path):
    a, b = plan([], {"blocks": 4}, "wan"), plan([], {"blocks": 5}, "wan")
    with pytest.raises(GridError, match=r"different models have no ratio: wan \(blocks 4\) and wan \(blocks 5\)"):
        draw_diff(a, b, tmp_path / "a.png")
    draw_diff(a, a, tmp_path / "a.png")
