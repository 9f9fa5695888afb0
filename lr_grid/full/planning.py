"""The plan of a full fine-tuning: from the trainer's own parameter groups, named, to an LR for every tensor.

What a multiple multiplies is the LR of the tensor's own group, so that --block_lr, --learning_rate_te1 and Anima's
--self_attn_lr keep their meaning; an absolute LR takes its place.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from lr_grid.binding import bind_settings
from lr_grid.errors import GridError, Problems
from lr_grid.full.naming import Root
from lr_grid.full.places import Named, read_places
from lr_grid.grid_settings import GridSettings
from lr_grid.plan import Plan, TrainerLrs
from lr_grid.planner import make_plan
from lr_grid.sites import Sites
from lr_grid.words import MAIN_PART

_HALF = 2
"""Bytes of a bf16 or fp16 number."""


@dataclass(frozen=True, slots=True)
class Planned:
    """What the plan says of one tensor."""

    name: str
    """Dotted path in its model; of a text encoder with its part in front (``te1.text_model...``)."""
    module: str
    """Name of the row that it belongs to."""
    lr: float
    """Absolute."""


@dataclass(frozen=True, slots=True)
class Planning:
    """The plan, and what it says of each tensor."""

    plan: Plan
    tensors: dict[int, Planned]
    """By id; of every tensor that trains or that an LR of 0 freezes."""
    modules: dict[str, Named]
    """Row name -> its tensors."""


def plan_groups(groups: Sequence[dict[str, Any]], roots: Sequence[Root], settings: GridSettings) -> Planning:
    """Plans all tensors of the trainer's groups.

    Args:
        groups: the trainer's, with ``params`` and ``lr`` (absolute).
        roots: the models that hold them.

    Raises: GridError with every problem of the settings.
    """
    problems = Problems()
    _refuse_settings(settings, problems)
    bases = _bases(groups)
    places = read_places(roots, set(bases))
    sites, modules, facts = places.sites, places.modules, places.facts
    bound = bind_settings(settings, sites, problems)
    # What is said of a LoRA's network holds of the run here.
    problems.found = [text.replace("this network has no", "this run trains no") for text in problems.found]
    problems.raise_if_any()
    base_of = {name: bases[id(parameters[0][1])] for name, parameters in modules.items()}
    by_part = {part: _common(base_of[s.name] for s in sites.all if s.part == part) for part in _parts(sites)}
    plans = [make_plan(bound, facts, _lrs(by_part, sites, turn), _parts(sites)) for turn in range(_most(by_part))]
    rows = {
        (part, base): {row.site.name: row for row in plan.rows}
        for turn, plan in enumerate(plans)
        for part, all_bases in by_part.items()
        for base in all_bases[turn : turn + 1]
    }
    tensors = {}
    for site in sites.all:
        for name, parameter in modules[site.name]:
            row = rows[site.part, bases[id(parameter)]][site.name]
            tensors[id(parameter)] = Planned(name, site.name, 0.0 if row.frozen else row.lr_down)
    chosen = [rows[row.site.part, base_of[row.site.name]][row.site.name] for row in plans[0].rows]
    size = min(parameter.element_size() for named in modules.values() for _, parameter in named)
    notices = (*plans[0].notices, *_about_bases(by_part))
    plan = replace(plans[0], rows=tuple(chosen), notices=notices, element_size=2 if size <= _HALF else 4)
    return Planning(plan, tensors, modules)


def _refuse_settings(settings: GridSettings, problems: Problems) -> None:
    """Notes settings that are about adapters."""
    if settings.ranks.keys:
        asked = [key + settings.origin(key) for key in sorted(settings.ranks.keys)]
        problems.add(f"{', '.join(asked)}: a rank is an adapter's, and here the model's own weights train")
    sides = sorted(key for key in settings.given if "loraplus" in key)
    if settings.loraplus or sides:
        asked = sides or ["loraplus_lr_ratio"]
        problems.add(
            f"{', '.join(asked)}: LoRA+ is about the two sides of an adapter, and here the model itself trains"
        )


def _bases(groups: Sequence[dict[str, Any]]) -> dict[int, float]:
    """Id of each tensor that trains -> the LR (absolute) of its group.

    Raises: GridError for a group without an LR above or below 0.
    """
    found = {}
    for index, group in enumerate(groups):
        lr = group.get("lr")
        if lr is None:
            raise GridError(
                [
                    f"parameter group {index} has no LR: the optimizer sets its own. A grid needs one:"
                    " Adafactor with relative_step=False scale_parameter=False warmup_init=False"
                ]
            )
        trains = [parameter for parameter in group["params"] if parameter.requires_grad]
        if trains and float(lr) == 0:
            raise GridError(
                [f"parameter group {index} has an LR of 0 (--learning_rate): multiples of it are 0, and nothing trains"]
            )
        found.update({id(parameter): float(lr) for parameter in trains})
    if not found:
        raise GridError(["nothing trains: no tensor that the optimizer was given has requires_grad"])
    return found


def _parts(sites: Sites) -> list[str]:
    return list(dict.fromkeys(site.part for site in sites.all))


def _common(bases: Iterable[float]) -> list[float]:
    """Distinct LRs, the most frequent first."""
    return [base for base, _ in Counter(bases).most_common()]


def _most(by_part: dict[str, list[float]]) -> int:
    return max(len(bases) for bases in by_part.values())


def _lrs(by_part: dict[str, list[float]], sites: Sites, turn: int) -> TrainerLrs:
    """The trainer's LRs for a plan: of each part the one whose turn it is."""
    of = {part: bases[min(turn, len(bases) - 1)] for part, bases in by_part.items()}
    encoders = tuple(of[part] for part in sites.encoder_of)
    default = of.get(MAIN_PART, encoders[0] if encoders else 0.0)
    several = len(by_part.get(MAIN_PART, ())) > 1
    return TrainerLrs(default, None, encoders, words="the LR of its parameter group" if several else "the trainer's LR")


def _about_bases(by_part: dict[str, list[float]]) -> list[str]:
    """A line on a trainer that has several LRs itself."""
    lines = []
    for part, bases in by_part.items():
        if len(bases) > 1:
            low, high = min(bases), max(bases)
            lines.append(
                f"the trainer has {len(bases)} LRs of its own for {part} ({low:g} to {high:g}): a multiple multiplies"
                " that of a tensor's own group, an absolute LR takes its place"
            )
    return lines
