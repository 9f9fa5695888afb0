"""Anchors: the LRs that the trainers' own documents give for each model, with the rank and alpha they give them for.

All are for AdamW or its 8-bit form. A document's command is an example, not a sweep, so each anchor is a range:
an LR given with alpha 1 reaches up to ten times itself and at most 1e-3 (sd-scripts docs/train_network.md: with alpha
1, 1e-4 to 1e-3 are often used); one given with alpha = rank reaches from its half to its double.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Anchor:
    """A range of absolute LRs that holds at one rank and alpha."""

    low: float
    high: float
    rank: float
    alpha: float
    source: str


@dataclass(frozen=True, slots=True)
class FullAnchor:
    """A range of absolute LRs for training the model's own weights."""

    low: float
    high: float
    source: str


_SD, _MUSUBI = "sd-scripts docs/", "musubi-tuner docs/"
_ALPHA_1 = f"upper end: {_SD}train_network.md (alpha 1: 1e-4 to 1e-3)"


def _alpha_1(lr: float, rank: float, source: str) -> Anchor:
    return Anchor(lr, min(10 * lr, 1e-3), rank, 1, f"{source}; {_ALPHA_1}")


def _near_rank(lr: float, rank: float, source: str) -> Anchor:
    return Anchor(lr / 2, lr * 2, rank, rank, f"{source} (one LR in it, taken from half to double)")


DEFAULT = Anchor(
    1e-4,
    1e-3,
    16,
    1,
    f"the trainers' documents give no LR for this model: the range is {_SD}train_network.md's for a LoRA with alpha 1",
)
_SDXL = Anchor(4e-5, 1e-4, 32, 16, f"{_SD}train_network_advanced.md (1e-4 to 4e-5), {_SD}sdxl_train_network.md (1e-4)")
_SD1 = _alpha_1(1e-4, 16, f"{_SD}train_network.md (1e-4)")
_SD3 = _alpha_1(1e-4, 16, f"{_SD}sd3_train_network.md (1e-4)")
_FLUX = _alpha_1(1e-4, 16, f"{_SD}flux_train_network.md (1e-4)")
_FLUX_2 = _alpha_1(1e-4, 32, f"{_MUSUBI}flux_2.md (1e-4)")
_WAN = _alpha_1(2e-4, 32, f"{_MUSUBI}wan.md (2e-4)")
_KANDINSKY = _near_rank(1e-4, 32, f"{_MUSUBI}kandinsky5.md (1e-4)")
_HIDREAM = _alpha_1(4e-5, 32, f"{_MUSUBI}hidream_o1.md (4e-5)")

LORA: Mapping[str, Anchor] = {
    "sd15": _SD1,
    "sd21": _SD1,
    "sdxl": _SDXL,
    "flux-dev": _FLUX,
    "flux-schnell": _FLUX,
    "chroma": _FLUX,
    "sd3-medium": _SD3,
    "sd35-medium": _SD3,
    "sd35-large": _SD3,
    "lumina2": _near_rank(1e-4, 8, f"{_SD}lumina_train_network.md (1e-4)"),
    "hunyuan-image": _alpha_1(1e-4, 16, f"{_SD}hunyuan_image_train_network.md (1e-4)"),
    "anima": _alpha_1(1e-4, 8, f"{_SD}anima_train_network.md (1e-4, an example for alpha 1)"),
    "flux-kontext": _alpha_1(1e-4, 32, f"{_MUSUBI}flux_kontext.md (1e-4)"),
    "flux2-dev": _FLUX_2,
    "flux2-klein-9b": _FLUX_2,
    "flux2-klein-4b": _FLUX_2,
    "hunyuan-video": _alpha_1(2e-4, 32, f"{_MUSUBI}hunyuan_video.md (2e-4, experimental by its own words)"),
    "hunyuan-video-1.5": _alpha_1(1e-4, 32, f"{_MUSUBI}hunyuan_video_1_5.md (1e-4)"),
    "framepack": _alpha_1(2e-4, 32, f"{_MUSUBI}framepack.md (2e-4, experimental by its own words)"),
    "wan-1.3b": _WAN,
    "wan-14b": _WAN,
    "wan-i2v-14b": _WAN,
    "wan-flf2v-14b": _WAN,
    "wan22-t2v-14b": _WAN,
    "wan22-i2v-14b": _WAN,
    "qwen-image": _alpha_1(5e-5, 16, f"{_MUSUBI}qwen_image.md (5e-5)"),
    "z-image": _alpha_1(1e-4, 32, f"{_MUSUBI}zimage.md (1e-4)"),
    "kandinsky5-lite-video": _KANDINSKY,
    "kandinsky5-lite-image": _KANDINSKY,
    "kandinsky5-pro-video": _KANDINSKY,
    "krea2": _near_rank(1e-4, 32, f"{_MUSUBI}krea2.md (1e-4)"),
    "hidream-o1": _HIDREAM,
    "hidream-o1-i2i": _HIDREAM,
    "ideogram4": DEFAULT,
}
"""Model -> anchor of a LoRA (without LoRA+, one sample a step). What is not here takes DEFAULT."""

_FULL_FLUX = FullAnchor(5e-6, 2e-5, f"{_SD}fine_tune.md (1e-5, taken from half to double)")
_FULL_SD3 = FullAnchor(2e-6, 8e-6, f"{_SD}fine_tune.md (4e-6, taken from half to double)")
_FULL_HIDREAM = FullAnchor(5e-7, 2e-6, f"{_MUSUBI}hidream_o1.md (1e-6, taken from half to double)")

FULL: Mapping[str, FullAnchor] = {
    "sd15": FullAnchor(1e-6, 5e-6, f"{_SD}train_db_README-ja.md (1e-6 and 5e-6)"),
    "sd21": FullAnchor(1e-6, 5e-6, f"{_SD}train_db_README-ja.md (1e-6 and 5e-6)"),
    "sdxl": FullAnchor(4e-7, 1e-5, f"{_SD}train_SDXL-en.md (4e-7), {_SD}fine_tune.md (1e-5)"),
    "flux-dev": _FULL_FLUX,
    "flux-schnell": _FULL_FLUX,
    "chroma": _FULL_FLUX,
    "sd3-medium": _FULL_SD3,
    "sd35-medium": _FULL_SD3,
    "sd35-large": _FULL_SD3,
    "lumina2": FullAnchor(5e-6, 2e-5, f"{_SD}fine_tune.md (1e-5, taken from half to double)"),
    "qwen-image": FullAnchor(1e-6, 1e-5, f"{_MUSUBI}qwen_image.md (1e-6 to 1e-5)"),
    "z-image": FullAnchor(1e-6, 1e-5, f"{_MUSUBI}zimage.md (1e-6 to 1e-5)"),
    "hidream-o1": _FULL_HIDREAM,
    "hidream-o1-i2i": _FULL_HIDREAM,
}
"""Model -> anchor of a full fine-tune, where a document gives one; the others take the LoRA-to-full ratio."""
