"""Which keys a network module's ``create_network`` takes, read from its source: so it follows the user's version."""

from __future__ import annotations

import ast
import builtins
import inspect
import logging
import textwrap
from collections.abc import Iterator
from types import FunctionType
from typing import Any

# Calls that look at a dict without taking settings from it.
_NEUTRAL = (print, len, str, repr, bool)
_LOOK_UPS = ("get", "pop", "setdefault")


class _LostTrackError(Exception):
    """The kwargs go somewhere their reader cannot be followed."""


def known_keys(function: FunctionType) -> frozenset[str] | None:
    """The keys that a ``create_network``-like function takes: its named parameters and every ``kwargs`` look-up in its
    source, followed into the functions and constructors that are handed its kwargs.

    None: the source cannot be read, or the kwargs cannot be followed. Then nothing is known of what it takes.
    """
    found: set[str] = set()
    try:
        _collect(function, _kwargs_name(function), found, set())
        parameters = inspect.signature(function).parameters.values()
    except (OSError, TypeError, SyntaxError, _LostTrackError):
        return None
    given_by_trainer = {p.name for p in parameters if p.default is p.empty}
    return frozenset(found - given_by_trainer)


def _kwargs_name(function: FunctionType) -> str:
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind is parameter.VAR_KEYWORD:
            return parameter.name
    return ""


def _collect(function: FunctionType, variable: str, found: set[str], seen: set[tuple[Any, str]]) -> None:
    """Adds the keys that a function reads from the dict called ``variable``.

    Raises: _LostTrackError for a use of the dict that is not understood.
    """
    if (function, variable) in seen:
        return
    seen.add((function, variable))
    if variable == _kwargs_name(function):
        # What has no default is handed over by the caller, not by the user's arguments.
        named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
        parameters = inspect.signature(function).parameters.values()
        found.update(p.name for p in parameters if p.kind in named and p.default is not p.empty)
    if not variable:
        return
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    uses = sum(isinstance(node, ast.Name) and node.id == variable for node in ast.walk(tree))
    uses -= _renames(tree, variable)
    for node in ast.walk(tree):
        uses -= _understand(node, variable, function, found, seen)
    if uses > 0:
        raise _LostTrackError


def _renames(tree: ast.AST, variable: str) -> int:
    """How many times a function goes through the items of a dict only to write some back under other keys (what LyCORIS
    does with deprecated names)."""
    loops = 0
    for loop in ast.walk(tree):
        if isinstance(loop, ast.For) and f"{variable}.items()" in ast.unparse(loop.iter):
            writes = [n for n in ast.walk(loop) if isinstance(n, ast.Subscript) and isinstance(n.ctx, ast.Store)]
            loops += any(ast.unparse(write.value) == variable for write in writes)
    return loops


def _understand(
    node: ast.AST, variable: str, function: FunctionType, found: set[str], seen: set[tuple[Any, str]]
) -> int:
    """Takes the keys from one node; returns how many uses of the dict it accounts for."""

    def is_dict(expression: ast.AST) -> bool:
        return isinstance(expression, ast.Name) and expression.id == variable

    if isinstance(node, ast.Subscript) and is_dict(node.value):
        if isinstance(node.ctx, ast.Load):
            found.add(_constant(node.slice))
        return 1
    if isinstance(node, ast.Compare) and isinstance(node.ops[0], (ast.In, ast.NotIn)) and is_dict(node.comparators[0]):
        found.add(_constant(node.left))
        return 1
    if not isinstance(node, ast.Call):
        return 0
    if isinstance(node.func, ast.Attribute) and is_dict(node.func.value):
        if node.func.attr in _LOOK_UPS and node.args:
            found.add(_constant(node.args[0]))
            return 1
        return int(node.func.attr == "update")
    handed_on = [*_handed_on(node, is_dict)]
    if not handed_on:
        return 0
    target = _resolve(node.func, function)
    if target in _NEUTRAL or isinstance(getattr(target, "__self__", None), logging.Logger):
        return len(handed_on)
    if inspect.isclass(target):
        target = target.__init__
    if not isinstance(target, FunctionType):
        return 0
    names = [name for name in inspect.signature(target).parameters if name != "self"]
    for where in handed_on:
        parameter = names[where] if isinstance(where, int) and where < len(names) else where
        _collect(target, _kwargs_name(target) if parameter is None else str(parameter), found, seen)
    return len(handed_on)


def _constant(expression: ast.AST) -> str:
    if isinstance(expression, ast.Constant) and isinstance(expression.value, str):
        return expression.value
    raise _LostTrackError


def _handed_on(call: ast.Call, is_dict: Any) -> Iterator[int | str | None]:
    """Where a call passes the dict on: a position, a keyword, or None for ``**dict``."""
    yield from (i for i, argument in enumerate(call.args) if is_dict(argument))
    yield from (keyword.arg for keyword in call.keywords if is_dict(keyword.value))


def _resolve(expression: ast.AST, function: FunctionType) -> Any:
    """What a call's expression means where the function stands: globals, enclosing functions, built-ins."""
    scope = {**vars(builtins), **function.__globals__, **inspect.getclosurevars(function).nonlocals}
    if isinstance(expression, ast.Name):
        return scope.get(expression.id)
    if isinstance(expression, ast.Attribute) and isinstance(expression.value, ast.Name):
        return getattr(scope.get(expression.value.id), expression.attr, None)
    return None
