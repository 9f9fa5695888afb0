"""What the page is answered about a text: its state, or what is wrong with it, line by line."""

from __future__ import annotations

from functools import partial
from typing import Any

from lr_grid.errors import GridError
from lr_grid.ui.answer import problems_json
from lr_grid.ui.lines import line_of
from lr_grid.ui.models import page_model
from lr_grid.ui.parse import parse
from lr_grid.ui.parsed import Asked, OtherModelError
from lr_grid.ui.state import state_json


def parsed(text: str, model: str, base_lr: str, dim: str, alpha: str) -> dict[str, Any]:
    """A text of any form as a state.

    Args:
        model, base_lr, dim, alpha: the page's own, for what the text does not say.
    """
    find_line = partial(line_of, text=text)
    try:
        found, read = parse(text, Asked(model, base_lr, dim, alpha))
    except OtherModelError as error:
        named = [{"name": name, "title": page_model(name).blueprint.title} for name in error.fits]
        return {**problems_json(error.problems, find_line), **({"fits": named} if named else {})}
    except GridError as error:
        return problems_json(error.problems, find_line)
    state = read.state
    is_plain = state.model.rows == page_model(model).rows
    return {
        "form": found.form,
        "state": state_json(state),
        "model": None if is_plain else state.model.to_json(),
        "notes": read.notes,
        "lost": found.losses.lost,
        "unknown": list(state.kept),
    }
