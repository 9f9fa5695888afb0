"""What every LR of a full fine-tuning run should be, worked out from the trainers' names of tensors alone.

Nothing of lr_grid is used here. A place is (part, stack, block, component); stack "" is outside every stack.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

Place = tuple[str, str, int, str]
Words = tuple[tuple[str, str], ...]

CURVED = {"self_attn", "cross_attn", "ffn", "norm", "mod", "fused"}


def _find(path: str, words: Words) -> str:
    return next((component for pattern, component in words if re.search(pattern, path)), "?")


def _stacked(path: str, stacks: Mapping[str, str]) -> tuple[str, int, str]:
    """(stack, block, what follows) of a path; stack "" and the whole path outside."""
    for prefix, stack in stacks.items():
        match = re.match(rf"{re.escape(prefix)}\.(\d+)\.(.*)", path)
        if match:
            return stack, int(match[1]), match[2]
    return "", 0, path


def _model(stacks: Mapping[str, str], inside: Words, outside: Words, part: str = "unet") -> Callable[[str], Place]:
    def place(path: str) -> Place:
        stack, block, rest = _stacked(path, stacks)
        return part, stack, block, _find(rest, inside if stack else outside)

    return place


_UNET: Words = (
    (r"(^|\.)norm\d?\.|in_layers\.0|out_layers\.0", "norm"),
    (r"time_emb_proj|emb_layers", "mod"),
    ("attn1", "self_attn"),
    ("attn2", "cross_attn"),
    (r"\.ff\.", "ffn"),
    ("", "other"),
)


def _sd15(path: str) -> Place:
    """kohya's 25 positions: conv_in 0, the way down 1-11, the middle 12, the way up 13-24."""
    match = re.match(r"(down|up)_blocks\.(\d)\.(resnets|attentions|downsamplers|upsamplers)\.(\d)\.", path)
    if match:
        way, i, kind, j = match[1], int(match[2]), match[3], int(match[4])
        block = 3 * i + (2 if kind.endswith("samplers") else j) + (1 if way == "down" else 13)
        return "unet", "unet", block, _find(path, _UNET)
    if path.startswith("mid_block"):
        return "unet", "unet", 12, _find(path, _UNET)
    if path.startswith("conv_in"):
        return "unet", "unet", 0, "embed"
    outside = {"time_embedding": "embed", "conv_norm_out": "norm", "conv_out": "other"}
    return "unet", "", 0, outside[path.split(".", maxsplit=1)[0]]


def _sdxl(path: str) -> Place:
    """kohya's 23 positions: embeddings of time and label 0, then the original repository's own numbers."""
    top, _, rest = path.partition(".")
    if top in ("time_embed", "label_emb"):
        return "unet", "unet", 0, "embed"
    if top == "out":
        return "unet", "unet", 22, "norm" if rest.startswith("0.") else "other"
    block = int(rest.split(".")[0]) + {"input_blocks": 1, "middle_block": 10, "output_blocks": 13}[top]
    return "unet", "unet", block, "embed" if path.startswith("input_blocks.0.") else _find(path, _UNET)


_FINAL: Words = (("final_layer.*adaLN_modulation", "mod"), ("final_layer", "other"))
_DOUBLE = {"double_blocks": "double", "single_blocks": "single"}
_flux = _model(
    _DOUBLE,
    (
        (r"norm", "norm"),
        ("mod", "mod"),
        ("txt_", "cross_attn"),
        ("img_attn", "self_attn"),
        ("img_mlp", "ffn"),
        (r"linear[12]", "fused"),
    ),
    ((r"_in\.", "embed"), *_FINAL),
)
_sd3 = _model(
    {"joint_blocks": "joint"},
    ((r"attn2?\.ln_[qk]", "norm"), ("adaLN", "mod"), ("attn", "self_attn"), ("mlp", "ffn")),
    (("embed", "embed"), *_FINAL),
)
_refined = {name: name for name in ("context_refiner", "noise_refiner", "layers")}
_REFINED: Words = (
    (r"norm", "norm"),
    ("adaLN", "mod"),
    (r"attention", "self_attn"),
    ("feed_forward", "ffn"),
)
_lumina = _model(
    _refined, _REFINED, ((r"cap_embedder\.0\.|^norm_final", "norm"), ("embedder", "embed"), *_FINAL)
)  # the caption embedder begins with a norm
_zimage = _model(_refined, _REFINED, ((r"cap_embedder\.0\.", "norm"), ("embedder|pad_token", "embed"), *_FINAL))
_anima = _model(
    {"llm_adapter.blocks": "llm_adapter", "blocks": "blocks"},
    (
        ("adaln_modulation", "mod"),
        (r"norm", "norm"),
        ("self_attn", "self_attn"),
        ("cross_attn", "cross_attn"),
        ("mlp", "ffn"),
    ),
    (("norm", "norm"), (r"final_layer\.adaln", "mod"), ("final_layer", "other"), ("", "embed")),
)
_hv = _model(
    {"txt_in.individual_token_refiner.blocks": "refiner", **_DOUBLE},
    (
        (r"norm", "norm"),
        (r"(^|_)mod|adaLN", "mod"),
        ("txt_", "cross_attn"),
        ("attn", "self_attn"),
        ("mlp", "ffn"),
        (r"linear[12]", "fused"),
    ),
    ((r"_in\.", "embed"), *_FINAL),
)
_qwen = _model(
    {"transformer_blocks": "blocks"},
    (
        (r"norm", "norm"),
        ("_mod", "mod"),
        (r"add_[qkv]_proj|to_add_out|txt_mlp", "cross_attn"),
        (r"attn", "self_attn"),
        ("img_mlp", "ffn"),
    ),
    (("norm_out", "mod"), ("txt_norm", "norm"), (r"_in\.|time_text_embed", "embed"), ("proj_out", "other")),
)
_hidream = _model(
    {"model.language_model.layers": "layers", "model.visual.blocks": "visual"},
    (("norm", "norm"), ("self_attn", "self_attn"), ("mlp", "ffn")),
    (("norm", "norm"), ("embed", "embed"), ("final_layer", "other")),
)
_CLIP: tuple[Mapping[str, str], Words, Words] = (
    {"text_model.encoder.layers": "layers"},
    (("norm", "norm"), ("self_attn", "self_attn"), ("mlp", "ffn")),
    (("norm", "norm"), ("embed", "embed"), ("text_projection", "other")),
)

PLACES: dict[str, Callable[[str], Place]] = {
    "UNet2DConditionModel": _sd15,
    "SdxlUNet2DConditionModel": _sdxl,
    "Flux": _flux,
    "MMDiT": _sd3,
    "NextDiT": _lumina,
    "ZImageTransformer2DModel": _zimage,
    "Anima": _anima,
    "HYVideoDiffusionTransformer": _hv,
    "QwenImageTransformer2DModel": _qwen,
    "Qwen3VLForConditionalGeneration": _hidream,
    "CLIPTextModel": _model(*_CLIP, part="te1"),
    "CLIPTextModelWithProjection": _model(*_CLIP, part="te2"),  # SDXL's second
}


def place_of(name: str) -> Place:
    """The place of a tensor by the class of its model and its path there."""
    model, _, path = name.partition(".")
    return PLACES[model](path)


def blocks_of(names: list[str]) -> dict[str, int]:
    """Stack -> the number of its blocks, counted off the names."""
    counts: dict[str, int] = {}
    for name in names:
        _, stack, block, _ = place_of(name)
        counts[stack] = max(counts.get(stack, 0), block + 1)
    return counts


@dataclass(frozen=True)
class Grid:
    """A grid as a user writes it and as the formula reads it: multiples ("1.5x") and absolute LRs by component."""

    components: Mapping[str, str | float]
    lowest: float = 1.0
    """min_depth_factor of a linear curve; 1: flat."""
    weights: Mapping[tuple[str, int], float] = field(default_factory=dict)

    def arguments(self) -> list[str]:
        """For --optimizer_args, each value through literal_eval."""
        written = [f"{name}_lr={value!r}" for name, value in self.components.items()]
        if self.lowest != 1:
            written += ["depth_strategy='linear'", f"min_depth_factor={self.lowest}"]
        if self.weights:
            weights = ",".join(f"{stack}_{block}:{weight}" for (stack, block), weight in self.weights.items())
            written.append(f"block_lr_weight='{weights}'")
        return written

    def words(self) -> list[str]:
        """The same for a command line: without the quotes that literal_eval needs."""
        return [argument.replace("'", "") for argument in self.arguments()]

    def lr(self, name: str, base: float, counts: Mapping[str, int]) -> float:
        """The LR of a tensor that the trainer gives ``base``; text encoders keep theirs.

        (base LR x component, or the component's own) x linear depth of its stack x the block's weight
        """
        part, stack, block, component = place_of(name)
        if part != "unet":
            return base
        lr = self._of(component, base)
        if stack:
            if component in CURVED or component in self.components:
                lr *= 1 - block / max(counts[stack] - 1, 1) * (1 - self.lowest)
            lr *= self.weights.get((stack, block), 1.0)
        return lr

    def _of(self, component: str, base: float) -> float:
        own = self.components.get(component)
        if own is None and component == "fused" and {"self_attn", "ffn"} & self.components.keys():
            return (self._of("self_attn", base) * self._of("ffn", base)) ** 0.5
        if own is None:
            return base
        return base * float(own.removesuffix("x")) if isinstance(own, str) else own
