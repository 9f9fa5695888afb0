"""Stacks, blocks and components read off live models."""

import pytest
import torch
from small_models import Chroma, Flux, TextEncoder
from torch import nn

from lr_grid.anatomy.detect import read_layout


def component(model: nn.Module, path: str) -> str | None:
    return read_layout(model).component_of(path, model.get_submodule(path))


def test_flux_has_two_stacks_counted_live():
    layout = read_layout(Flux(19, 38))
    assert (layout.family, layout.stacks) == ("flux", {"double": 19, "single": 38})
    assert read_layout(Flux(5, 20)).stacks == {"double": 5, "single": 20}
    assert read_layout(Chroma()).family == "chroma"


@pytest.mark.parametrize(
    ("path", "block", "expected"),
    [
        ("double_blocks.2.img_attn.qkv", ("double", 2), "self_attn"),
        ("double_blocks.2.txt_attn.proj", ("double", 2), "cross_attn"),
        ("double_blocks.0.img_mlp.0", ("double", 0), "ffn"),
        ("double_blocks.0.txt_mlp.2", ("double", 0), "cross_attn"),
        ("double_blocks.1.txt_mod.lin", ("double", 1), "mod"),
        ("single_blocks.3.linear1", ("single", 3), "fused"),
        ("single_blocks.3.linear2", ("single", 3), "fused"),
        ("single_blocks.3.modulation.lin", ("single", 3), "mod"),
        ("img_in", None, "embed"),
    ],
)
def test_places_in_flux(path, block, expected):
    model = Flux()
    assert read_layout(model).block_of(path) == block
    assert component(model, path) == expected


@pytest.fixture(scope="module")
def sd15() -> nn.Module:
    from diffusers import UNet2DConditionModel

    with torch.device("meta"):
        return UNet2DConditionModel(cross_attention_dim=768)


@pytest.mark.parametrize(
    ("path", "position"),
    [
        ("conv_in", 0),
        ("down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q", 1),
        ("down_blocks.0.resnets.1.conv1", 2),
        ("down_blocks.0.downsamplers.0.conv", 3),
        ("down_blocks.2.downsamplers.0.conv", 9),
        ("down_blocks.3.resnets.1.time_emb_proj", 11),
        ("mid_block.attentions.0.proj_in", 12),
        ("up_blocks.0.resnets.2.conv1", 15),
        ("up_blocks.0.upsamplers.0.conv", 15),
        ("up_blocks.3.attentions.2.transformer_blocks.0.ff.net.2", 24),
    ],
)
def test_sd15_is_numbered_as_kohyas_block_dims(sd15, path, position):
    layout = read_layout(sd15)
    assert layout.stacks == {"unet": 25}
    assert layout.block_of(path) == ("unet", position)


def test_components_of_the_sd15_unet_are_counted(sd15):
    layout = read_layout(sd15)
    counts: dict[str | None, int] = {}
    for path, module in sd15.named_modules():
        if isinstance(module, (nn.Linear, nn.Conv2d)):
            kind = layout.component_of(path, module)
            counts[kind] = counts.get(kind, 0) + 1
    assert counts == {"self_attn": 64, "cross_attn": 64, "ffn": 32, "mod": 22, "embed": 3, "other": 97}


class SdxlUNet2DConditionModel(nn.Module):
    """The lists of SDXL's U-Net, as sd-scripts names them."""

    def __init__(self) -> None:
        super().__init__()
        self.time_embed = nn.Sequential(nn.Linear(2, 2))
        self.input_blocks = nn.ModuleList(nn.ModuleList([nn.Linear(2, 2)]) for _ in range(9))
        self.middle_block = nn.ModuleList(nn.Linear(2, 2) for _ in range(3))
        self.output_blocks = nn.ModuleList(nn.ModuleList([nn.Linear(2, 2)]) for _ in range(9))
        self.out = nn.ModuleList([nn.Linear(2, 2)])


def test_sdxl_is_numbered_as_kohyas_block_dims():
    layout = read_layout(SdxlUNet2DConditionModel())
    assert (layout.family, layout.stacks) == ("sdxl", {"unet": 23})
    places = {"time_embed.0": 0, "input_blocks.0.0": 1, "input_blocks.8.0": 9, "middle_block.0": 10}
    places |= {"output_blocks.0.0": 13, "output_blocks.8.0": 21, "out.0": 22}
    assert {path: layout.block_of(path) for path in places} == {path: ("unet", i) for path, i in places.items()}


def test_text_encoder_layers_are_a_stack():
    model = TextEncoder()
    layout = read_layout(model)
    assert layout.stacks == {"layers": 2}
    assert component(model, "text_model.encoder.layers.1.self_attn.q_proj") == "self_attn"
    assert component(model, "text_model.encoder.layers.1.mlp.fc1") == "ffn"


class StrangeBlock(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cross_attention = nn.ModuleDict({"to_q": nn.Linear(2, 2)})
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(2, 2))
        self.feed_forward = nn.Linear(2, 2)
        self.norm1 = nn.LayerNorm(2)
        self.whatever = nn.Linear(2, 2)


class Strange(nn.Module):
    """An architecture no table knows, with two stacks whose names would collide."""

    def __init__(self) -> None:
        super().__init__()
        self.patch_embed = nn.Linear(2, 2)
        self.encoder = nn.Module()
        self.encoder.layers = nn.ModuleList(StrangeBlock() for _ in range(2))
        self.layers = nn.ModuleList(StrangeBlock() for _ in range(5))
        self.refiner_blocks = nn.ModuleList(StrangeBlock() for _ in range(3))


def test_an_unknown_architecture_is_read_by_general_rules():
    model = Strange()
    layout = read_layout(model)
    assert layout.stacks == {"encoder_layers": 2, "layers": 5, "refiner": 3}
    assert layout.block_of("encoder.layers.1.feed_forward") == ("encoder_layers", 1)
    assert component(model, "layers.0.cross_attention.to_q") == "cross_attn"
    assert component(model, "layers.0.adaLN_modulation.1") == "mod"
    assert component(model, "layers.0.feed_forward") == "ffn"
    assert component(model, "layers.0.norm1") == "norm"
    assert component(model, "patch_embed") == "embed"
    assert component(model, "layers.0.whatever") is None  # told as a notice, not guessed
