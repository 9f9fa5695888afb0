"""The settings grammar: key=value text, or a grid file, to a checked GridSettings. Nothing here knows a model.

The same keys work in ``--network_args`` and in a grid file; where both give one, --network_args wins. With ``te_`` in
front, a key speaks of all text encoders, with ``te1_``, ``te2_``, ``te3_`` of one (which wins over ``te_``). Every
problem is noted, none is raised here.
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
from lr_grid.words import COMPONENTS

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
_SECTION = re.compile(r"(te[123]?)_(.+)")
ENCODERS = ("te1", "te2", "te3")
EVERY_ENCODER = "te_"
"""What the keys begin with that speak of all text encoders."""
_TRAIN_INDICES = re.compile(r"train_(?:([a-z]\w*?)_)?block_indices")


@dataclass(frozen=True, slots=True)
class ModuleRule:
    """``regex:LR`` of module_lr (or of upstream's network_reg_lrs)."""

    pattern: re.Pattern[str]
    rate: Rate
    whole: bool = False
    """True: it must match the whole dotted path. False: it is searched in the path or the LoRA name."""


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
    it always lists everything, so a part of it that matches nothing is no mistake. In the settings of a text encoder:
    without their ``te_``."""
    encoders: dict[str, GridSettings] = field(default_factory=dict)
    """te1, te2, te3 -> the settings of that text encoder, where te_ keys give it any."""
    spelling: dict[str, str] = field(default_factory=dict)
    """In the settings of a text encoder: a key without its ``te_`` -> as it was given."""
    prefix: str = ""
    """In the settings of a text encoder: what its own keys begin with (``te1_``)."""
    notices: list[str] = field(default_factory=list)
    arguments: tuple[tuple[str, str], ...] = ()
    """What was given, file and arguments together, as text: for the record."""

    def key(self, name: str) -> str:
        """A key as the user spells it: ``te_ffn_lr`` for ffn_lr of a text encoder."""
        return self.spelling.get(name, self.prefix + name)

    def loraplus_key(self, name: str | None) -> str:
        """The key of a LoRA+ ratio: of a component, of ``unet`` or ``text_encoder``, or the overall one (None)."""
        return self.key(f"loraplus_{name}_lr_ratio" if name else "loraplus_lr_ratio")


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
# What a text encoder can be given: it has one stack, and module_lr reaches it without a key of its own.
_NOT_OF_ENCODERS = {
    *("per_layer_lr", "depth_scope", "module_lr", "grid"),
    *("train_double_block_indices", "train_single_block_indices"),
    *("loraplus_unet_lr_ratio", "loraplus_text_encoder_lr_ratio"),
}
ENCODER_KEYS = KEYS - _NOT_OF_ENCODERS
HINTS = (KEYS - {"grid"}) | {f"te_{key}" for key in ENCODER_KEYS}


def split_section(key: str) -> tuple[str, str]:
    """``te1_ffn_lr`` -> ("te1", "ffn_lr"); ``ffn_lr`` -> ("", "ffn_lr")."""
    match = _SECTION.fullmatch(key)
    return (match[1], match[2]) if match else ("", key)


def is_train_indices(key: str) -> bool:
    """Whether a key is ``train_block_indices`` or ``train_<stack>_block_indices`` of any stack of the U-Net or DiT."""
    return _TRAIN_INDICES.fullmatch(key) is not None


def is_grid_key(key: str) -> bool:
    """Whether a key belongs to the grammar."""
    section, name = split_section(key)
    return name in ENCODER_KEYS if section else key in KEYS or is_train_indices(key)


def read_settings(arguments: Mapping[str, Any], problems: Problems) -> GridSettings:
    """Parses the grid's own keys of --network_args (others are left alone) and the grid file they name."""
    own = {key: value for key, value in arguments.items() if is_grid_key(key)}
    file = _read_file(own.pop("grid"), problems) if "grid" in own else GridFile()
    published = _expand_components(file.published, f"{arguments.get('grid')}, per_layer_lr", problems)
    from_file = _expand_components(file.settings, str(arguments.get("grid")), problems)
    from_args = _expand_components(own, "--network_args", problems)
    for key in (*from_file, *published):
        if not is_grid_key(key) or key == "grid":
            problems.add(f"{arguments['grid']}: {key!r} is no setting of a grid.{did_you_mean(key, HINTS)}")

    raw = {key: value for key, value in {**published, **from_file, **from_args}.items() if key != "grid"}
    parsed = _parse_all(raw, problems)
    if parsed.get("per_layer_lr"):
        whole = any("component_lr" in given for given in (own, file.settings, file.published))
        for key, default in PUBLISHED_DEFAULTS.items():
            # component_lr given as a whole takes the place of the whole default: what it leaves out takes default_lr.
            if not (whole and key.removesuffix("_lr") in COMPONENTS):
                parsed.setdefault(key, PARSERS[key](default))
    settings = _build({key: value for key, value in parsed.items() if not split_section(key)[0]})
    settings.encoders = _encoder_settings(parsed)
    settings.notices = file.notices
    settings.arguments = tuple((key, str(value)) for key, value in raw.items())
    asked = {key for key in (*from_file, *from_args) if is_grid_key(key)} | ({"grid"} if published else set())
    settings.given = frozenset(key for key in asked if key != "per_layer_lr" or parsed.get(key))
    if all(key in parsed for key in raw if is_grid_key(key)):
        # A value that did not parse would only lead to wrong conclusions.
        source = {**dict.fromkeys(from_file, "file"), **dict.fromkeys(from_args, "args")}
        for part in (settings, *settings.encoders.values()):
            _check_contradictions(part, source, problems)
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
    result = dict(source)
    for key in [key for key in source if split_section(key)[1] == "component_lr"]:
        del result[key]
        _expand_table(key, source, where, result, problems)
    return result


def _expand_table(
    table_key: str, source: Mapping[str, Any], where: str, result: dict[str, Any], problems: Problems
) -> None:
    prefix, table = table_key.removesuffix("component_lr"), source[table_key]
    if isinstance(table, Mapping):
        pairs = [(str(component), value) for component, value in table.items()]
    else:
        items = [item.rpartition(":") for item in str(table or "").split(",") if item.strip()]
        pairs = [(component.strip(), value) for component, _, value in items]
    if not pairs:
        problems.add(f"{table_key}: is empty; write component:LR (e.g. self_attn:4e-4,ffn:0.75x)")
    for component, value in pairs:
        key = f"{prefix}{component}_lr"
        if not component:
            problems.add(f"{table_key}: {value!r} is not component:LR (e.g. self_attn:4e-4,ffn:0.75x)")
        elif component not in COMPONENTS:
            problems.add(f"{table_key}: {_no_component(component)}")
        elif key in source:
            problems.add(f"{where}: {key} and {table_key} both set {component}: keep one")
        elif key in result:
            problems.add(f"{table_key}: sets {component} twice")
        else:
            result[key] = value


def _parse_all(raw: Mapping[str, Any], problems: Problems) -> dict[str, Any]:
    parsed = {}
    for key, value in raw.items():
        if not is_grid_key(key):
            continue
        name = split_section(key)[1]
        parse = PARSERS.get(name, parse_indices)
        if value is None or (isinstance(value, str) and not value.strip() and not is_train_indices(name)):
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


def _encoder_settings(parsed: Mapping[str, Any]) -> dict[str, GridSettings]:
    """The settings of each text encoder: those of te_, then its own."""
    result = {}
    for encoder in ENCODERS:
        own: dict[str, Any] = {}
        spelling: dict[str, str] = {}
        for section in ("te", encoder):
            for key, value in parsed.items():
                at, name = split_section(key)
                if at == section:
                    own[name], spelling[name] = value, key
        if own:
            result[encoder] = _build(own)
            result[encoder].given = frozenset(own)
            result[encoder].spelling = spelling
            result[encoder].prefix = f"{encoder}_"
    return result


def _check_contradictions(settings: GridSettings, source: Mapping[str, str], problems: Problems) -> None:
    """Notes settings that exclude each other, where one source gives both: --network_args may overrule a file."""

    def clash(name: str, other: str) -> bool:
        key, other = settings.key(name), settings.key(other)
        return key in source and (other not in source or source[key] == source[other])

    strategy = settings.depth_strategy
    depth_strategy = settings.key("depth_strategy")
    if strategy == "flat":
        for name in ("min_depth_factor", "peak_position", "depth_scope", "depth_levels"):
            if clash(name, "depth_strategy"):
                key = settings.key(name)
                prefix = key.removesuffix(name)
                problems.add(
                    f"{key} has no effect with {prefix}depth_strategy=flat: set {prefix}depth_strategy,"
                    f" or leave {key} out"
                )
    elif strategy != "inverted_u" and clash("peak_position", "depth_strategy"):
        problems.add(
            f"{settings.key('peak_position')} belongs to {depth_strategy}=inverted_u, not to {strategy}",
        )
    if strategy.endswith("geometric") and settings.min_depth_factor == 0:
        problems.add(
            f"{settings.key('min_depth_factor')}: 0 makes {depth_strategy}={strategy} zero everywhere but at one end:"
            " give more than 0"
        )
    for component in COMPONENTS:
        name = f"{component}_lr"
        left_out = settings.train_components is not None and component not in settings.train_components
        rate = settings.component_lr.get(component)
        if left_out and rate is not None and rate.value != 0 and clash(name, "train_components"):
            problems.add(
                f"{settings.key(name)} is set, but {settings.key('train_components')} leaves {component} out:"
                " keep one of the two"
            )
