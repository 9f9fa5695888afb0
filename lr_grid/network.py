"""Any network module with an LR grid: the wrapped module makes the network, then its class is swapped for a subclass.

Usable itself (``--network_module lr_grid.network --network_args base=networks.lora_sd3 ...``) and behind the few-line
modules under networks/. LoRA math, saving, merging and dropout stay the wrapped module's. Without a grid argument the
optimizer groups, too, are exactly the wrapped module's.
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from types import ModuleType
from typing import Any

from torch import nn

from lr_grid.accepted import known_keys
from lr_grid.anatomy import Layout
from lr_grid.anatomy.detect import read_layout
from lr_grid.arguments import settings_among, split_off
from lr_grid.binding import bind_settings
from lr_grid.convolutions import check_conv_dim, unasked_convs
from lr_grid.errors import GridError, Problems
from lr_grid.grid_network import swap_class
from lr_grid.grid_settings import GridSettings
from lr_grid.grid_state import GridState
from lr_grid.keys import OF_THE_RUN, is_grid_key, is_indices
from lr_grid.passed_on import BLOCK_WEIGHTS, INJECTED, NO_UP_SIDE, about_reg_dims
from lr_grid.placing import read_sites
from lr_grid.plan import ModuleFacts
from lr_grid.quirks import check_lycoris, idle_arguments, takes_a_dropout
from lr_grid.rank_arguments import DEFAULT_DIM, base_ranks_notice
from lr_grid.rank_settings import RankSettings
from lr_grid.settings import read_settings
from lr_grid.sides import is_known_plus, side_of
from lr_grid.upstream import (
    block_weights,
    keep_presets,
    load_base,
    network_modules,
    own_parameters,
    parse_regex_lrs,
    regex_dims,
    regex_rules,
    replace_modules,
)


class GridModule:
    """The network-module contract of kohya's trainers (create_network, create_network_from_weights) around a base."""

    def __init__(self, base_name: str):
        self.base: ModuleType = load_base(base_name)
        self.base_name = base_name
        # musubi-tuner's modules have create_arch_network; what its lora module calls create_network is another thing.
        self._make = getattr(self.base, "create_arch_network", None) or self.base.create_network
        self._known = known_keys(self._make)
        # networks.lora widens its class list of target modules when it makes a network from weights (--base_weights)
        # and never narrows it; a grid counts modules, so it starts from the list as it was.
        self._targets = {
            (cls, name): copy.copy(value)
            for cls in vars(self.base).values()
            if isinstance(cls, type) and cls.__module__ == self.base.__name__
            for name, value in vars(cls).items()
            if "TARGET_REPLACE" in name and isinstance(value, list)
        }

    def create_network(
        self,
        multiplier: float,
        network_dim: int | None,
        network_alpha: float | None,
        vae: Any,
        text_encoder: Any,
        unet: Any,
        /,
        neuron_dropout: float | None = None,
        **kwargs: Any,
    ) -> Any:
        """Makes the wrapped module's network and puts the grid on it.

        ``kwargs`` are the trainer's --network_args: keys of the grid, and keys of the wrapped module.

        Raises: GridError with every problem of the arguments, before training starts.
        """

        def make(passed: dict[str, Any]) -> Any:
            return self._make(
                multiplier, network_dim, network_alpha, vae, text_encoder, unet, neuron_dropout=neuron_dropout, **passed
            )

        return self._with_grid(make, self._make, kwargs, unet, text_encoder, network_dim)

    create_arch_network = create_network
    """What musubi-tuner calls it."""

    def create_arch_network_from_weights(
        self,
        multiplier: float,
        weights_sd: Any,
        text_encoders: Any = None,
        unet: Any = None,
        for_inference: bool = False,
        **kwargs: Any,
    ) -> Any:
        """create_network_from_weights as musubi-tuner calls it: only the network comes back.

        For inference (--base_weights) it is the wrapped module's network as it is.
        """
        function = self.base.create_arch_network_from_weights
        if for_inference:
            return function(multiplier, weights_sd, text_encoders, unet, for_inference=True, **kwargs)

        def make(passed: dict[str, Any]) -> Any:
            return function(multiplier, weights_sd, text_encoders, unet, **passed)

        return self._with_grid(make, function, kwargs, unet, text_encoders)

    def create_network_from_weights(
        self,
        multiplier: float,
        file: str | None,
        vae: Any,
        text_encoder: Any,
        unet: Any,
        /,
        weights_sd: Any = None,
        for_inference: bool = False,
        **kwargs: Any,
    ) -> tuple[Any, Any]:
        """As create_network, with ranks from a file (--dim_from_weights). LoRA+ and the grid are kept, unlike upstream.

        For inference (--base_weights) the wrapped module's network is returned as it is.
        """
        function = self.base.create_network_from_weights
        if file is None and weights_sd is None:
            raise GridError(["--dim_from_weights takes the ranks from a file: name it with --network_weights"])
        if for_inference:
            return function(multiplier, file, vae, text_encoder, unet, weights_sd, for_inference=True, **kwargs)
        weights: list[Any] = []

        def make(passed: dict[str, Any]) -> Any:
            network, sd = function(multiplier, file, vae, text_encoder, unet, weights_sd, **passed)
            weights.append(sd)
            if kwargs.get("network_reg_lrs") and hasattr(network, "reg_lrs"):
                network.reg_lrs = parse_regex_lrs(kwargs["network_reg_lrs"])  # upstream drops them on this way
            return network

        network = self._with_grid(make, function, kwargs, unet, text_encoder)
        return network, weights[0]

    def _with_grid(
        self,
        make: Callable[[dict[str, Any]], Any],
        function: Any,
        kwargs: dict[str, Any],
        unet: Any,
        text_encoder: Any,
        network_dim: int | None = None,
    ) -> Any:
        """Checks the arguments, has ``make(arguments)`` call the wrapped module's ``function``, puts the grid on."""
        problems = Problems()
        settings = self._settings(kwargs, problems)
        layout = read_layout(unet)
        from_file = _rank_keys(settings) if function is not self._make else []
        if from_file:
            _drop_ranks(settings)
        passed, notices = self._arguments(kwargs, settings, layout, function, problems)
        if from_file:
            notices.append(f"--dim_from_weights: the ranks are the file's: {', '.join(from_file)} set nothing")
        ranked = bool(_rank_keys(settings))
        # The wrapped module obeys what it is handed; the grid obeys the rest, a grid file's settings among it.
        active = bool(settings.preset or settings.given - passed.keys() - OF_THE_RUN)
        weights = None
        only_named_convs = False
        try:
            if active:
                self._restore_targets()
                passed, weights = self._take_over(passed, layout, problems)
                only_named_convs = self._ask_for_convs(passed, settings, network_dim)
            with keep_presets(self.base), _noted(self.base) if ranked else nullcontext():
                network = make({key: value for key, value in passed.items() if not problems.about(key)})
        except GridError as error:
            raise GridError([*problems.found, *error.problems]) from None
        except Exception as error:
            self._explain(error, passed, problems, function is self._make)
            raise
        modules = network_modules(network, self.base_name)
        sites = read_sites(modules, unet, text_encoder)
        if only_named_convs:
            gone = unasked_convs(settings, sites, modules)
            replace_modules(network, dict.fromkeys(gone))
            modules = network_modules(network, self.base_name)
            sites = replace(sites, all=tuple(site for site in sites.all if site.name not in gone))
        rules = regex_rules(network, modules)
        t5 = "train_t5xxl" in (self._known or ()) and not self.base_name.startswith("lycoris")
        hint = "; T5 trains with train_t5xxl=True" if t5 and kwargs.get("train_t5xxl") != "True" else ""
        grid = bind_settings(settings, sites, problems, rules, weights, passed.keys(), hint)
        active = _check_loraplus(settings, modules, problems) or active
        if function is self._make:
            check_conv_dim(kwargs, modules, self.base_name, layout.family, problems)
        grid.upstream_dims = regex_dims(network, modules)
        if ranked:
            notices += base_ranks_notice(passed, settings, self.base_name)
            notices += _put_ranks(network, modules, grid, self.base_name, _rank_keys(settings), problems)
        problems.raise_if_any()
        takes_dropout = "dropout" in kwargs if self.base_name.startswith("lycoris") else takes_a_dropout(self.base_name)
        state = GridState(self.base_name, grid, active, notices, takes_dropout)
        state.dropped = {name: ModuleFacts(0, None, True) for name in grid.no_lora}
        swap_class(network, state)
        return network

    def _settings(self, kwargs: dict[str, Any], problems: Problems) -> GridSettings:
        """The grid's settings. LyCORIS has a ``preset`` of its own, which keeps its name; the grid's is grid_preset
        there."""
        return read_settings(settings_among(self.base_name, self._known, kwargs), problems)

    def _arguments(
        self, kwargs: dict[str, Any], settings: GridSettings, layout: Layout, function: Any, problems: Problems
    ) -> tuple[dict[str, Any], list[str]]:
        """(what of --network_args is handed on to the wrapped module, checked; lines about what has no effect there)"""
        given = settings.given
        passed = split_off(self.base_name, self._known, kwargs, settings, layout, problems)
        check_lycoris(self.base, passed, problems)
        notices = idle_arguments(self.base_name, {**passed, **dict.fromkeys(settings.ranks.keys)})
        if function is not self._make:  # made from weights, a module takes fewer keys than it knows
            taken = known_keys(function) or frozenset()
            ours = {key for key in passed if is_grid_key(key) and key != "preset"}  # handed on, it is LyCORIS' own
            ignored = sorted(passed.keys() - taken - INJECTED - ours - {"network_reg_lrs"})
            if ignored:
                notices.append(f"--dim_from_weights: {self.base_name} takes no {', '.join(ignored)} there")
            if "network_reg_lrs" in passed:
                notices.append(
                    f"network_reg_lrs is obeyed with --dim_from_weights, too ({self.base_name} alone drops it there)"
                )
            passed = {key: value for key, value in passed.items() if key in taken}
        return passed, notices + about_reg_dims(passed, given)

    def _take_over(
        self, passed: dict[str, Any], layout: Layout, problems: Problems
    ) -> tuple[dict[str, Any], list[float] | None]:
        """What a grid decides itself, so that trained weights in blocks that do not train are kept: block indices and
        block weights. Returns what is still handed on, and the weights."""
        if passed.get("split_qkv") != "True":  # its double blocks cannot even be made (see _explain)
            passed = {key: value for key, value in passed.items() if not is_indices(key)}
        weights = None
        if not any(problems.about(key) for key in BLOCK_WEIGHTS):
            is_sdxl = layout.family == "sdxl"
            weights = block_weights(self.base, passed, is_sdxl)
            if weights is not None:
                # Weights of 1 in their place: the module reads block_alphas and conv_block_dims only beside weights.
                passed = {k: v for k, v in passed.items() if k not in (*BLOCK_WEIGHTS, "block_lr_zero_threshold")}
                passed["mid_lr_weight"] = "1,1,1" if is_sdxl else "1"
        return passed, weights

    def _ask_for_convs(self, passed: dict[str, Any], settings: GridSettings, network_dim: int | None) -> bool:
        """Has the wrapped module make modules for convolutions where conv_block_dims speaks of them and no conv_dim
        does; returns whether it was so."""
        asked = settings.ranks.conv_block_dims is not None and "conv_dim" in (self._known or ())
        if not asked or "conv_dim" in passed or self.base_name.startswith("lycoris"):
            return False
        passed["conv_dim"] = str(network_dim or DEFAULT_DIM)  # networks.dylora takes no other
        return True

    def _restore_targets(self) -> None:
        for (cls, name), value in self._targets.items():
            setattr(cls, name, copy.copy(value))

    def _explain(self, error: Exception, passed: dict[str, Any], problems: Problems, from_scratch: bool) -> None:
        """Turns a crash of the wrapped module into a message where its cause is known or settings are wrong anyway."""
        if passed.get("split_qkv") == "True" and isinstance(error, ValueError) and "unpack" in str(error):
            problems.add(
                f"split_qkv=True: {self.base_name} crashes on double blocks (a bug of sd-scripts: it unpacks three"
                " split sizes into one name, lora_flux.py, LoRANetwork.create_modules). Train single blocks only"
                " (train_blocks=single, or train_double_block_indices=none in --network_args), or leave split_qkv out"
            )
        elif isinstance(error, (AssertionError, ValueError, TypeError, IndexError, KeyError)):
            hint = ""
            if "duplicated lora name" in str(error) and self.base_name.startswith("lycoris"):
                cure = "give preset=attn-mlp" if from_scratch else "it cannot make a network from weights there"
                hint = f" (LyCORIS 4.1 does this on SD1.x with its default preset full: {cure})"
            held = [f"{key}={value}" for key, value in passed.items() if f"'{value}'" in str(error)]
            which = f" ({', '.join(held)})" if held else ""
            problems.add(f"{self.base_name} refuses its arguments{which}: {type(error).__name__}: {error}{hint}")
        if problems.found:
            raise GridError(problems.found) from error


def _put_ranks(*arguments: Any) -> list[str]:
    from lr_grid.network_ranks import put_ranks  # here: the trainer's start need not wait for it

    return put_ranks(*arguments)


def _noted(base: ModuleType) -> AbstractContextManager[None]:
    from lr_grid.remake import noted  # here for the same reason

    return noted(base)


def _check_loraplus(settings: GridSettings, modules: Sequence[nn.Module], problems: Problems) -> bool:
    """Notes LoRA+ where no module has an up side; returns whether the grid has to do it, because the wrapped module's
    own would set nothing (LoHa, LoKr, ...)."""
    if not (settings.loraplus or any(encoder.loraplus for encoder in settings.encoders.values())):
        return False
    ups = [name for module in modules for name, _ in own_parameters(module) if side_of(name) == "up"]
    if not ups:
        problems.add(NO_UP_SIDE)
    return not all(map(is_known_plus, ups))


def _rank_keys(settings: GridSettings) -> list[str]:
    """The keys of ranks as they were given, text encoders' too."""
    parts = (settings, *settings.encoders.values())
    return list(dict.fromkeys(part.key(name) for part in parts for name in sorted(part.ranks.keys)))


def _drop_ranks(settings: GridSettings) -> None:
    for part in (settings, *settings.encoders.values()):
        part.ranks = RankSettings()


def wrap(base_name: str) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """(create_network, create_network_from_weights) of a network module of sd-scripts or LyCORIS, with a grid on it."""
    module = GridModule(base_name)
    return module.create_network, module.create_network_from_weights


def prepare_network(args: argparse.Namespace) -> None:
    """musubi-tuner shows its arguments to a network only where its MODULE has this name; it then calls the network's
    own prepare_network, never this."""


def create_network(*args: Any, base: str | None = None, **kwargs: Any) -> Any:
    """create_network around any network module, named by the argument ``base=<module>``."""
    return GridModule(_base_or_error(base)).create_network(*args, **kwargs)


def create_network_from_weights(*args: Any, base: str | None = None, **kwargs: Any) -> Any:
    """create_network_from_weights around any network module, named by the argument ``base=<module>``."""
    return GridModule(_base_or_error(base)).create_network_from_weights(*args, **kwargs)


def _base_or_error(base: str | None) -> str:
    if not base:
        raise GridError(
            [
                "lr_grid.network needs to know the module to wrap: --network_args base=networks.lora_sd3"
                " (--base_weights hands no arguments on: use one of the *_grid modules there)"
            ]
        )
    return base
