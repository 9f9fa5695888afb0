"""The pairs of --network_args, each with its place."""

from __future__ import annotations

from lr_grid.training.config import TrainingConfig
from lr_grid.training.finding import Finding

NAME = "network_args"


def read_network_args(config: TrainingConfig) -> None:
    """Splits the pairs of a config's --network_args as its trainer does; notes those that it would stop at."""
    value = config.values.get(NAME)
    if not isinstance(value, list):
        return
    given = next(one for one in reversed(config.given) if one.dest == NAME and one.known)
    for position, item in enumerate(value):
        place = given.items[position] if position < len(given.items) else given.place
        text = str(item)

        def tell(severity: str, message: str, cure: str = "", place=place) -> None:
            config.findings.append(Finding(severity, place, message, cure))

        key, equals, rest = text.partition("=")
        if not equals and not given.resolved:
            continue
        if not equals:
            before = str(value[position - 1]) if position else ""
            cure = f"A value holds no spaces: write {before}{text}" if before.endswith(",") and "=" in before else ""
            tell("error", f"network_args: {text!r} is no key=value pair, and the trainer stops at it", cure)
            continue
        if " " in text.strip() and "=" in rest:
            tell(
                "error", f"network_args: {text!r} is one argument with several pairs in it", "Quote each pair by itself"
            )
            continue
        if "=" in rest and config.trainer == "musubi-tuner":
            tell(
                "error",
                f"network_args: {text!r}: musubi-tuner splits at every = and stops at this",
                "Use : inside values",
            )
        if key != key.strip() or rest != rest.strip():
            tell("error", f"network_args: {text!r}: the spaces around = become part of key and value", "Leave them out")
            key, rest = key.strip(), rest.strip()
        if key in config.network_args:
            first = config.network_args_where[key]
            if config.network_args[key] == rest:
                tell("note", f"network_args: {key} is given twice, with the same value")
            else:
                at = f" (the first is at {first})" if first.line and first != place else ""
                tell("error", f"network_args: {key} is given twice: only {rest!r} counts{at}", "Keep one")
        config.network_args[key], config.network_args_where[key] = rest, place
