"""Any text that holds a grid to a state on the page's model, or whose grid it is."""

from __future__ import annotations

from lr_grid.models import find_model
from lr_grid.module_names import grid_module, wrapped_module
from lr_grid.ui.fits import models_of_blocks, models_of_module, same_layers
from lr_grid.ui.models import page_model
from lr_grid.ui.parsed import Asked, OtherModelError, Parsed
from lr_grid.ui.read import MisfitError, Read, read_arguments
from lr_grid.ui.recognise import recognise


def parse(text: str, asked: Asked) -> tuple[Parsed, Read]:
    """The state of a text.

    Raises: GridError with everything that is wrong, OtherModelError where it does not fit the model.
    """
    parsed = recognise(text, asked)
    blueprint = page_model(asked.model).blueprint
    if parsed.model and not same_layers(parsed.model, blueprint.name):
        raise OtherModelError(
            [f"the text is about {find_model(parsed.model).title}, and the page shows {blueprint.title}"],
            [parsed.model],
        )
    module = _module(parsed, asked.model)
    try:
        read = read_arguments(parsed.arguments, asked.model, module, was_run=parsed.form == "plan")
    except MisfitError as error:
        raise OtherModelError(error.problems, models_of_blocks(parsed.arguments, blueprint.name)) from None
    state = read.state
    state.base_lr = parsed.base_lr or asked.base_lr
    state.dim, state.alpha = (parsed.dim, parsed.alpha) if _tells_run(parsed) else (asked.dim, asked.alpha)
    state.command = parsed.command
    read.notes[:0] = [*parsed.notes, *parsed.losses.notes]
    return parsed, read


def _tells_run(parsed: Parsed) -> bool:
    """Whether the text is a whole run's: then a rank that it does not name is the trainer's own."""
    return bool(parsed.dim or parsed.alpha or parsed.command)


def _module(parsed: Parsed, name: str) -> str:
    """The network module for the state: a grid's, empty for the model's own.

    Raises: OtherModelError for a module of other models.
    """
    model = page_model(name)
    given = parsed.module
    if not given or given == "lr_grid.network":
        return given
    base = wrapped_module(given, parsed.arguments)
    if model.blueprint.trainer == "musubi-tuner" and base.startswith("networks.") and not given.endswith("_grid"):
        base = f"musubi_tuner.{base}"
    module = grid_module(base)
    if model.blueprint.network(base) is None:
        others = models_of_module(base)
        if others:
            raise OtherModelError([f"--network_module {given} is not for {model.blueprint.title}"], others)
        module = given  # told where the plan is made
    elif module != given and parsed.form != "plan":
        parsed.notes.append(f"--network_module {given} becomes {module}, which takes a grid")
    return "" if module == model.module else module
