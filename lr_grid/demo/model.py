"""A small diffusion transformer (DiT) for 8x8 grey images, with the block layout of today's large models.

Every block is a class named ``Block`` with ``self_attn`` / ``cross_attn`` (``q_proj``, ``k_proj``, ``v_proj``,
``output_proj``) and ``mlp.layer1`` / ``mlp.layer2`` in a ModuleList ``blocks``: the names LyCORIS' preset ``attn-mlp``
looks for, so a network module finds its targets here as it does in a released model.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

IMAGE_SIZE = 8
NUM_CLASSES = 10
NULL_CLASS = NUM_CLASSES
"""Label of the unconditional branch of classifier-free guidance."""


@dataclass(frozen=True, slots=True)
class DiTConfig:
    """Sizes of the model."""

    width: int = 48
    depth: int = 6
    heads: int = 4
    patch: int = 2
    context_tokens: int = 4
    """Conditioning tokens per class."""


class Attention(nn.Module):
    """Multi-head attention; self-attention when no context is given."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q_proj = nn.Linear(width, width)
        self.k_proj = nn.Linear(width, width)
        self.v_proj = nn.Linear(width, width)
        self.output_proj = nn.Linear(width, width)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """x: (batch, tokens, width); context: (batch, context tokens, width) or None -> (batch, tokens, width)."""
        source = x if context is None else context
        q, k, v = (
            projected.unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for projected in (self.q_proj(x), self.k_proj(source), self.v_proj(source))
        )
        mixed = F.scaled_dot_product_attention(q, k, v)
        return self.output_proj(mixed.transpose(1, 2).flatten(2))


class Mlp(nn.Module):
    """The feed-forward part of a block."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.layer1 = nn.Linear(width, hidden)
        self.layer2 = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        """x: (batch, tokens, width) -> the same shape."""
        return self.layer2(F.gelu(self.layer1(x), approximate="tanh"))


class Block(nn.Module):
    """Self-attention, cross-attention and feed-forward, modulated by the time step (adaLN-single)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, elementwise_affine=False)
        self.norm2 = nn.LayerNorm(width, elementwise_affine=False)
        self.norm3 = nn.LayerNorm(width, elementwise_affine=False)
        self.self_attn = Attention(width, heads)
        self.cross_attn = Attention(width, heads)
        self.mlp = Mlp(width, 4 * width)
        self.modulation = nn.Parameter(torch.zeros(6, width))

    def forward(self, x: Tensor, context: Tensor, time: Tensor) -> Tensor:
        """x: (batch, tokens, width); context: (batch, context tokens, width); time: (batch, 6, width) -> like x."""
        shift1, scale1, gate1, shift2, scale2, gate2 = (time + self.modulation).unsqueeze(2).unbind(1)
        x = x + gate1 * self.self_attn(self.norm1(x) * (1 + scale1) + shift1)
        x = x + self.cross_attn(self.norm2(x), context)
        return x + gate2 * self.mlp(self.norm3(x) * (1 + scale2) + shift2)


class DigitDiT(nn.Module):
    """Class-conditional DiT that predicts the velocity of a rectified flow on 8x8 images.

    The conditioning tokens of a class are random and frozen, as a frozen text encoder's would be: a class the base has
    never seen still has tokens of its own, and learning it is the LoRA's work alone.
    """

    def __init__(self, config: DiTConfig) -> None:
        super().__init__()
        self.config = config
        width, patch = config.width, config.patch
        tokens = (IMAGE_SIZE // patch) ** 2
        self.patch_in = nn.Linear(patch * patch, width)
        self.position = nn.Parameter(0.02 * torch.randn(tokens, width))
        self.time_in = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU())
        self.time_modulation = nn.Linear(width, 6 * width)
        blocks = [Block(width, config.heads) for _ in range(config.depth)]
        self.blocks = nn.ModuleList(blocks)
        self.norm_out = nn.LayerNorm(width, elementwise_affine=False)
        self.patch_out = nn.Linear(width, patch * patch)
        class_tokens = torch.randn(NUM_CLASSES + 1, config.context_tokens, width)
        class_tokens[NULL_CLASS] = 0.0
        self.class_tokens: Tensor
        self.register_buffer("class_tokens", class_tokens)
        # Every block starts as the identity plus a small step, and the output at zero: short trainings stay stable.
        for layer in [self.time_modulation, self.patch_out, *(block.cross_attn.output_proj for block in blocks)]:
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, images: Tensor, t: Tensor, labels: Tensor) -> Tensor:
        """images: (batch, 1, 8, 8) at time t in [0, 1], shape (batch,); labels: (batch,) -> velocity, like images."""
        patch = self.config.patch
        side = IMAGE_SIZE // patch
        x = F.pixel_unshuffle(images, patch).flatten(2).transpose(1, 2)
        x = self.patch_in(x) + self.position
        time = self.time_modulation(self.time_in(_sinusoids(t, self.config.width))).unflatten(-1, (6, -1))
        context = self.class_tokens[labels]
        for block in self.blocks:
            x = block(x, context, time)
        x = self.patch_out(self.norm_out(x))
        return F.pixel_shuffle(x.transpose(1, 2).unflatten(2, (side, side)), patch)


def _sinusoids(t: Tensor, width: int) -> Tensor:
    """t in [0, 1], shape (batch,) -> sinusoidal features (batch, width)."""
    half = width // 2
    frequencies = torch.exp(-math.log(10_000.0) * torch.arange(half, dtype=torch.float32) / half)
    angles = 1000.0 * t[:, None] * frequencies
    return torch.cat([angles.cos(), angles.sin()], dim=-1)
