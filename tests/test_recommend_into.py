"""--into: a recommended LR in a grid file. What is written is read again by read_settings and gives the LRs meant."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lr_grid.errors import GridError, Problems
from lr_grid.recommend.into_grid import into_grid
from lr_grid.recommend.toml_spans import values
from lr_grid.settings import read_settings
from lr_grid.toml_text import load_toml

GRID = """\
# my grid: 1.5x for style
self_attn_lr = "1.5x"   # was "2x"
ffn_lr = '0.5X'
norm_lr = 0
depth_strategy = "linear"
min_depth_factor = 0.3
block_lr = [ "1x",  # first, 4x
  "0.5x", 2e-4 ]
block_lr_weight = "double_0-6:0.5"
module_lr = "img_mlp:0.5x,[01]\\\\.2x:2x,double_blocks\\\\.0\\\\.:1e-4"
te_ffn_lr = "0.5x"

[component_lr]   # 7x
cross_attn = "4x" # 4x
mod = 3e-5
"""


def written(tmp_path, text, lr=1e-4):
    path = tmp_path / "grid.toml"
    path.write_text(text, encoding="utf-8")
    return into_grid(str(path), lr, "a test").write()


def read(path):
    problems = Problems()
    settings = read_settings({"grid": str(path)}, problems)
    problems.raise_if_any()
    return settings


def rates(mapping):
    assert not any(rate.relative for rate in mapping.values())
    return {key: pytest.approx(rate.value) for key, rate in mapping.items()}


def test_relative_lrs_become_absolute_and_the_rest_stays(tmp_path):
    result = written(tmp_path, GRID)
    settings = read(result.path)
    assert settings.default_lr.value == 1e-4
    assert rates(settings.component_lr) == {
        **{"self_attn": 1.5e-4, "ffn": 5e-5, "norm": 0, "cross_attn": 4e-4, "mod": 3e-5}
    }
    assert [rate.value for rate in settings.block_lr.positional] == [pytest.approx(x) for x in (1e-4, 5e-5, 2e-4)]
    assert [rule.pattern.pattern for rule in settings.module_lr] == ["img_mlp", r"[01]\.2x", r"double_blocks\.0\."]
    assert [rule.value.value for rule in settings.module_lr] == [pytest.approx(x) for x in (5e-5, 2e-4, 1e-4)]
    assert settings.encoders["te1"].component_lr["ffn"].relative  # it follows the trainer's --text_encoder_lr
    text = result.path.read_text(encoding="utf-8")
    for comment in ("# my grid: 1.5x for style", '# was "2x"', "# first, 4x", "# 7x", "# 4x"):
        assert comment in text
    keys = [one.key for one in values(text)]
    assert keys == [*[one.key for one in values(GRID)][:9], "default_lr", "cross_attn", "mod"]


def test_the_old_file_is_kept_and_no_kept_one_is_lost(tmp_path):
    first = written(tmp_path, GRID)
    assert first.backup.name == "grid.toml.bak"
    assert first.backup.read_text(encoding="utf-8") == GRID
    second = into_grid(str(first.path), 2e-4, "again").write()
    assert second.backup.name == "grid.toml.bak2"
    assert first.backup.read_text(encoding="utf-8") == GRID
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["grid.toml", "grid.toml.bak", "grid.toml.bak2"]


def test_a_file_with_a_base_of_its_own_keeps_its_shape(tmp_path):
    first = read(written(tmp_path, GRID).path)
    second = read(into_grid(str(tmp_path / "grid.toml"), 3e-4, "again").write().path)
    assert second.default_lr.value == pytest.approx(3e-4)
    assert rates(second.component_lr) == {
        name: pytest.approx(rate.value * 3) for name, rate in first.component_lr.items()
    }


def test_the_same_lr_again_changes_nothing(tmp_path):
    path = written(tmp_path, GRID).path
    before = path.read_text(encoding="utf-8")
    again = into_grid(str(path), 1e-4, "again").write()
    assert (again.backup, again.changes) == (None, [])
    assert path.read_text(encoding="utf-8") == before


def test_a_new_file_holds_the_lr_and_says_where_it_is_from(tmp_path):
    result = into_grid(str(tmp_path / "new.toml"), 1.2345678e-4, "lr-grid recommend: 1e-05 to 1e-03").write()
    assert result.backup is None
    assert read(result.path).default_lr.value == pytest.approx(1.2345678e-4, rel=1e-5)
    assert "# lr-grid recommend: 1e-05 to 1e-03" in result.path.read_text(encoding="utf-8")


def test_the_published_defaults_are_scaled_along(tmp_path):
    settings = read(written(tmp_path, 'per_layer_lr = true\nffn_lr = "2x"\n', 6e-4).path)
    assert settings.default_lr.value == pytest.approx(6e-4)
    assert rates(settings.component_lr) == {"self_attn": 8e-4, "cross_attn": 4e-4, "ffn": 1.2e-3, "norm": 1e-4}


def test_default_lr_of_1x_is_the_base_and_0_stays_frozen(tmp_path):
    assert read(written(tmp_path, 'default_lr = "1x"\nffn_lr = 5e-5').path).default_lr.value == 1e-4
    frozen = read(written(tmp_path, 'default_lr = 0\nffn_lr = "2x"\n').path)
    assert (frozen.default_lr.value, frozen.component_lr["ffn"].value) == (0, pytest.approx(2e-4))


@pytest.mark.parametrize(
    "text",
    [
        'component_lr = "self_attn:1.5x, ffn:3e-4"',
        'component_lr = { self_attn = "1.5x", ffn = 3e-4 }  # 9x',
        "component_lr = { 'self_attn' = '1.5x', \"ffn\" = '3e-4' }\r\n",
        '[component_lr]\n"self_attn" = "1.5x"\n ffn= 3e-4# 2x',
        'component_lr = """self_attn:1.5x,ffn:3e-4"""\n# end',
    ],
)
def test_spellings_of_one_table(tmp_path, text):
    assert rates(read(written(tmp_path, text).path).component_lr) == {"self_attn": 1.5e-4, "ffn": 3e-4}


def test_a_file_that_cannot_be_changed_line_by_line_is_refused_and_left_alone(tmp_path):
    text = 'component_lr.self_attn = "1.5x"\n'
    with pytest.raises(GridError, match="by hand"):
        written(tmp_path, text)
    assert (tmp_path / "grid.toml").read_text(encoding="utf-8") == text
    assert not (tmp_path / "grid.toml.bak").exists()


def test_tables_of_blocks_and_modules(tmp_path):
    text = '[block_lr]\n"double_0-6" = "2x"\nsingle = 3e-4\n[module_lr]\n"blocks.[0,1]:2" = "0.5x"\n'
    settings = read(written(tmp_path, text).path)
    assert [(e.stack, e.first, e.value.value) for e in settings.block_lr.entries] == [
        ("double", 0, pytest.approx(2e-4)),
        ("single", None, pytest.approx(3e-4)),
    ]
    assert [(r.pattern.pattern, r.value.value) for r in settings.module_lr] == [("blocks.[0,1]:2", pytest.approx(5e-5))]


def test_line_endings_stay(tmp_path):
    path = tmp_path / "grid.toml"
    path.write_bytes(b'ffn_lr = "2x"\r\n\r\n[component_lr]\r\nmod = "3x"\r\n')
    into_grid(str(path), 1e-4, "a test").write()
    raw = path.read_bytes()
    assert raw.count(b"\n") == raw.count(b"\r\n") == 5
    assert rates(read(path).component_lr) == {"ffn": 2e-4, "mod": 3e-4}


COMPONENT = st.sampled_from(["self_attn_lr", "cross_attn_lr", "ffn_lr", "norm_lr", "mod_lr", "fused_lr"])
MULTIPLE = st.floats(0.001, 100).map(lambda x: float(f"{x:.3g}"))


@given(st.dictionaries(COMPONENT, st.tuples(MULTIPLE, st.booleans()), min_size=1), st.floats(1e-6, 1e-2))
def test_any_grid_means_its_multiples_of_the_lr(tmp_path_factory, table, lr):
    folder = tmp_path_factory.mktemp("grid")
    lines = [
        f'{key} = "{value:g}x"  # {value}x' if relative else f"{key} = {value:g}"
        for key, (value, relative) in table.items()
    ]
    settings = read(written(folder, "\n".join(lines), lr).path)
    for key, (value, relative) in table.items():
        found = settings.component_lr[key.removesuffix("_lr")]
        assert not found.relative
        assert found.value == pytest.approx(value * lr if relative else value, rel=1e-5)


@given(st.text(alphabet="ab\"'#=[]{}\n, .1x\\", max_size=40))
def test_spans_of_any_text_that_is_toml_are_its_keys(text):
    """Every plain top-level key that tomllib finds is found, at a value without its comment."""
    try:
        table = load_toml(text)
    except ValueError:
        return
    found = {one.key: one for one in values(text) if not one.section}
    for key, value in table.items():
        if isinstance(value, (float, int)) and not isinstance(value, bool):
            code = "".join(text[start:end] for start, end in found[key].code)
            assert load_toml(f"v = {code}") == {"v": value}


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("grid.json", "{}", "give the name of a .toml grid"),
        ("grid.toml", "a = [", "cannot be read as TOML"),
        ("grid.toml", 'slef_attn_lr = "2x"', "slef_attn_lr"),
        ("grid.toml", 'default_lr = "0.5x"', "default_lr = 0.5x is a multiple of the base LR"),
        ("grid.toml", 'preset = "style"', "the LRs of a preset are multiples of the trainer's LR"),
        ("grid.toml", 'network_module = "networks.lora"\n', "is a training config, not a grid file"),
        ("grid.toml", "[model]\npretrained_model_name_or_path = 'x'\n", "is a training config, not a grid file"),
        ("grid.toml", "[per_layer_lr]\nenabled = true\n", "holds a published block"),
    ],
)
def test_what_is_no_grid_is_refused_and_left_alone(tmp_path, name, text, told):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    with pytest.raises(GridError) as error:
        into_grid(str(path), 1e-4, "a test").write()
    assert told in str(error.value)
    assert path.read_text(encoding="utf-8") == text
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_is_not_there_is_told(tmp_path):
    with pytest.raises(GridError, match="cannot be written"):
        into_grid(str(tmp_path / "none/grid.toml"), 1e-4, "a test").write()


def test_a_link_stays_a_link_and_the_mode_stays(tmp_path):
    (tmp_path / "real").mkdir()
    real, link = tmp_path / "real/shared.toml", tmp_path / "grid.toml"
    real.write_text('ffn_lr = "2x"\n', encoding="utf-8")
    real.chmod(0o600)
    link.symlink_to(real)
    result = into_grid(str(link), 1e-4, "a test").write()
    assert link.is_symlink()
    assert read(real).component_lr["ffn"].value == pytest.approx(2e-4)
    assert real.stat().st_mode & 0o777 == result.backup.stat().st_mode & 0o777 == 0o600
    assert result.backup.parent == real.parent


def test_a_link_to_a_file_that_is_not_there_yet_makes_it(tmp_path):
    link = tmp_path / "grid.toml"
    link.symlink_to(tmp_path / "new.toml")
    into_grid(str(link), 1e-4, "a test").write()
    assert link.is_symlink()
    assert read(tmp_path / "new.toml").default_lr.value == 1e-4


def test_the_comment_of_an_earlier_recommendation_is_renewed_and_no_other(tmp_path):
    path = tmp_path / "grid.toml"
    into_grid(str(path), 1e-4, "lr-grid recommend: 1.0e-04 to 1.0e-04").write()
    into_grid(str(path), 2e-4, "lr-grid recommend: 1.0e-04 to 4.0e-04").write()
    assert path.read_text(encoding="utf-8").splitlines()[1:] == [
        "default_lr = 0.0002  # lr-grid recommend: 1.0e-04 to 4.0e-04"
    ]
    again = into_grid(str(path), 2e-4, "lr-grid recommend: 1.5e-04 to 3.0e-04").write()  # the same LR, another range
    assert again.changes == ["default_lr = 0.0002  # lr-grid recommend: 1.5e-04 to 3.0e-04"]
    assert into_grid(str(path), 2e-4, "lr-grid recommend: 1.5e-04 to 3.0e-04").write().changes == []
    path.write_text("default_lr = 1e-4  # the LR of last week\r\nffn_lr = 2e-4\r\n", encoding="utf-8", newline="")
    into_grid(str(path), 2e-4, "lr-grid recommend: 1.0e-04 to 4.0e-04").write()
    assert path.read_bytes() == b"default_lr = 0.0002  # the LR of last week\r\nffn_lr = 0.0004\r\n"


def test_nothing_is_written_before_it_is_asked_for(tmp_path):
    path = tmp_path / "grid.toml"
    path.write_text('ffn_lr = "2x"\n', encoding="utf-8")
    job = into_grid(str(path), 1e-4, "a test")
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_text(encoding="utf-8") == 'ffn_lr = "2x"\n'
    job.write()
    assert len(list(tmp_path.iterdir())) == 2


def test_a_loop_of_links_and_a_folder_are_told(tmp_path):
    loop, folder = tmp_path / "loop.toml", tmp_path / "folder.toml"
    loop.symlink_to(loop)
    folder.mkdir()
    for path in (loop, folder):
        with pytest.raises(GridError, match=r"cannot be (written|read)"):
            into_grid(str(path), 1e-4, "a test").write()
