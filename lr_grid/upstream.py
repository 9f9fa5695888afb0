"""What the wrapped network module takes and does, read from the module the user has (so it follows their version)."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import textwrap
from collections.abc import Iterator, Mapping
from types import FunctionType, ModuleType
from typing import Any

from torch import nn

from lr_grid.errors import GridError, Problems, did_you_mean
from lr_grid.settings import ModuleRule
from lr_grid.values import Rate

# sd-scripts passes these itself, whether the module reads them or not (train_network.py, create_network call).
INJECTED = frozenset({"dropout", "neuron_dropout"})
# What people take from documentation of LyCORIS and try on a plain LoRA, where it does nothing.
LYCORIS_ONLY = frozenset(
    {"algo", "preset", "dora_wd", "use_tucker", "use_scalar", "train_norm", "use_cp", "use_conv_cp"}
)


def load_base(name: str) -> ModuleType:
    """Imports the wrapped network module.

    Raises: GridError where it cannot be imported.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        missing = error.name or name
        if name == missing or name.startswith(missing + "."):
            cure = (
                "pip install lycoris-lora"
                if name.startswith("lycoris")
                else "it is part of sd-scripts: start training with sd-scripts' own scripts"
            )
            raise GridError([f"the network module {name} was not found ({cure})"]) from error
        raise


def known_keys(function: FunctionType) -> frozenset[str] | None:
    """The keys that a ``create_network``-like function takes: its named parameters and every ``kwargs`` look-up in its
    source, followed into the functions and constructors that are handed its kwargs.

    None: no source to read (then nothing can be said about unknown arguments).
    """
    found: set[str] = set()
    try:
        _collect(function, _kwargs_name(function), found, set())
        given_by_trainer = {n for n, p in inspect.signature(function).parameters.items() if p.default is p.empty}
    except (OSError, TypeError, SyntaxError):
        return None
    return frozenset(found - given_by_trainer)


def _kwargs_name(function: FunctionType) -> str:
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind is parameter.VAR_KEYWORD:
            return parameter.name
    return ""


def _collect(function: FunctionType, variable: str, found: set[str], seen: set[tuple[Any, str]]) -> None:
    """Adds the keys read from the dict called ``variable`` in a function's body."""
    if (function, variable) in seen:
        return
    seen.add((function, variable))
    if variable == _kwargs_name(function):
        named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
        found.update(n for n, p in inspect.signature(function).parameters.items() if p.kind in named and n != "self")
    if not variable:
        return
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    for node in ast.walk(tree):
        found.update(_looked_up(node, variable))
        if isinstance(node, ast.Call):
            for target, parameter in _handed_on(node, variable, function):
                _collect(target, parameter, found, seen)


def _looked_up(node: ast.AST, variable: str) -> Iterator[str]:
    """Keys in ``v.get("key")``, ``v.pop("key")``, ``v["key"]`` and ``"key" in v``."""

    def is_variable(expression: ast.AST) -> bool:
        return isinstance(expression, ast.Name) and expression.id == variable

    key: ast.AST | None = None
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and is_variable(node.func.value):
        if node.func.attr in ("get", "pop", "setdefault") and node.args:
            key = node.args[0]
    elif isinstance(node, ast.Subscript) and is_variable(node.value):
        key = node.slice
    elif (
        isinstance(node, ast.Compare)
        and isinstance(node.ops[0], (ast.In, ast.NotIn))
        and is_variable(node.comparators[0])
    ):
        key = node.left
    if isinstance(key, ast.Constant) and isinstance(key.value, str):
        yield key.value


def _handed_on(call: ast.Call, variable: str, function: FunctionType) -> Iterator[tuple[FunctionType, str]]:
    """(function, its name for the dict) where a call passes the dict on, as an argument or as ``**v``."""
    positions = [i for i, a in enumerate(call.args) if isinstance(a, ast.Name) and a.id == variable]
    keywords = [k.arg for k in call.keywords if isinstance(k.value, ast.Name) and k.value.id == variable]
    if not positions and not keywords:
        return
    target = _resolve(call.func, function)
    if target is None:
        return
    names = [n for n in inspect.signature(target).parameters if n != "self"]
    for i in positions:
        if i < len(names):
            yield target, names[i]
    for keyword in keywords:
        yield target, keyword if keyword is not None else _kwargs_name(target)


def _resolve(expression: ast.AST, function: FunctionType) -> FunctionType | None:
    """The function (or constructor) a call's expression means, looked up in the calling function's globals."""
    if isinstance(expression, ast.Name):
        target = function.__globals__.get(expression.id)
    elif isinstance(expression, ast.Attribute) and isinstance(expression.value, ast.Name):
        target = getattr(function.__globals__.get(expression.value.id), expression.attr, None)
    else:
        return None
    if inspect.isclass(target):
        target = target.__init__
    return target if isinstance(target, FunctionType) else None


def check_arguments(
    base: str, known: frozenset[str] | None, arguments: Mapping[str, Any], grid_keys: frozenset[str], problems: Problems
) -> None:
    """Notes arguments that the wrapped module does not take: it would ignore them silently.

    Args:
        known: the keys it takes, or None where its source cannot be read (then nothing is noted).
        grid_keys: the grid's own, for did-you-mean.
    """
    if known is None:
        return
    for key in arguments:
        if key in known or key in INJECTED:
            continue
        hint = did_you_mean(key, [*grid_keys, *known])
        if key in LYCORIS_ONLY and not base.startswith("lycoris"):
            hint = " It belongs to LyCORIS: use --network_module networks.lycoris_grid."
        problems.add(f"{key}: neither lr-grid nor {base} takes this argument ({base} would ignore it silently).{hint}")


def check_regex_pairs(arguments: Mapping[str, Any], problems: Problems) -> None:
    """Notes what upstream drops with a warning or in silence in ``network_reg_lrs`` and ``network_reg_dims``."""
    for key, parse in (("network_reg_lrs", float), ("network_reg_dims", int)):
        for pair in str(arguments.get(key) or "").split(","):
            pattern, equals, value = (text.strip() for text in pair.partition("="))
            if not pair.strip():
                continue
            if not equals:
                problems.add(
                    f"{key}: {pair.strip()!r} is not regex=value (upstream splits at every comma, so a regex with a"
                    " comma cannot be given here; module_lr takes one)"
                )
                continue
            try:
                re.compile(pattern)
                parse(value)
            except re.error as error:
                problems.add(f"{key}: the regex {pattern!r} does not compile: {error}")
            except ValueError:
                problems.add(
                    f"{key}: {value!r} (for {pattern!r}) is not a {'number' if parse is float else 'whole number'}"
                )


_CURVE_NAMES = ("cosine", "sine", "linear", "reverse_linear", "zeros")
"""Curves of networks.lora's down_lr_weight and up_lr_weight (its linear rises, the grid's falls)."""


def check_block_curves(arguments: Mapping[str, Any], problems: Problems) -> None:
    """Notes ``down_lr_weight``, ``mid_lr_weight``, ``up_lr_weight`` that upstream would stumble over."""
    for key in ("down_lr_weight", "mid_lr_weight", "up_lr_weight"):
        value = arguments.get(key)
        if value is None:
            continue
        text = str(value)
        is_list = "," in text or key == "mid_lr_weight"
        name, _, base = text.partition("+")
        try:
            for number in text.split(",") if is_list else [base or "0"]:
                float(number or 0)  # upstream reads an empty place as 0
        except ValueError:
            problems.add(f"{key}: {text!r} holds something that is not a number")
        if not is_list and name not in _CURVE_NAMES:
            problems.add(
                f"{key}: {name!r} is neither a list of numbers nor a curve; curves are {', '.join(_CURVE_NAMES)},"
                f" each with +base if wanted (sine+.5).{did_you_mean(name, _CURVE_NAMES)}"
            )


def parse_regex_lrs(text: str) -> dict[str, float]:
    """``regex=LR,regex=LR`` (network_reg_lrs, already checked) as regex -> absolute LR."""
    pairs = (pair.partition("=") for pair in text.split(",") if pair.strip())
    return {pattern.strip(): float(lr) for pattern, _, lr in pairs}


def regex_rules(network: nn.Module) -> tuple[ModuleRule, ...]:
    """The network's ``network_reg_lrs``, as rules on the LoRA name (upstream's re.search, first match wins)."""
    rules = getattr(network, "reg_lrs", None) or {}
    return tuple(ModuleRule(re.compile(pattern), Rate(float(lr))) for pattern, lr in rules.items())


def block_weights(network: nn.Module) -> list[float] | None:
    """The weights of ``down_lr_weight``, ``mid_lr_weight`` and ``up_lr_weight``, one a block in kohya's numbering."""
    weights = getattr(network, "block_lr_weight", None)
    return [float(w) for w in weights] if getattr(network, "block_lr", False) and weights is not None else None


def network_modules(network: nn.Module, base: str) -> list[nn.Module]:
    """The network's modules (one LoRA pair each), text encoders first, in upstream's order.

    Raises: GridError for a network that does not keep them in upstream's two lists.
    """
    lists = [getattr(network, name, None) for name in ("text_encoder_loras", "unet_loras")]
    if lists[1] is None:
        raise GridError([f"{base} keeps its modules in an unknown way (no list unet_loras): lr-grid cannot grid it"])
    return [module for modules in lists for module in modules or []]


def drop_modules(network: nn.Module, names: set[str]) -> None:
    """Takes modules out of the network before apply_to: no LoRA is made for them."""
    for attribute in ("text_encoder_loras", "unet_loras", "loras"):
        modules = getattr(network, attribute, None)
        if isinstance(modules, list):
            setattr(network, attribute, [m for m in modules if m.lora_name not in names])
