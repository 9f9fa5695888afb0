"""The models of the recommendation by name, and what LRTool calls them."""

from __future__ import annotations

from lr_grid.errors import GridError
from lr_grid.recommend.anchors import LORA
from lr_grid.recommend.lrtool_tables import MODELS
from lr_grid.recommend.names import find, nearest

ALIASES = {
    "sd1": "sd15",
    "sd1.5": "sd15",
    "sd2": "sd21",
    "sd2.1": "sd21",
    "pony": "sdxl",
    "illustrious": "sdxl",
    "noobai": "sdxl",
    "sdxl-turbo": "sdxl",
    "sdxl-lightning": "sdxl",
    "flux": "flux-dev",
    "flux1": "flux-dev",
    "schnell": "flux-schnell",
    "kontext": "flux-kontext",
    "flux2": "flux2-dev",
    "sd3": "sd3-medium",
    "sd35": "sd35-large",
    "lumina": "lumina2",
    "wan": "wan-14b",
    "wan22": "wan22-t2v-14b",
    "qwen": "qwen-image",
    "zimage": "z-image",
    "ltx": "ltx-video",
}
LRTOOL_NAMES = {
    "sd15": "SD1.5",
    "sd1": "SD1.5",
    "sd21": "SD2.1",
    "sd2": "SD2.1",
    "pony": "Pony (SDXL)",
    "flux": "FLUX.1",
    "flux-dev": "FLUX.1",
    "flux-schnell": "FLUX.1",
    "flux2": "FLUX.2 Dev",
    "flux2-dev": "FLUX.2 Dev",
}


def find_model(name: str) -> str:
    """The model's name in our tables; LRTool's names are understood, too.

    Raises: GridError with a near name.
    """
    theirs = {title: key for key, title in LRTOOL_NAMES.items() if key in LORA}
    aliases = {**theirs, "Pony (SDXL)": "sdxl", **ALIASES}
    found = find(name, LORA, aliases)
    if found is None:
        near = nearest(name, LORA, ALIASES)
        raise GridError([f"--model: {name!r} is unknown; there are {', '.join(LORA)}.{near}"])
    return found


def find_lrtool_model(name: str) -> str:
    """LRTool's name of a model.

    Raises: GridError where LRTool has no constants for it, or nobody knows it.
    """
    found = find(name, MODELS, LRTOOL_NAMES)
    if found is not None:
        return found
    if find(name, LORA, ALIASES):
        raise GridError(
            [
                f"--model: LRTool has no constants for {name}; it has {', '.join(MODELS)}. --method rules has an entry for it"
            ]
        )
    raise GridError(
        [f"--model: {name!r} is unknown; LRTool has {', '.join(MODELS)}.{nearest(name, MODELS, LRTOOL_NAMES)}"]
    )
