"""Every released model of diffusers' classes, held against the tables on the meta device."""

import re

import pytest
import torch
from inventories.diffusers_models import BY_GENERAL_RULES, SIZES, build
from inventories.kohya_unet import sd_position, sdxl_position
from inventories.reading import read
from torch import nn

from lr_grid.anatomy.detect import read_layout
from lr_grid.words import COMPONENTS

pytest.importorskip("diffusers")

FLUX = {"double": 19, "single": 38}
HUNYUAN = {"refiner": 2, "double": 20, "single": 40}
EXPECTED: dict[str, tuple[str, dict[str, int]]] = {
    "SD 1.5": ("sd", {"unet": 25}),
    "SD 2.1": ("sd", {"unet": 25}),
    "SDXL": ("sdxl", {"unet": 23}),
    "SDXL refiner": ("sd", {"unet": 25}),
    "SD3 medium": ("sd3", {"joint": 24}),
    "SD3.5 medium": ("sd3", {"joint": 24}),
    "SD3.5 large": ("sd3", {"joint": 38}),
    "FLUX.1 dev": ("flux", FLUX),
    "FLUX.1 schnell": ("flux", FLUX),
    "FLUX.2 dev": ("flux2", {"double": 8, "single": 48}),
    "FLUX.2 Klein 4B": ("flux2", {"double": 5, "single": 20}),
    "FLUX.2 Klein 9B": ("flux2", {"double": 8, "single": 24}),
    "Chroma1": ("chroma", FLUX),
    "HunyuanVideo": ("hunyuan_video", HUNYUAN),
    "HunyuanVideo I2V": ("hunyuan_video", HUNYUAN),
    "FramePack": ("hunyuan_video", HUNYUAN),
    "HunyuanVideo-1.5": ("hunyuan_video_1_5", {"refiner": 2, "double": 54}),
    "HunyuanImage 2.1": ("hunyuan_image", HUNYUAN),
    "HunyuanImage 2.1 distilled": ("hunyuan_image", HUNYUAN),
    "Qwen-Image": ("qwen_image", {"blocks": 60}),
    "Wan 2.1 1.3B": ("wan", {"blocks": 30}),
    "Wan 2.1 14B": ("wan", {"blocks": 40}),
    "Wan 2.1 I2V 14B": ("wan", {"blocks": 40}),
    "Wan 2.2 5B": ("wan", {"blocks": 30}),
    "Wan 2.2 A14B": ("wan", {"blocks": 40}),
    "Wan 2.1 VACE 14B": ("wan", {"blocks": 40, "vace": 8}),
    "LTX-Video 2B": ("ltx", {"blocks": 28}),
    "LTX-Video 13B": ("ltx", {"blocks": 48}),
    "LTX-2": ("ltx2", {"blocks": 48}),
    "LTX-2.3": ("ltx2", {"blocks": 48}),
    "PixArt-alpha": ("pixart", {"blocks": 28}),
    "PixArt-sigma": ("pixart", {"blocks": 28}),
    "Sana 1.6B": ("sana", {"blocks": 20}),
    "Sana 0.6B": ("sana", {"blocks": 28}),
    "Lumina-Image 2.0": ("lumina2", {"noise_refiner": 2, "context_refiner": 2, "layers": 26}),
    "Z-Image": ("z_image", {"noise_refiner": 2, "context_refiner": 2, "layers": 30}),
    "Bria 3.2": ("bria", FLUX),
    "Bria FIBO": ("bria", {"double": 8, "single": 38}),
    "LongCat-Image": ("longcat_image", {"double": 10, "single": 20}),
    "Ovis-Image": ("ovis_image", {"double": 6, "single": 27}),
}


@pytest.mark.parametrize("size", SIZES)
def test_family_and_stacks(size):
    layout = read(size).layout
    assert (layout.family, layout.stacks) == EXPECTED[size]
    assert list(layout.stacks) == list(EXPECTED[size][1]), "positional lists go by this order"


@pytest.mark.parametrize("size", [*SIZES, *BY_GENERAL_RULES])
def test_everything_that_holds_parameters_has_a_component(size):
    assert [entry.path for entry in read(size).entries if entry.component not in COMPONENTS] == []


@pytest.mark.parametrize("size", [*SIZES, *BY_GENERAL_RULES])
def test_a_norm_is_known_by_its_class_and_only_by_it(size):
    for entry in read(size).entries:
        assert (entry.component == "norm") == (entry.kind == "norm"), entry.path


@pytest.mark.parametrize("size", [*SIZES, *BY_GENERAL_RULES])
def test_every_block_holds_something_and_stacks_can_be_written_in_block_syntax(size):
    layout = read(size).layout
    found = {entry.block for entry in read(size).entries if entry.block}
    assert found == {(stack, i) for stack, n in layout.stacks.items() for i in range(n)}
    for stack in layout.stacks:
        assert re.fullmatch(r"[A-Za-z]\w*", stack)
        assert not re.search(r"_(?:\d+|blocks?)$", stack)


# Counts taken by other means: self, joint text stream's attention, cross, fused, ffn, modulation, embed, other.
COUNTED = {
    "SD 1.5": (64, 0, 64, 0, 32, 22, 3, 97),
    "SDXL": (280, 0, 280, 0, 140, 17, 5, 72),
    "FLUX.1 dev": (190, 76, 0, 38, 114, 77, 8, 1),
    "FLUX.2 dev": (32, 32, 0, 96, 32, 4, 6, 1),
    "Chroma1": (190, 76, 0, 38, 114, 12, 2, 1),
    "SD3 medium": (96, 95, 0, 0, 94, 49, 6, 1),
    "Wan 2.1 1.3B": (120, 0, 120, 0, 60, 1, 5, 1),
    "LTX-Video 2B": (112, 0, 112, 0, 56, 1, 5, 1),
    "Qwen-Image": (240, 240, 0, 0, 240, 121, 4, 1),
    "Z-Image": (136, 0, 0, 0, 102, 33, 4, 1),
    "HunyuanVideo": (208, 80, 0, 40, 124, 83, 12, 1),
    "PixArt-sigma": (112, 0, 112, 0, 56, 1, 5, 1),
}


@pytest.mark.parametrize("size", COUNTED)
def test_components_are_counted(size):
    reading = read(size)
    paths = [entry.path for entry in reading.entries if entry.kind == "matrix"]
    own, joint, cross, fused, ffn, mod, embed, other = COUNTED[size]
    assert sum(bool(re.search(r"\.attn\.(add_[qkv]_proj|to_add_out)$", path)) for path in paths) == joint
    text_ffn = sum(bool(re.search(r"\.(ff_context|txt_mlp)\.", path)) for path in paths)
    if reading.layout.family == "sd3":  # joint attention is self-attention there, and both streams' ffn is ffn
        expected = {"self_attn": own + joint, "cross_attn": cross, "ffn": ffn}
    else:  # the text stream is cross-attention as a whole
        expected = {"self_attn": own, "cross_attn": joint + cross + text_ffn, "ffn": ffn - text_ffn}
    expected |= {"fused": fused, "mod": mod, "embed": embed, "other": other}
    assert reading.count("matrix") == {component: n for component, n in expected.items() if n}


@pytest.mark.parametrize(
    ("size", "path", "block", "component"),
    [
        ("FLUX.1 dev", "transformer_blocks.3.norm1_context.linear", ("double", 3), "mod"),
        ("FLUX.1 dev", "transformer_blocks.3.ff_context.net.0.proj", ("double", 3), "cross_attn"),
        ("FLUX.1 dev", "single_transformer_blocks.37.proj_mlp", ("single", 37), "ffn"),
        ("FLUX.1 dev", "single_transformer_blocks.37.proj_out", ("single", 37), "fused"),
        ("FLUX.1 dev", "proj_out", None, "other"),
        ("FLUX.1 dev", "norm_out.linear", None, "mod"),
        ("FLUX.2 dev", "transformer_blocks.7.attn.to_out.0", ("double", 7), "self_attn"),
        ("FLUX.2 dev", "single_transformer_blocks.47.attn.to_out", ("single", 47), "fused"),
        ("FLUX.2 dev", "double_stream_modulation_img.linear", None, "mod"),
        ("Chroma1", "distilled_guidance_layer.layers.2.linear_1", None, "mod"),
        ("SD3.5 medium", "transformer_blocks.12.attn2.to_q", ("joint", 12), "self_attn"),
        ("SD3.5 medium", "transformer_blocks.12.attn.add_q_proj", ("joint", 12), "self_attn"),
        ("Wan 2.1 I2V 14B", "blocks.39.attn2.add_k_proj", ("blocks", 39), "cross_attn"),
        ("Wan 2.1 I2V 14B", "condition_embedder.image_embedder.ff.net.0.proj", None, "embed"),
        ("Wan 2.1 I2V 14B", "condition_embedder.time_proj", None, "mod"),
        ("Wan 2.1 I2V 14B", "blocks.7.scale_shift_table", ("blocks", 7), "mod"),
        ("Wan 2.1 I2V 14B", "scale_shift_table", None, "mod"),
        ("LTX-2", "transformer_blocks.5.audio_attn1.to_v", ("blocks", 5), "self_attn"),
        ("LTX-2", "transformer_blocks.5.audio_attn2.to_v", ("blocks", 5), "cross_attn"),
        ("LTX-2", "transformer_blocks.5.audio_to_video_attn.to_v", ("blocks", 5), "cross_attn"),
        ("LTX-2", "transformer_blocks.5.video_a2v_cross_attn_scale_shift_table", ("blocks", 5), "mod"),
        ("LTX-2", "av_cross_attn_video_a2v_gate.linear", None, "mod"),
        ("LTX-2", "av_cross_attn_video_a2v_gate.emb.timestep_embedder.linear_1", None, "embed"),
        ("HunyuanVideo", "context_embedder.token_refiner.refiner_blocks.1.attn.to_q", ("refiner", 1), "self_attn"),
        ("HunyuanVideo", "context_embedder.token_refiner.refiner_blocks.1.norm_out.linear", ("refiner", 1), "mod"),
        ("Qwen-Image", "transformer_blocks.59.img_mod.1", ("blocks", 59), "mod"),
        ("Qwen-Image", "transformer_blocks.59.txt_mlp.net.2", ("blocks", 59), "cross_attn"),
        ("Sana 1.6B", "transformer_blocks.19.ff.conv_depth", ("blocks", 19), "ffn"),
        ("Z-Image", "noise_refiner.1.feed_forward.w3", ("noise_refiner", 1), "ffn"),
        ("Z-Image", "all_final_layer.2-1.adaLN_modulation.1", None, "mod"),
        ("Z-Image", "x_pad_token", None, "embed"),
    ],
)
def test_places(size, path, block, component):
    layout = read(size).layout
    assert (layout.block_of(path), layout.component_of(path)) == (block, component)


@pytest.mark.parametrize("path", ["transformer_blocks.3.attn.to_q", "transformer_blocks.3.attn.to_out.0"])
def test_what_an_adapter_puts_into_a_module_counts_as_the_module(path):
    layout = read("FLUX.1 dev").layout
    for inner in ("base_layer", "lora_A.default"):
        assert layout.component_of(f"{path}.{inner}") == "self_attn"
        assert layout.block_of(f"{path}.{inner}") == ("double", 3)


def test_sdxl_in_diffusers_names_has_kohyas_positions():
    reading = read("SDXL")
    for entry in reading.entries:
        assert entry.block == ("unet", sdxl_position(entry.path)), entry.path


@pytest.mark.parametrize("size", ["SD 1.5", "SD 2.1", "SDXL refiner"])
def test_sd_has_kohyas_positions(size):
    for entry in read(size).entries:
        position = sd_position(entry.path)
        assert entry.block == (None if position is None else ("unet", position)), entry.path


@pytest.mark.parametrize(
    ("path", "position"),
    [
        ("down_blocks.0.downsamplers.0.conv", 4),
        ("down_blocks.1.attentions.0.transformer_blocks.1.attn1.to_q", 5),
        ("down_blocks.2.attentions.1.proj_in", 9),
        ("mid_block.resnets.0.conv1", 10),
        ("mid_block.attentions.0.transformer_blocks.9.ff.net.2", 11),
        ("mid_block.resnets.1.conv1", 12),
        ("up_blocks.0.upsamplers.0.conv", 15),
        ("up_blocks.2.resnets.2.conv2", 21),
        ("conv_out", 22),
    ],
)
def test_sdxl_positions_spelt_out(path, position):
    assert read("SDXL").layout.block_of(path) == ("unet", position)


@pytest.mark.parametrize("mid_block", ["UNetMidBlock2D", None])
def test_distilled_sdxl_keeps_sdxls_positions(mid_block):
    """Some distillations of SDXL leave out the middle block, or its attention: the positions after it stay."""
    from diffusers import UNet2DConditionModel

    with torch.device("meta"):
        model = UNet2DConditionModel(**{**SIZES["SDXL"].config, "mid_block_type": mid_block})
    layout = read_layout(model)
    assert (layout.family, layout.stacks) == ("sdxl", {"unet": 23})
    assert layout.block_of("up_blocks.0.resnets.0.conv1") == ("unet", 13)


class Attention(nn.Module):
    """Names from nowhere in particular; the gate shares its word with the feed-forward's."""

    def __init__(self) -> None:
        super().__init__()
        self.q, self.k, self.v, self.o, self.gate = (nn.Linear(2, 2) for _ in range(5))
        self.q_norm = nn.LayerNorm(2)


class GatedMlp(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gate, self.up, self.down = nn.Linear(2, 4), nn.Linear(2, 4), nn.Linear(4, 2)


class NovelBlock(nn.Module):
    def __init__(self, with_cross: bool) -> None:
        super().__init__()
        self.attention = Attention()
        if with_cross:
            self.cross_attention = Attention()
        self.mlp = GatedMlp()
        self.pre_norm = nn.LayerNorm(2)
        self.scale_shift = nn.Parameter(torch.zeros(6, 2))
        self.oddity = nn.Linear(2, 2)


class PlainBlock(nn.Module):
    """Projections in the block itself."""

    def __init__(self) -> None:
        super().__init__()
        self.to_query, self.to_key, self.to_value, self.out_proj = (nn.Linear(2, 2) for _ in range(4))
        self.gate_proj, self.up_proj, self.down_proj = (nn.Linear(2, 2) for _ in range(3))
        self.experts = nn.ModuleList(GatedMlp() for _ in range(2))
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(2, 2))


class NovelTransformer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.patchify_proj = nn.Linear(2, 2)
        self.heads = nn.ModuleList(nn.Linear(2, 2) for _ in range(4))
        self.vision_blocks = nn.ModuleList(NovelBlock(with_cross=True) for _ in range(5))
        self.prompt_transformer_blocks = nn.ModuleList(PlainBlock() for _ in range(3))
        self.stage_2 = nn.ModuleList(PlainBlock() for _ in range(2))
        self.final = nn.Linear(2, 2)


def test_a_family_nobody_described_is_read_from_its_lists_and_names():
    model = NovelTransformer()
    layout = read_layout(model)
    assert layout.stacks == {"vision": 5, "prompt": 3, "stage2": 2}
    places = {
        "vision_blocks.4.attention.q": (("vision", 4), "self_attn"),
        "vision_blocks.4.attention.gate": (("vision", 4), "self_attn"),
        "vision_blocks.4.attention.q_norm": (("vision", 4), "norm"),
        "vision_blocks.4.cross_attention.o": (("vision", 4), "cross_attn"),
        "vision_blocks.4.mlp.gate": (("vision", 4), "ffn"),
        "vision_blocks.4.mlp.down": (("vision", 4), "ffn"),
        "vision_blocks.4.pre_norm": (("vision", 4), "norm"),
        "vision_blocks.4.oddity": (("vision", 4), None),  # told as a notice, not guessed
        "prompt_transformer_blocks.2.to_query": (("prompt", 2), "self_attn"),
        "prompt_transformer_blocks.2.out_proj": (("prompt", 2), "self_attn"),
        "prompt_transformer_blocks.2.gate_proj": (("prompt", 2), "ffn"),
        "prompt_transformer_blocks.2.experts.1.up": (("prompt", 2), "ffn"),
        "prompt_transformer_blocks.2.adaLN_modulation.1": (("prompt", 2), "mod"),
        "stage_2.1.to_value": (("stage2", 1), "self_attn"),
        "patchify_proj": (None, "embed"),
        "heads.3": (None, "other"),
        "final": (None, "other"),
    }
    assert {p: (layout.block_of(p), layout.component_of(p, model.get_submodule(p))) for p in places} == places
    assert layout.component_of("vision_blocks.4.scale_shift") == "mod"


def test_a_subclass_of_a_known_model_is_read_as_that_model():
    from diffusers import FluxTransformer2DModel

    class MyFlux(FluxTransformer2DModel):
        pass

    with torch.device("meta"):
        model = MyFlux(num_layers=2, num_single_layers=3)
    assert read_layout(model).family == "flux"
    assert read_layout(model).stacks == {"double": 2, "single": 3}


def test_a_model_is_let_go_after_it_was_read():
    assert not any(isinstance(value, nn.Module) for value in vars(read("SD 1.5")).values())
    assert isinstance(build("SD 1.5"), nn.Module)


def test_the_page_of_families_is_what_the_models_say():
    """To regenerate docs/families_diffusers.md: PYTHONPATH=.:tests python -m inventories.families_page"""
    from inventories.families_page import PAGE, page

    assert PAGE.read_text(encoding="utf-8") == page()
