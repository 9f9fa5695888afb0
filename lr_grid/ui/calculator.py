"""The base-LR calculator: both methods of ``lr-grid recommend``, and LRTool's profiles, for the page's fields."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from lr_grid.errors import GridError, Problems
from lr_grid.models.catalogue import model_names, plain
from lr_grid.recommend import bounds, lrtool, lrtool_profile
from lr_grid.recommend.disagreements import Case, cases, disagreements
from lr_grid.recommend.lrtool_limits import limits
from lr_grid.recommend.models import find_lrtool_model
from lr_grid.recommend.options import TAKES, configuration, setup
from lr_grid.recommend.recommendation import LIMITS, recommend
from lr_grid.recommend.report import lr_text, place
from lr_grid.recommend.rules import Rule
from lr_grid.ui import shape
from lr_grid.ui.calculator_fields import page_fields
from lr_grid.ui.shape import wrong
from lr_grid.values import number

_WHOLE = ("batch_size", "gradient_accumulation")
_NUMBERS = (*_WHOLE, "rank", "alpha", "resolution", "images", "steps", "offset", "loraplus_lr_ratio")
_TEXTS = ("model", "lrtool_model", "optimizer", "scheduler", "warmup", "objective")


def _arguments(fields: Mapping[str, Any]) -> Namespace:
    """The page's fields as the command's arguments.

    Raises: RequestError for a field that the page does not have, GridError for one that is no number.
    """
    names = {name for options in TAKES.values() for name in options}
    args = Namespace(**{**dict.fromkeys(names), "full_finetune": False, "rs_lora": False, "lrtool_model": None})
    problems = Problems()
    for name, value in fields.items():
        if name not in (*_NUMBERS, *_TEXTS) or not isinstance(value, (str, int, float)) or isinstance(value, bool):
            raise wrong(f"fields: {name!r:.40} is no field of the calculator")
        text = str(value).strip()
        if not text:
            continue
        if name in _TEXTS:
            setattr(args, name, text)
            continue
        try:
            given = number(text)
        except ValueError:
            problems.add(f"{name}: {text!r:.60} is not a number")
            continue
        if name in _WHOLE and given != int(given):
            problems.add(f"{name}: {text} is no whole number")
        setattr(args, name, int(given) if name in _WHOLE else given)
    problems.raise_if_any()
    return args


def recommended(data: Mapping[str, Any]) -> dict[str, Any]:
    """The answer of one method.

    Raises: GridError for values that cannot be, RequestError.
    """
    method, base = shape.text(data, "method"), _base_lr(data)
    if method not in ("rules", "lrtool"):
        raise wrong(f"method: {method!r:.40} is not known")
    args = _arguments(shape.table(data, "fields"))
    return _by_lrtool(args, base) if method == "lrtool" else _by_rules(args, base)


def _base_lr(data: Mapping[str, Any]) -> float | None:
    """The page's base LR; None where it is none that anybody trains with."""
    try:
        base = number(str(data.get("base_lr", "")).strip())
    except ValueError:
        return None
    low, high = bounds.LR
    return base if low <= base <= high else None


def _by_rules(args: Namespace, base: float | None) -> dict[str, Any]:
    given = setup(args)
    if given.alpha is not None and given.rank is None:
        given = replace(given, alpha=None)  # the page always holds both fields; an alpha alone says nothing
    result = recommend(given)
    differing = [] if result.own_lr else disagreements(*cases(given))
    notes = [*result.notes, *(f"{one.about}: {one.text}" for one in differing)]
    if not result.own_lr:
        notes += [*(f"assumed: {one}" for one in result.assumed), *LIMITS]
    return {
        "method": "rules",
        "low": result.lr.low,
        "typical": result.lr.typical,
        "high": result.lr.high,
        "source": result.anchor_source,
        "steps": [{"text": _step(rule)} for rule in result.rules],
        "notes": notes,
        "takes_grid": not result.own_lr,
        "place": "" if base is None else _place(base, result),
    }


def _step(rule: Rule) -> str:
    factors = f"x{rule.typical:.2g} (x{rule.low:.2g} to x{rule.high:.2g})"
    return f"{rule.name}: {factors}. {rule.why}. {rule.source}"


def _place(base: float, result: Any) -> str:
    where = place(base, result.lr, result.own_lr)
    if where.where == "factor":
        return f"{base:g} is no LR for {result.optimizer}: it multiplies the LR that it finds itself. Set 1"
    if where.where == "in":
        return f"{lr_text(base)} is in the range"
    return f"{lr_text(base)} is {where.where} the range, by {where.times:.2g} times"


def _chosen(args: Namespace) -> lrtool.Configuration:
    """LRTool's configuration of the fields.

    Raises: GridError.
    """
    args.model = args.lrtool_model or (find_lrtool_model(args.model) if args.model else None)
    if args.alpha is None and args.rank is not None:
        args.alpha = 1.0  # the trainers' own, and no share of LRTool's default rank
    return configuration(args)[0]


def _by_lrtool(args: Namespace, base: float | None) -> dict[str, Any]:
    chosen = _chosen(args)
    statistics = lrtool.statistics(chosen)
    lr = statistics["recommended_lr"]
    now: dict[str, Any] = dict.fromkeys(("stability", "stability_band", "efficiency", "efficiency_band"))
    offset = None if base is None else base / lr - 1
    if offset is not None:
        at = lrtool.statistics_at(chosen, offset)
        now = {
            "stability": at["stability_score"],
            "stability_band": at["risk_band"],
            "efficiency": at["efficiency_score"],
            "efficiency_band": at["efficiency_band"],
        }
    read = lrtool.as_read(chosen)
    differing = disagreements(Case(read["rank"], read["alpha"], read["batch"], read["grad_accum"], chosen.optimizer))
    return {
        "method": "lrtool",
        "lr": statistics["adjusted_lr"],
        "recommended": lr,
        **now,
        "implied_offset": offset,
        "notes": [
            *limits(replace(chosen, slider_offset=offset or 0.0)),
            *(f"{one.about}: {one.text}" for one in differing),
        ],
    }


def read_profile(text: str) -> dict[str, str]:
    """The fields of a profile that LRTool saved.

    Raises: GridError where it is none.
    """
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise GridError([f"the profile cannot be read: {error}"]) from None
    if not isinstance(data, dict) or not isinstance(data.get("configuration"), dict):
        raise GridError(["this is no LRTool profile: it has no table 'configuration'"])
    chosen = lrtool_profile.from_table(data["configuration"], lrtool.Configuration(), "the profile")
    problems = lrtool.check(chosen)
    if problems:
        raise GridError(problems)
    fields = page_fields(chosen)
    model = _model_of(fields["lrtool_model"])
    return {**fields, "model": model} if model else fields


def _model_of(name: str) -> str:
    """The catalogue's name of a model of LRTool; empty where the catalogue has none."""
    for model in model_names():
        try:
            if "/" not in model and plain(find_lrtool_model(model)) == plain(name):
                return model
        except GridError:
            continue
    return ""


def written_profile(fields: Mapping[str, Any]) -> str:
    """The profile, as LRTool loads it.

    Raises: GridError for values that cannot be.
    """
    chosen = _chosen(_arguments(fields))
    return lrtool_profile.text_of(chosen, lrtool.statistics(chosen))
