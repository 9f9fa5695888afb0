"""``component_lr``: LRs of several components in one key, as text or as a table, spelt out as one key a component."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lr_grid.errors import Problems
from lr_grid.keys import no_component, split_section
from lr_grid.words import COMPONENTS


def expand_components(source: Mapping[str, Any], where: str, problems: Problems) -> dict[str, Any]:
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
            problems.add(f"{table_key}: {no_component(component)}")
        elif key in source:
            problems.add(f"{where}: {key} and {table_key} both set {component}: keep one")
        elif key in result:
            problems.add(f"{table_key}: sets {component} twice")
        else:
            result[key] = value
