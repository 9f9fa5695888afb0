"""Small models with the class and attribute names of real ones, and a network module round LyCORIS to grid them."""

from __future__ import annotations

import argparse
from typing import Any

import torch
from torch import nn

WIDTH = 8


class Modulation(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lin = nn.Linear(WIDTH, WIDTH)


class SelfAttention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.qkv = nn.Linear(WIDTH, WIDTH)
        self.proj = nn.Linear(WIDTH, WIDTH)


class DoubleStreamBlock(nn.Module):
    """FLUX's double block: an image and a text stream."""

    def __init__(self) -> None:
        super().__init__()
        for stream in ("img", "txt"):
            self.add_module(f"{stream}_mod", Modulation())
            self.add_module(f"{stream}_attn", SelfAttention())
            self.add_module(f"{stream}_mlp", nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.GELU(), nn.Linear(WIDTH, WIDTH)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for module in self.modules():
            if isinstance(module, nn.Linear):
                x = x + 0.1 * module(x)
        return x


class SingleStreamBlock(nn.Module):
    """FLUX's single block: linear1 and linear2 hold attention and feed-forward at once."""

    def __init__(self) -> None:
        super().__init__()
        self.linear1 = nn.Linear(WIDTH, WIDTH)
        self.linear2 = nn.Linear(WIDTH, WIDTH)
        self.modulation = Modulation()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + 0.1 * self.linear2(self.linear1(x)) + 0.1 * self.modulation.lin(x)


class Flux(nn.Module):
    """FLUX.1's names: 10 modules a double block, 3 a single block."""

    def __init__(self, double: int = 3, single: int = 4) -> None:
        super().__init__()
        self.img_in = nn.Linear(WIDTH, WIDTH)
        self.double_blocks = nn.ModuleList(DoubleStreamBlock() for _ in range(double))
        self.single_blocks = nn.ModuleList(SingleStreamBlock() for _ in range(single))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.img_in(x)
        for block in (*self.double_blocks, *self.single_blocks):
            x = block(x)
        return x


class Chroma(Flux):
    """FLUX's blocks under another class."""


class WanAttention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        for name in ("q", "k", "v", "o"):
            self.add_module(name, nn.Linear(WIDTH, WIDTH))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.o(torch.tanh(self.q(x) + self.k(x)) * self.v(x))


class WanAttentionBlock(nn.Module):
    """Wan's block, with a LayerNorm that has weights."""

    def __init__(self) -> None:
        super().__init__()
        self.modulation = nn.Parameter(torch.zeros(1, 6, WIDTH))
        self.self_attn = WanAttention()
        self.norm3 = nn.LayerNorm(WIDTH)
        self.cross_attn = WanAttention()
        self.ffn = nn.Sequential(nn.Linear(WIDTH, 2 * WIDTH), nn.GELU(), nn.Linear(2 * WIDTH, WIDTH))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.self_attn(x) * (1 + self.modulation[:, 0])
        x = x + self.cross_attn(self.norm3(x))
        return x + self.ffn(x)


class WanModel(nn.Module):
    """Wan's names: 10 matrix modules and one norm a block."""

    def __init__(self, blocks: int = 3) -> None:
        super().__init__()
        self.patch_embedding = nn.Linear(WIDTH, WIDTH)
        self.time_projection = nn.Sequential(nn.SiLU(), nn.Linear(WIDTH, 6 * WIDTH))
        self.blocks = nn.ModuleList(WanAttentionBlock() for _ in range(blocks))
        self.head = nn.Linear(WIDTH, WIDTH)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.patch_embedding(x)
        for block in self.blocks:
            x = block(x)
        return self.head(x)


class CLIPMLP(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc1 = nn.Linear(WIDTH, WIDTH)
        self.fc2 = nn.Linear(WIDTH, WIDTH)


class CLIPAttention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.q_proj = nn.Linear(WIDTH, WIDTH)
        self.out_proj = nn.Linear(WIDTH, WIDTH)


class EncoderLayer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.self_attn = CLIPAttention()
        self.mlp = CLIPMLP()


class TextEncoder(nn.Module):
    """CLIP's names, two layers, four modules each."""

    def __init__(self) -> None:
        super().__init__()
        self.text_model = nn.Module()
        self.text_model.encoder = nn.Module()
        self.text_model.encoder.layers = nn.ModuleList(EncoderLayer() for _ in range(2))


def trainer_args(**changes: Any) -> argparse.Namespace:
    """The trainer's arguments, as far as a network module looks at them."""
    defaults: dict[str, Any] = {
        "learning_rate": 1e-4,
        "unet_lr": None,
        "text_encoder_lr": None,
        "optimizer_type": "AdamW",
        "optimizer_args": None,
        "network_weights": None,
        "resume": None,
        "output_dir": None,
        "output_name": "test",
    }
    return argparse.Namespace(**{**defaults, **changes})


def make_network(model: nn.Module, text_encoder: Any = None, dim: int = 2, **network_args: str) -> nn.Module:
    """A LyCORIS LoRA (preset attn-mlp) under a grid, as the trainer makes it."""
    from networks import lycoris_grid

    arguments: dict[str, Any] = {"algo": "lora", "preset": "attn-mlp", "dropout": None, **network_args}
    return lycoris_grid.create_network(1.0, dim, 1, None, text_encoder, model, neuron_dropout=None, **arguments)


def start(network: nn.Module, model: nn.Module, text_encoder: Any = None, **changes: Any) -> tuple[list, list]:
    """What the trainer does after making the network: (groups, descriptions)."""
    args = trainer_args(**changes)
    network.prepare_network(args)
    network.apply_to(text_encoder, model, text_encoder is not None, True)
    name = "prepare_optimizer_params_with_multiple_te_lrs"
    prepare = getattr(network, name) if hasattr(network, name) else network.prepare_optimizer_params
    groups, descriptions = prepare(args.text_encoder_lr, args.unet_lr, args.learning_rate)
    network.prepare_grad_etc(text_encoder, model)
    return groups, descriptions


def lr_by_name(groups: list[dict[str, Any]]) -> dict[str, float]:
    """Parameter name -> the LR of its group."""
    return {name: group["lr"] for group in groups for name in group["param_names"]}
