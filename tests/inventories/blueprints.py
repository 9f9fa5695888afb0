"""What lr_grid/models/data holds: for every released size, each layer that a trainer's network module may adapt.

Runs in the trainer's venv, with lr-grid importable: python blueprints.py sd_scripts|musubi FOLDER; or, for diffusers'
classes, in lr-grid's own: python blueprints.py diffusers. Prints JSON: file name -> what it holds.

Which arguments of the network module add layers, and which give them their rank, is found by giving them.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any
from unittest import mock

import inventory
import torch
from torch import nn

from lr_grid.accepted import known_keys
from lr_grid.anatomy import Layout
from lr_grid.anatomy.detect import read_layout
from lr_grid.placing import original_of, read_sites
from lr_grid.sites import Site
from lr_grid.upstream import module_name, network_modules
from lr_grid.words import MAIN_PART

Row = list[Any]
"""[path with {} for the block's number, component, shape of the weight, the argument it needs, those of its rank]

The last two are left out where both are empty. Of several arguments (a|b) the first that is given counts; ``in_dims:2``
is the third number of in_dims."""

MATCHES_NOTHING = "['^$']"
MATCHES_ALL = "['.*']"
# Arguments that add layers, with a value for which they do.
ADDING = {
    "conv_dim": "4",
    "enable_conv": "True",
    "enable_all_linear": "True",
    "train_llm_adapter": "True",
    "train_t5xxl": "True",
    "exclude_patterns": MATCHES_NOTHING,
    "include_patterns": MATCHES_ALL,
}
LISTS = {"in_dims": 5, "emb_dims": 6, "embedder_dims": 3}
"""Arguments that hold a rank each for layers outside the blocks."""
BLOCK_CHOICES = ("double", "single", "transformer", "refiners", "noise_refiner", "context_refiner")
"""Values of train_blocks, in one network module or another."""
PROBE = 40
"""Ranks from here on tell which argument gave them."""


@dataclass
class Layer:
    """One layer that may be adapted."""

    site: Site
    shape: list[int]
    needs: str = ""
    rank_key: str = ""


@dataclass
class Found:
    """All layers that a network module may adapt, by their names, in its own order."""

    layers: dict[str, Layer]
    train_blocks: dict[str, list[str]] = field(default_factory=dict)
    """Value of train_blocks -> the stacks that are left; "" stands for the modules outside them."""


def probe(module: str, create: Callable[..., nn.Module], keys: Iterable[str], models: inventory.Models) -> Found:
    """Makes networks under one argument after another and sees what each changes."""
    unet, encoders = models

    def layers(**arguments: str) -> dict[str, tuple[Layer, int]]:
        """(layer, its rank), by name."""
        with torch.device("meta"):
            network = create(module, unet, encoders, arguments)
        modules = network_modules(network, module)
        sites = read_sites(modules, unet, encoders)
        return {
            module_name(m): (Layer(site, list(original_of(m).weight.shape)), rank_of(m))  # type: ignore[attr-defined]
            for m, site in zip(modules, sites.all, strict=True)
        }

    found = {name: layer for name, (layer, _) in layers().items()}
    known = [key for key in keys if key != "neuron_dropout"]
    for key in [key for key in ADDING if key in known]:
        for name, (layer, _) in layers(**{key: ADDING[key]}).items():
            is_large = any(size != 1 for size in layer.shape[2:])  # conv_dim adds time projections, too
            rank_key = key if key == "conv_dim" and is_large else ""
            found.setdefault(name, Layer(layer.site, layer.shape, key, rank_key))
    find_rank_keys(found, known, layers)
    for key in [key for key in LISTS if key in known]:
        ranks = ",".join(str(PROBE + i) for i in range(LISTS[key]))
        for name, (layer, rank) in layers(**{key: ranks}).items():
            found.setdefault(name, Layer(layer.site, layer.shape, key, f"{key}:{rank - PROBE}"))
    choices = {}
    for choice in BLOCK_CHOICES if "train_blocks" in known else ():
        try:
            left = [layer.site for layer, _ in layers(train_blocks=choice).values()]
        except AssertionError:
            continue  # another module's word
        choices[choice] = list(dict.fromkeys(site.stack or "" for site in left if site.part == MAIN_PART))
    return Found(found, choices)


def find_rank_keys(found: dict[str, Layer], known: Sequence[str], layers: Callable[..., Any]) -> None:
    """Notes for each layer which arguments give its rank, the one that wins first."""
    everything = {key: ADDING[key] for key in ("train_llm_adapter", "train_t5xxl") if key in known}
    claims: dict[str, list[str]] = {}
    for key in [key for key in known if key.endswith("_dim") and key != "conv_dim"]:
        ranks = layers(**everything, **{key: str(PROBE)})
        for name in [name for name, (_, rank) in ranks.items() if rank == PROBE]:
            claims.setdefault(name, []).append(key)
    for name, claimed in claims.items():
        found[name].rank_key = "|".join(claimed)
    for pair in sorted({tuple(claimed) for claimed in claims.values() if len(claimed) > 1}):
        ranks = layers(**{key: str(PROBE + i) for i, key in enumerate(pair)})
        for name in [name for name, claimed in claims.items() if tuple(claimed) == pair]:
            winner = pair[ranks[name][1] - PROBE]
            found[name].rank_key = "|".join([winner, *(key for key in pair if key != winner)])


def rank_of(module: nn.Module) -> int:
    return int(getattr(module, "lora_dim", 0) or 0)


def segments(layers: Sequence[Layer], layout: Layout) -> list[dict[str, Any]]:
    """The layers block by block; blocks that follow one another and are alike share a segment."""
    made: list[dict[str, Any]] = []
    groups: list[tuple[Any, list[Row]]] = []
    for layer in layers:
        row = [template(layer.site, layout), layer.site.component, layer.shape]
        row += [layer.needs, layer.rank_key] if layer.needs or layer.rank_key else []
        if not groups or groups[-1][0] != layer.site.place:
            groups.append((layer.site.place, []))
        groups[-1][1].append(row)
    for place, rows in groups:
        stack, block = place or (None, None)
        last = made[-1] if made else None
        if last and stack and last["stack"] == stack and last["blocks"][1] == block - 1 and last["layers"] == rows:
            last["blocks"][1] = block
        else:
            made.append({"stack": stack, "blocks": [block, block] if stack else None, "layers": rows})
    return made


def template(site: Site, layout: Layout) -> str:
    """The path with {} for its block's number, where the path holds it."""
    head = site.path
    while head and head not in layout.blocks:
        head = head.rpartition(".")[0]
    if head and head.rpartition(".")[2] == str(site.block):
        return f"{head.rpartition('.')[0]}.{{}}{site.path[len(head) :]}"
    return site.path


def ordered(layers: Iterable[Layer], unet: nn.Module, encoders: Any) -> list[Layer]:
    """In the order of the models' own modules: layers that an argument adds stand where they belong."""
    given = encoders if isinstance(encoders, list) else [encoders]
    order: dict[tuple[str, str], int] = {}
    for model in [*[m for m in given if m is not None], unet]:
        for path, _ in model.named_modules():
            order.setdefault((str(model is unet), path), len(order))
    return sorted(
        layers, key=lambda layer: (layer.site.part, order[str(layer.site.part == MAIN_PART), layer.site.path])
    )


def prefix_of(layer: Layer) -> str:
    """What stands before the path in the network's name of a layer."""
    flat = layer.site.path.replace(".", "_")
    assert layer.site.name.endswith(f"_{flat}"), layer.site
    return layer.site.name.removesuffix(f"_{flat}")


def network_of(
    case: inventory.Case, found: Found, models: inventory.Models, encoders: dict[str, Any]
) -> dict[str, Any]:
    """One network module's part of a model's file; fills ``encoders`` with the files of its text encoders."""
    unet, given = models
    listed = given if isinstance(given, list) else [given]
    layers = ordered(found.layers.values(), unet, given)
    main = [layer for layer in layers if layer.site.part == MAIN_PART]
    result: dict[str, Any] = {"modules": [case.module], "prefix": prefix_of(main[0])}
    if found.train_blocks:
        result["train_blocks"] = found.train_blocks
    result["encoders"] = []
    for part in sorted({layer.site.part for layer in layers} - {MAIN_PART}):
        own = [layer for layer in layers if layer.site.part == part]
        index = next(i for i, model in enumerate(listed) if model is not None and matches(part, i, listed))
        name, layout = case.encoders[index], read_layout(listed[index])
        needs = {layer.needs for layer in own}
        assert len(needs) == 1, (part, needs)
        for layer in own:
            layer.needs = ""
        file = name.lower().replace(" ", "-")
        encoders[f"encoders/{file}"] = {
            "title": name,
            "family": layout.family,
            "stacks": layout.stacks,
            "segments": segments(own, layout),
        }
        result["encoders"].append(
            {"part": part, "file": file, "index": index, "prefix": prefix_of(own[0]), "needs": needs.pop()}
        )
    result["segments"] = segments(main, read_layout(unet))
    return result


def matches(part: str, index: int, listed: Sequence[Any]) -> bool:
    """Whether a part is the encoder at an index: the only one that is there, or the one of its number."""
    there = [i for i, model in enumerate(listed) if model is not None]
    return len(there) == 1 or index == {"te1": 0, "te2": 1, "te3": len(listed) - 1}[part]


def of_trainer(trainer: str, folder: str) -> dict[str, Any]:
    """The files of one trainer's models. test_families_kohya sees that ``also`` adapt the same layers."""
    if trainer == "sd_scripts":
        sys.path.append(folder)
        import sd_scripts as models
    else:
        sys.path.append(f"{folder}/src")
        # a default argument of the trainer's asks for the current GPU at import, and here may be none
        with mock.patch.object(torch.cuda, "current_device", return_value=0):
            import_module("musubi_tuner.wan.modules.t5")
        import musubi as models
    pre = "" if trainer == "sd_scripts" else "musubi_tuner."
    files: dict[str, Any] = {}
    keys: dict[str, list[str]] = {}
    for name, (title, cases) in models.BLUEPRINTS.items():
        with torch.device("meta"):
            built = cases[0].build()
        unet = built[0]
        layout = read_layout(unet)
        file: dict[str, Any] = {"title": title, "trainer": "sd-scripts" if not pre else "musubi-tuner"}
        file |= {"family": layout.family, "stacks": layout.stacks, "networks": []}
        for case in cases:
            for module in (case.module, *case.also):
                base = import_module(f"{pre}{module}")
                create = getattr(base, "create_arch_network", None) or base.create_network
                keys[f"{pre}{module}"] = sorted(known_keys(create) or ())
            found = probe(case.module, models.make_network, keys[f"{pre}{case.module}"], built)
            network = network_of(case, found, built, files)
            network["modules"] = [f"{pre}{module}" for module in (case.module, *case.also)]
            file["networks"].append(network)
        files[name] = file
    files[f"network_modules/{trainer}"] = keys
    return files


def of_diffusers() -> dict[str, Any]:
    """Every Linear and convolution of diffusers' classes: what an adapter on all layers of a model adapts."""
    from diffusers_models import BLUEPRINTS, build

    files = {}
    for name, size in BLUEPRINTS.items():
        model = build(size)
        layout = read_layout(model)
        layers = []
        for path, module in model.named_modules():
            if isinstance(module, (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)):
                stack, block = layout.block_of(path) or (None, None)
                component = layout.component_of(path, module) or "other"
                layers.append(Layer(Site(path, path, MAIN_PART, stack, block, component), list(module.weight.shape)))
        network = {
            "modules": ["lr_grid.param_groups"],
            "prefix": "",
            "encoders": [],
            "segments": segments(layers, layout),
        }
        files[f"diffusers/{name}"] = {
            "title": size,
            "trainer": "diffusers",
            "family": layout.family,
            "stacks": layout.stacks,
            "networks": [network],
        }
    return files


def main(trainer: str, folder: str = "") -> None:
    if trainer != "diffusers":
        inventory.prepare()
    files: Mapping[str, Any] = of_diffusers() if trainer == "diffusers" else of_trainer(trainer, folder)
    print(json.dumps(files))


if __name__ == "__main__":
    main(*sys.argv[1:])
