"""The settings grammar: key=value text, or a grid file, to a checked GridSettings. Nothing here knows a model.

The same keys work in ``--network_args`` and in a grid file; where both give one, --network_args wins. Every problem is
noted, none is raised here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from lr_grid import values
from lr_grid.blocks import BlockValues, Indices, parse_block_values, parse_indices
from lr_grid.depth import CURVES
from lr_grid.errors import Problems, did_you_mean
from lr_grid.gridfile import GridFile, load_grid_file
from lr_grid.values import RATE, Rate
from lr_grid.words import COMPONENTS, MAIN_PART

# What per_layer_lr=true gives to everything that is not set: the published per-layer system's defaults (absolute LRs).
PUBLISHED_DEFAULTS: dict[str, Any] = {
    "self_attn_lr": 4e-4,
    "cross_attn_lr": 2e-4,
    "ffn_lr": 3e-4,
    "norm_lr": 5e-5,
    "default_lr": 3e-4,
    "depth_strategy": "linear",
    "min_depth_factor": 0.3,
    "peak_position": 0.5,
}
_TRAIN_INDICES = re.compile(r"train_(?:([a-z]\w*?)_)?block_indices")


@dataclass(frozen=True, slots=True)
class ModuleRule:
    """``regex:LR`` of module_lr (or of upstream's network_reg_lrs)."""

    pattern: re.Pattern[str]
    rate: Rate


@dataclass
class GridSettings:
    """A grid, as asked for. LRs are Rates (absolute, or a multiple of the trainer's LR); factors are plain floats."""

    component_lr: dict[str, Rate] = field(default_factory=dict)
    default_lr: Rate | None = None
    depth_strategy: str = "flat"
    min_depth_factor: float = 0.3
    peak_position: float = 0.5
    depth_scope: str = "stack"
    depth_levels: int = 0
    block_lr_weight: BlockValues[float] | None = None
    block_lr: BlockValues[Rate] | None = None
    module_lr: tuple[ModuleRule, ...] = ()
    train_components: frozenset[str] | None = None
    train_block_indices: dict[str | None, Indices] = field(default_factory=dict)
    """Stack name -> what trains of it; key None: the model's only stack."""
    loraplus: dict[str | None, float] = field(default_factory=dict)
    """LoRA+ ratios by component, by ``unet`` / ``text_encoder``, and overall (None)."""
    given: frozenset[str] = frozenset()
    """Keys that were asked for, by arguments or file. The keys of a published block are not among them (``grid`` is):
    it always lists everything, so a part of it that matches nothing is no mistake."""
    notices: list[str] = field(default_factory=list)
    arguments: tuple[tuple[str, str], ...] = ()
    """What was given, file and arguments together, as text: for the record."""

    def loraplus_key(self, part: str, component: str) -> str | None:
        """Which of the LoRA+ ratios a cell takes: the component's (U-Net or DiT only), else the part's, else the
        overall one (None, which may not be there)."""
        keys = (component, "unet") if part == MAIN_PART else ("text_encoder",)
        return next((key for key in keys if key in self.loraplus), None)


def _choice(allowed: tuple[str, ...]) -> Callable[[object], str]:
    def parse(value: object) -> str:
        word = str(value).strip().lower()
        if word not in allowed:
            raise ValueError(f"{value!r} is unknown; allowed: {', '.join(allowed)}.{did_you_mean(word, allowed)}")
        return word

    return parse


def _levels(value: object) -> int:
    levels = values.count(value)
    if levels == 1:
        raise ValueError("1 level would be flat: give 0 (exact) or 2 and more")
    return levels


def _no_component(name: str) -> str:
    return f"{name!r} is no component; there are {', '.join(COMPONENTS)}.{did_you_mean(name, COMPONENTS)}"


def _components(value: object) -> frozenset[str]:
    words = value if isinstance(value, (list, tuple)) else str(value).split(",")
    names = [str(word).strip() for word in words if str(word).strip()]
    for name in names:
        if name not in COMPONENTS:
            raise ValueError(_no_component(name))
    if not names:
        raise ValueError(f"is empty; components are {', '.join(COMPONENTS)}")
    return frozenset(names)


def parse_module_rules(value: object) -> tuple[ModuleRule, ...]:
    """``regex:1e-4,regex:0.5x``, or a table / list of such (file). A regex may hold commas and colons.

    Raises: ValueError, naming the regex.
    """
    pairs: list[tuple[str, object]]
    if isinstance(value, Mapping):
        pairs = list(value.items())
    else:
        text = ",".join(str(v) for v in value) if isinstance(value, (list, tuple)) else str(value).strip()
        pairs, rest = [], text
        while rest:
            match = re.match(rf"(.+?):\s*({RATE})\s*(?:,|$)", rest)
            if not match:
                raise ValueError(f"{rest!r} is not regex:LR (e.g. double_blocks\\.0\\.:1e-4,img_mlp:0.5x)")
            pairs.append((match[1].strip(), match[2]))
            rest = rest[match.end() :].strip()
    if not pairs:
        raise ValueError("is empty; write regex:LR")
    rules = []
    for pattern, raw in pairs:
        try:
            rules.append(ModuleRule(re.compile(pattern), values.rate(raw)))
        except (re.error, OverflowError) as error:
            raise ValueError(f"the regex {pattern!r} does not compile: {error}") from None
    return tuple(rules)


Parser = Callable[[Any], Any]

PARSERS: dict[str, Parser] = {
    "per_layer_lr": values.flag,
    **{f"{component}_lr": values.rate for component in COMPONENTS},
    "default_lr": values.rate,
    "depth_strategy": _choice(tuple(CURVES)),
    "min_depth_factor": values.fraction,
    "peak_position": values.fraction,
    "depth_scope": _choice(("stack", "model")),
    "depth_levels": _levels,
    "block_lr_weight": lambda value: parse_block_values(value, values.number),
    "block_lr": lambda value: parse_block_values(value, values.rate),
    "module_lr": parse_module_rules,
    "train_components": _components,
    "train_block_indices": parse_indices,
    "train_double_block_indices": parse_indices,
    "train_single_block_indices": parse_indices,
    "loraplus_lr_ratio": values.ratio,
    "loraplus_unet_lr_ratio": values.ratio,
    "loraplus_text_encoder_lr_ratio": values.ratio,
    **{f"loraplus_{component}_lr_ratio": values.ratio for component in COMPONENTS},
}
KEYS = frozenset({*PARSERS, "component_lr", "grid"})


def is_train_indices(key: str) -> bool:
    """Whether a key is ``train_block_indices`` or ``train_<stack>_block_indices`` of any stack."""
    return _TRAIN_INDICES.fullmatch(key) is not None


def is_grid_key(key: str) -> bool:
    """Whether a key belongs to the grammar."""
    return key in KEYS or is_train_indices(key)


def read_settings(arguments: Mapping[str, Any], problems: Problems) -> GridSettings:
    """Parses the grid's own keys of --network_args (others are left alone) and the grid file they name."""
    own = {key: value for key, value in arguments.items() if is_grid_key(key)}
    file = _read_file(own.pop("grid"), problems) if "grid" in own else GridFile()
    published = _expand_components(file.published, f"{arguments.get('grid')}, per_layer_lr", problems)
    from_file = _expand_components(file.settings, str(arguments.get("grid")), problems)
    from_args = _expand_components(own, "--network_args", problems)
    for key in (*from_file, *published):
        if not is_grid_key(key) or key == "grid":
            problems.add(f"{arguments['grid']}: {key!r} is no setting of a grid.{did_you_mean(key, KEYS - {'grid'})}")

    raw = {key: value for key, value in {**published, **from_file, **from_args}.items() if key != "grid"}
    parsed = _parse_all(raw, problems)
    if parsed.get("per_layer_lr"):
        for key, default in PUBLISHED_DEFAULTS.items():
            parsed.setdefault(key, PARSERS[key](default))
    settings = _build(parsed)
    settings.notices = file.notices
    settings.arguments = tuple((key, str(value)) for key, value in raw.items())
    asked = {key for key in (*from_file, *from_args) if is_grid_key(key)} | ({"grid"} if published else set())
    settings.given = frozenset(key for key in asked if key != "per_layer_lr" or parsed.get(key))
    if all(key in parsed for key in raw if is_grid_key(key)):
        # A value that did not parse would only lead to wrong conclusions.
        source = {**dict.fromkeys(from_file, "file"), **dict.fromkeys(from_args, "args")}
        _check_contradictions(settings, source, problems)
    return settings


def _read_file(name: Any, problems: Problems) -> GridFile:
    """The grid file, or an empty one where it cannot be read (the problem is noted)."""
    if not str(name or "").strip():
        problems.add("grid: is empty; give the name of a .toml or .json file")
        return GridFile()
    try:
        file = load_grid_file(str(name))
    except ValueError as error:
        problems.add(f"grid: {error}")
        return GridFile()
    for key in filter(is_grid_key, file.unread):
        problems.add(f"{name}: {key} stands beside a published block, where it is not read: put it into --network_args")
    others = [key for key in file.unread if not is_grid_key(key)]
    if others:
        file.notices.append(f"{name}: only its published block is read, not {', '.join(others)}")
    return file


def _expand_components(source: Mapping[str, Any], where: str, problems: Problems) -> dict[str, Any]:
    """Spells ``component_lr`` out as one key a component; both forms for one component contradict each other."""
    result = {key: value for key, value in source.items() if key != "component_lr"}
    if "component_lr" not in source:
        return result
    table = source["component_lr"]
    if isinstance(table, Mapping):
        pairs = [(str(component), value) for component, value in table.items()]
    else:
        items = [item.rpartition(":") for item in str(table or "").split(",") if item.strip()]
        pairs = [(component.strip(), value) for component, _, value in items]
    if not pairs:
        problems.add("component_lr: is empty; write component:LR (e.g. self_attn:4e-4,ffn:0.75x)")
    for component, value in pairs:
        key = f"{component}_lr"
        if not component:
            problems.add(f"component_lr: {value!r} is not component:LR (e.g. self_attn:4e-4,ffn:0.75x)")
        elif component not in COMPONENTS:
            problems.add(f"component_lr: {_no_component(component)}")
        elif key in source:
            problems.add(f"{where}: {key} and component_lr both set {component}: keep one")
        elif key in result:
            problems.add(f"component_lr: sets {component} twice")
        else:
            result[key] = value
    return result


def _parse_all(raw: Mapping[str, Any], problems: Problems) -> dict[str, Any]:
    parsed = {}
    for key, value in raw.items():
        if not is_grid_key(key):
            continue
        parse = PARSERS.get(key, parse_indices)
        if value is None or (isinstance(value, str) and not value.strip() and not is_train_indices(key)):
            problems.add(f"{key}: is empty")
            continue
        try:
            parsed[key] = parse(value)
        except ValueError as error:
            problems.add(f"{key}: {error}")
    return parsed


def _build(parsed: Mapping[str, Any]) -> GridSettings:
    settings = GridSettings()
    for key, value in parsed.items():
        indices = _TRAIN_INDICES.fullmatch(key)
        if key.startswith("loraplus_"):
            name = key.removeprefix("loraplus_").removesuffix("lr_ratio").rstrip("_")
            settings.loraplus[name or None] = value
        elif indices:
            settings.train_block_indices[indices[1]] = value
        elif key.removesuffix("_lr") in COMPONENTS:
            settings.component_lr[key.removesuffix("_lr")] = value
        elif key != "per_layer_lr":
            setattr(settings, key, value)
    return settings


def _check_contradictions(settings: GridSettings, source: Mapping[str, str], problems: Problems) -> None:
    """Notes settings that exclude each other, where one source gives both: --network_args may overrule a file."""

    def clash(key: str, other: str) -> bool:
        return key in source and (other not in source or source[key] == source[other])

    strategy = settings.depth_strategy
    if strategy == "flat":
        for key in ("min_depth_factor", "peak_position", "depth_scope", "depth_levels"):
            if clash(key, "depth_strategy"):
                problems.add(f"{key} has no effect with depth_strategy=flat: set depth_strategy, or leave {key} out")
    elif strategy != "inverted_u" and clash("peak_position", "depth_strategy"):
        problems.add(f"peak_position belongs to depth_strategy=inverted_u, not to {strategy}")
    if strategy.endswith("geometric") and settings.min_depth_factor == 0:
        problems.add(
            f"min_depth_factor: 0 makes depth_strategy={strategy} zero everywhere but at one end: give more than 0"
        )
    for component in COMPONENTS:
        key = f"{component}_lr"
        left_out = settings.train_components is not None and component not in settings.train_components
        rate = settings.component_lr.get(component)
        if left_out and rate is not None and rate.value != 0 and clash(key, "train_components"):
            problems.add(f"{key} is set, but train_components leaves {component} out: keep one of the two")
