"""Rectified flow: the training loss, the held-out loss, and the sampler.

Time runs from 0 (image) to 1 (noise): ``x_t = (1 - t) x + t noise``; the model predicts ``noise - x``.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lr_grid.demo.model import IMAGE_SIZE, NULL_CLASS

CONDITION_DROPOUT = 0.1
SAMPLE_STEPS = 20
GUIDANCE = 2.0
HELD_OUT_TIMES = 8


def training_loss(model: nn.Module, images: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
    """Mean squared velocity error at logit-normal times, with 10 % of the labels dropped.

    images: (batch, 1, 8, 8) in [-1, 1]; labels: (batch,). Returns a scalar.
    """
    count = len(images)
    t = torch.sigmoid(torch.randn(count, generator=generator))
    noise = torch.randn(images.shape, generator=generator)
    dropped = torch.rand(count, generator=generator) < CONDITION_DROPOUT
    return _velocity_error(model, images, torch.where(dropped, NULL_CLASS, labels), t, noise)


@torch.no_grad()
def held_out_loss(model: nn.Module, images: Tensor, labels: Tensor, seed: int) -> float:
    """The same error on images the training has not seen, at fixed noise and fixed, evenly spread times.

    images: (count, 1, 8, 8) in [-1, 1]; labels: (count,). The same seed gives the same noise, so two calls compare.
    """
    generator = torch.Generator().manual_seed(seed)
    total = 0.0
    for index in range(HELD_OUT_TIMES):
        # The quantiles of the training times' own distribution.
        quantile = torch.tensor((index + 0.5) / HELD_OUT_TIMES)
        t = torch.sigmoid(torch.special.ndtri(quantile)).expand(len(images))
        noise = torch.randn(images.shape, generator=generator)
        total += _velocity_error(model, images, labels, t, noise).item()
    return total / HELD_OUT_TIMES


@torch.no_grad()
def sample(model: nn.Module, labels: Tensor, seed: int) -> Tensor:
    """Draw one image a label: 20 Euler steps with classifier-free guidance 2.

    labels: (count,) -> images (count, 1, 8, 8) in [-1, 1]. The same seed starts from the same noise.
    """
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(len(labels), 1, IMAGE_SIZE, IMAGE_SIZE, generator=generator)
    both = torch.cat([labels, torch.full_like(labels, NULL_CLASS)])
    for step in range(SAMPLE_STEPS, 0, -1):
        t = torch.full((len(both),), step / SAMPLE_STEPS)
        conditional, unconditional = model(torch.cat([x, x]), t, both).chunk(2)
        x = x - (unconditional + GUIDANCE * (conditional - unconditional)) / SAMPLE_STEPS
    return x.clamp(-1.0, 1.0)


def _velocity_error(model: nn.Module, images: Tensor, labels: Tensor, t: Tensor, noise: Tensor) -> Tensor:
    at = t[:, None, None, None]
    return F.mse_loss(model((1 - at) * images + at * noise, t, labels), noise - images)
