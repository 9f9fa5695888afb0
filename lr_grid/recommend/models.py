"""The anchor of a model by any name people call it, and what LRTool calls it."""

from __future__ import annotations

from lr_grid.errors import GridError
from lr_grid.models.catalogue import canonical_name
from lr_grid.recommend.anchors import DEFAULT, FULL, LORA, Anchor, FullAnchor
from lr_grid.recommend.lrtool_tables import MODELS
from lr_grid.recommend.names import find, nearest

_LRTOOL_NAMES = {
    "sd15": "SD1.5",
    "sd21": "SD2.1",
    "flux-dev": "FLUX.1",
    "flux-schnell": "FLUX.1",
    "flux2-dev": "FLUX.2 Dev",
    "pony": "Pony (SDXL)",
}
_SAME_WEIGHTS = {
    "chroma1": "chroma",
    "hunyuanimage-2.1": "hunyuan-image",
    "hunyuanvideo": "hunyuan-video",
    "hunyuanvideo-1.5": "hunyuan-video-1.5",
    "hunyuanvideo-i2v": "hunyuan-video",
    "kandinsky-5-lite": "kandinsky5-lite-video",
    "krea-2": "krea2",
    "lumina-image-2.0": "lumina2",
    "sd-1.5": "sd15",
    "sd-2.1": "sd21",
    "sd3.5-large": "sd35-large",
    "sd3.5-medium": "sd35-medium",
    "wan-2.1-1.3b": "wan-1.3b",
    "wan-2.1-14b": "wan-14b",
    "wan-2.1-i2v-14b": "wan-i2v-14b",
    "wan-2.2-a14b": "wan22-t2v-14b",
}
"""diffusers' name of a model -> the trainers' name, where the two differ."""


def _trainers_name(model: str) -> str:
    own = model.removeprefix("diffusers/")
    return _SAME_WEIGHTS.get(own, own)


def lora_anchor(model: str) -> Anchor:
    """The anchor of a LoRA on a model of the catalogue; one that no document names takes the default range."""
    return LORA.get(_trainers_name(model), DEFAULT)


def full_anchor(model: str) -> FullAnchor | None:
    """The anchor of a full fine-tune of a model of the catalogue, where a document gives one."""
    return FULL.get(_trainers_name(model))


def find_lrtool_model(name: str) -> str:
    """LRTool's name of a model.

    Raises: GridError where LRTool has no constants for it, or nobody knows it.
    """
    found = find(name, MODELS, _LRTOOL_NAMES)
    if found:
        return found
    has = f"LRTool has {', '.join(MODELS)}"
    try:
        model = _trainers_name(canonical_name(name))
    except GridError:
        raise GridError([f"--model: {name!r} is unknown; {has}.{nearest(name, MODELS, _LRTOOL_NAMES)}"]) from None
    found = find(model, MODELS, _LRTOOL_NAMES)
    if not found:
        raise GridError([f"--model: LRTool has no constants for {name}; {has}. --method rules has an entry for it"])
    return found
