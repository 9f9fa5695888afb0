"""kohya's numbering of a U-Net's blocks, as in networks.lora's block_dims: one stack, counted off the live model.

SD1.x / SD2.x (diffusers names) have 25 positions: 0 conv_in; then every resnet (with its attention) and every
downsampler on the way down; the mid block; every resnet on the way up (an upsampler shares the last resnet's).
SDXL has 23, whether its names are the original repository's or diffusers': 0 time and label embeddings,
1-9 input_blocks (1 is conv_in), 10-12 middle_block (resnet, attention, resnet), 13-21 output_blocks, 22 out.
Source: sd-scripts, networks/lora.py, get_block_index.
"""

from __future__ import annotations

from torch import nn

from lr_grid.blocks import Block

STACK = "unet"


def number_diffusers_unet(model: nn.Module) -> tuple[dict[str, int], dict[str, Block]]:
    """(stack sizes, dotted path -> block) of a U-Net with down_blocks, mid_block, up_blocks."""
    blocks: dict[str, Block] = {"conv_in": (STACK, 0)}
    position = 1
    for way in ("down_blocks", "mid_block", "up_blocks"):
        if way == "mid_block":
            blocks[way] = (STACK, position)
            position += 1
            continue
        for i, block in enumerate(getattr(model, way)):
            resnets = len(block.resnets)
            for j in range(resnets):
                for name in ("resnets", "attentions"):
                    blocks[f"{way}.{i}.{name}.{j}"] = (STACK, position + j)
            position += resnets
            if getattr(block, "downsamplers", None):
                blocks[f"{way}.{i}.downsamplers"] = (STACK, position)
                position += 1
            if getattr(block, "upsamplers", None):
                blocks[f"{way}.{i}.upsamplers"] = (STACK, position - 1)
    return {STACK: position}, blocks


def number_diffusers_sdxl_unet(model: nn.Module) -> tuple[dict[str, int], dict[str, Block]]:
    """(stack sizes, dotted path -> block) of SDXL's U-Net in diffusers' names, numbered as in the original's.

    A resnet and its attention are one position, a downsampler is one of its own, an upsampler shares the last resnet's.
    The middle block is taken apart: each of its resnets and attentions is a position.
    """
    blocks: dict[str, Block] = {"time_embedding": (STACK, 0), "add_embedding": (STACK, 0), "conv_in": (STACK, 1)}
    position = 2
    for way in ("down_blocks", "mid_block", "up_blocks"):
        if way == "mid_block":
            for name in ("resnets.0", "attentions.0", "resnets.1"):
                blocks[f"{way}.{name}"] = (STACK, position)
                position += 1
            continue
        for i, block in enumerate(getattr(model, way)):
            for j in range(len(block.resnets)):
                blocks[f"{way}.{i}.resnets.{j}"] = blocks[f"{way}.{i}.attentions.{j}"] = (STACK, position)
                position += 1
            if getattr(block, "downsamplers", None):
                blocks[f"{way}.{i}.downsamplers"] = (STACK, position)
                position += 1
            blocks[f"{way}.{i}.upsamplers"] = (STACK, position - 1)
    blocks["conv_norm_out"] = blocks["conv_out"] = (STACK, position)
    return {STACK: position + 1}, blocks


def number_ldm_unet(model: nn.Module) -> tuple[dict[str, int], dict[str, Block]]:
    """(stack sizes, dotted path -> block) of a U-Net with input_blocks, middle_block, output_blocks."""
    blocks: dict[str, Block] = {"time_embed": (STACK, 0), "label_emb": (STACK, 0)}
    position = 1
    for way in ("input_blocks", "middle_block", "output_blocks"):
        for i in range(len(getattr(model, way))):
            blocks[f"{way}.{i}"] = (STACK, position)
            position += 1
    blocks["out"] = (STACK, position)
    return {STACK: position + 1}, blocks
