"""Names of the models, and what else people call them."""

from __future__ import annotations

import re
from functools import cache

from lr_grid.errors import GridError, did_you_mean
from lr_grid.models.blueprint import DATA, Blueprint, load

ALIASES = {
    "sd": "sd15",
    "sd14": "sd15",
    "sd1": "sd15",
    "sd2": "sd21",
    "sd20": "sd21",
    "pony": "sdxl",
    "illustrious": "sdxl",
    "noobai": "sdxl",
    "animagine": "sdxl",
    "sdxl-turbo": "sdxl",
    "sdxl-lightning": "sdxl",
    "flux": "flux-dev",
    "flux1": "flux-dev",
    "flux1-dev": "flux-dev",
    "flux1-schnell": "flux-schnell",
    "kontext": "flux-kontext",
    "flux1-kontext": "flux-kontext",
    "flux2": "flux2-dev",
    "klein-9b": "flux2-klein-9b",
    "klein-4b": "flux2-klein-4b",
    "chroma1": "chroma",
    "chroma1-hd": "chroma",
    "sd3": "sd3-medium",
    "sd35": "sd35-large",
    "sd3.5": "sd35-large",
    "lumina": "lumina2",
    "lumina-image-2": "lumina2",
    "hunyuan-image-2.1": "hunyuan-image",
    "hunyuan": "hunyuan-video",
    "hv": "hunyuan-video",
    "hv15": "hunyuan-video-1.5",
    "wan": "wan-14b",
    "wan21": "wan-14b",
    "wan21-14b": "wan-14b",
    "wan-t2v-14b": "wan-14b",
    "wan21-1.3b": "wan-1.3b",
    "wan22": "wan22-t2v-14b",
    "wan22-14b": "wan22-t2v-14b",
    "qwen": "qwen-image",
    "qwen-image-edit": "qwen-image",
    "zimage": "z-image",
    "z-image-turbo": "z-image",
    "kandinsky5": "kandinsky5-lite-video",
    "kandinsky": "kandinsky5-lite-video",
    "krea": "krea2",
    "hidream": "hidream-o1",
    "ideogram": "ideogram4",
    "ltx": "diffusers/ltx-video-2b",
    "ltx-video": "diffusers/ltx-video-2b",
    "ltx2": "diffusers/ltx-2",
    "sana": "diffusers/sana-1.6b",
    "pixart": "diffusers/pixart-sigma",
}
"""Another name -> the model whose layers it has."""


@cache
def model_names() -> tuple[str, ...]:
    """All models: the trainers' by name, then diffusers' classes as ``diffusers/<name>``."""
    found = [entry.name for entry in DATA.iterdir()]
    own = sorted(name.removesuffix(".json") for name in found if name.endswith(".json") and name != "modules.json")
    beside = sorted(entry.name.removesuffix(".json") for entry in (DATA / "diffusers").iterdir())
    return (*own, *(f"diffusers/{name}" for name in beside))


@cache
def _by_plain_name() -> dict[str, str]:
    names = {plain(name): name for name in model_names()}
    short = {plain(name.removeprefix("diffusers/")): name for name in model_names() if "/" in name}
    return {**short, **{plain(alias): name for alias, name in ALIASES.items()}, **names}


def plain(name: str) -> str:
    """A name as it is compared: lower case, without the signs that people set in different ways."""
    return re.sub(r"[^a-z0-9/]", "", name.lower())


def canonical_name(name: str) -> str:
    """The catalogue's name of a model that people call ``name``.

    Raises: GridError for one that is not in the catalogue.
    """
    known = _by_plain_name()
    if plain(name) not in known:
        spelled = [*model_names(), *ALIASES, *(n.removeprefix("diffusers/") for n in model_names())]
        own = ", ".join(n for n in model_names() if "/" not in n)
        raise GridError(
            [
                f"--model {name}: is not known.{did_you_mean(name.lower(), spelled)} There are {own};"
                " and diffusers' classes as diffusers/<name> (lr-grid show --list)"
            ]
        )
    return known[plain(name)]


def find_model(name: str) -> Blueprint:
    """The model that people call ``name``: a name of ``model_names()``, without regard to case, dots and dashes, or an
    alias (flux, wan, pony).

    Raises: GridError for a name that is not known.
    """
    return load(canonical_name(name))


__all__ = ["ALIASES", "canonical_name", "find_model", "model_names", "plain"]
