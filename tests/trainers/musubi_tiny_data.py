"""Makes the tiny dataset: musubi-tuner trains from cached latents and text features alone, so no image is needed."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from musubi_shrink import HIDREAM_TIME_TOKEN, TEXT_WIDTH
from safetensors.torch import save_file

CAPTIONS = ("a red cat on a mat", "a blue dog, best quality", "green bird in the sky", "a photo of a hat")
SIZE = 64
LATENT = SIZE // 8
FRAME = f"1x{LATENT}x{LATENT}"
BF16 = "bfloat16"

Tensors = dict[str, torch.Tensor]


def wan() -> tuple[Tensors, Tensors]:
    return _frame(16), {f"varlen_t5_{BF16}": _random(7, 4096)}


def flux2() -> tuple[Tensors, Tensors]:
    side = LATENT // 2  # its latents are patched already
    return {f"latents_{side}x{side}_{BF16}": _random(128, side, side)}, {f"ctx_vec_{BF16}": _random(16, TEXT_WIDTH)}


def kontext() -> tuple[Tensors, Tensors]:
    latents = {f"latents_{kind}{FRAME}_{BF16}": _random(16, LATENT, LATENT) for kind in ("", "control_")}
    return latents, {f"t5_vec_{BF16}": _random(16, TEXT_WIDTH), f"clip_l_pooler_{BF16}": _random(TEXT_WIDTH)}


def qwen() -> tuple[Tensors, Tensors]:
    return _frame(16), {f"varlen_vl_embed_{BF16}": _random(9, TEXT_WIDTH)}


def zimage() -> tuple[Tensors, Tensors]:
    latents = {f"latents_{FRAME}_{BF16}": _random(16, LATENT, LATENT)}
    return latents, {f"varlen_llm_embed_{BF16}": _random(9, TEXT_WIDTH)}


def hv() -> tuple[Tensors, Tensors]:
    text = {"llm_float16": _random(8, 4096).half(), "clipL_float16": _random(768).half()}
    return _frame(16), text | {"llm_mask": torch.ones(8, dtype=torch.bool)}


def hv15() -> tuple[Tensors, Tensors]:
    text = {"vl": _random(9, TEXT_WIDTH), "byt5": _random(5, TEXT_WIDTH)}
    return _frame(32), {f"varlen_{name}_embed_{BF16}": features for name, features in text.items()}


def krea2() -> tuple[Tensors, Tensors]:
    return _frame(16), {f"varlen_krea2_vl_embed_{BF16}": _random(9, 2, TEXT_WIDTH)}


def fpack() -> tuple[Tensors, Tensors]:
    latents = _frame(16) | {
        f"latents_clean_{FRAME}_{BF16}": _random(16, 1, LATENT, LATENT),
        "latent_indices_int64": torch.tensor([1]),
        "clean_latent_indices_int64": torch.tensor([0]),
        f"image_embeddings_{BF16}": _random(9, TEXT_WIDTH),
    }
    text = {f"llama_vec_{BF16}": _random(8, TEXT_WIDTH), f"clip_l_pooler_{BF16}": _random(TEXT_WIDTH)}
    return latents, text | {"llama_attention_mask": torch.ones(8, dtype=torch.bool)}


def hidream() -> tuple[Tensors, Tensors]:
    pixels = {f"latents_1x2x2_{BF16}": _random(2, 2, 3 * 32 * 32)}  # patches of pixels: it has no VAE
    return pixels, {"varlen_input_ids_int64": torch.tensor([*range(10, 19), HIDREAM_TIME_TOKEN])}


# folder -> the architecture's short name in file names, and what makes the tensors of one item
CACHES = {
    "wan": ("wan", wan),
    "flux2": ("f2k4b", flux2),
    "qwen": ("qi", qwen),
    "zimage": ("zi", zimage),
    "hv": ("hv", hv),
    "hv15": ("hv15", hv15),
    "kontext": ("fk", kontext),
    "krea2": ("kr2", krea2),
    "fpack": ("fp", fpack),
    "hidream": ("ho1", hidream),
}


def make_all(output: Path) -> None:
    items = [{"image_path": f"item{number}.png", "caption": caption} for number, caption in enumerate(CAPTIONS)]
    (output / "items.jsonl").write_text("".join(json.dumps(item) + "\n" for item in items), encoding="utf-8")
    metadata = {"width": str(SIZE), "height": str(SIZE), "format_version": "1.0.1"}
    for name, (short, make) in CACHES.items():
        torch.manual_seed(1)
        folder = output / name / "cache"
        folder.mkdir(parents=True)
        for number in range(len(CAPTIONS)):
            latents, text = make()
            save_file(latents, folder / f"item{number}_{SIZE:04}x{SIZE:04}_{short}.safetensors", metadata)
            save_file(text, folder / f"item{number}_{short}_te.safetensors", metadata)


def _frame(channels: int) -> Tensors:
    """The latents of an image, as a video of one frame."""
    return {f"latents_{FRAME}_{BF16}": _random(channels, 1, LATENT, LATENT)}


def _random(*shape: int) -> torch.Tensor:
    return torch.randn(*shape).to(torch.bfloat16)
