"""The tables of kohya's classes and of text encoders, on small models with the same class and attribute names."""

from __future__ import annotations

import re

import pytest
from torch import nn

from lr_grid.anatomy import Layout
from lr_grid.anatomy.detect import read_layout
from lr_grid.anatomy.tables import FAMILIES
from lr_grid.words import COMPONENTS


def model_with(cls: str, paths: list[str], *bases: type[nn.Module]) -> nn.Module:
    """A model of a class of this name, with a Linear at each of the dotted paths; lists are filled up from 0."""
    tree: dict = {}
    for path in paths:
        node = tree
        for name in path.split("."):
            node = node.setdefault(name, {})

    def grow(node: dict, module: nn.Module) -> nn.Module:
        for name, below in node.items():
            module.add_module(name, made(below))
        return module

    def made(node: dict) -> nn.Module:
        if not node:
            return nn.Linear(2, 2)
        if all(name.isdigit() for name in node):
            items = range(max(map(int, node)) + 1)
            return nn.ModuleList(made(node[str(i)]) if str(i) in node else nn.Identity() for i in items)
        return grow(node, nn.Module())

    return grow(tree, type(cls, bases or (nn.Module,), {})())


FLUX = {
    "double_blocks.1.img_attn.qkv": "double self_attn",
    "double_blocks.1.img_attn.proj": "double self_attn",
    "double_blocks.1.txt_attn.qkv": "double cross_attn",
    "double_blocks.1.txt_mlp.2": "double cross_attn",
    "double_blocks.1.img_mlp.0": "double ffn",
    "single_blocks.1.linear1": "single fused",
    "single_blocks.1.linear2": "single fused",
    "img_in": "embed",
    "txt_in": "embed",
    "final_layer.linear": "other",
}
FLUX_MOD = {
    "double_blocks.1.img_mod.lin": "double mod",
    "double_blocks.1.txt_mod.lin": "double mod",
    "single_blocks.1.modulation.lin": "single mod",
    "time_in.in_layer": "embed",
    "vector_in.out_layer": "embed",
    "guidance_in.in_layer": "embed",
    "final_layer.adaLN_modulation.1": "mod",
}
HUNYUAN = {
    "txt_in.individual_token_refiner.blocks.1.self_attn_qkv": "refiner self_attn",
    "txt_in.individual_token_refiner.blocks.1.self_attn_proj": "refiner self_attn",
    "txt_in.individual_token_refiner.blocks.1.mlp.fc1": "refiner ffn",
    "txt_in.individual_token_refiner.blocks.1.adaLN_modulation.1": "refiner mod",
    "double_blocks.1.txt_mod.linear": "double mod",
    "double_blocks.1.img_mlp.fc1": "double ffn",
    "double_blocks.1.txt_mlp.fc2": "double cross_attn",
    "txt_in.input_embedder": "embed",
    "txt_in.t_embedder.mlp.0": "embed",
    "time_in.mlp.0": "embed",
    "final_layer.adaLN_modulation.1": "mod",
    "final_layer.linear": "other",
}
HUNYUAN_JOINED = {
    "double_blocks.1.img_attn_qkv": "double self_attn",
    "double_blocks.1.img_attn_proj": "double self_attn",
    "double_blocks.1.txt_attn_qkv": "double cross_attn",
    "single_blocks.1.linear1": "single fused",
    "single_blocks.1.linear2": "single fused",
    "single_blocks.1.modulation.linear": "single mod",
}
TRANSFORMER_LAYERS = {
    "attention.qkv": "self_attn",
    "feed_forward.w1": "ffn",
    "feed_forward.w3": "ffn",
}
LANGUAGE_LAYERS = {
    "self_attn.q_proj": "self_attn",
    "self_attn.o_proj": "self_attn",
    "mlp.gate_proj": "ffn",
    "mlp.down_proj": "ffn",
}


def below(stack_path: str, stack: str, names: dict[str, str]) -> dict[str, str]:
    return {f"{stack_path}.1.{name}": f"{stack} {component}" for name, component in names.items()}


MODELS: dict[str, tuple[str, dict[str, str]]] = {
    "Flux": ("flux", {**FLUX, **FLUX_MOD}),
    "Chroma": ("chroma", {**FLUX, "distilled_guidance_layer.layers.1.in_layer": "mod"}),
    "Flux2": (
        "flux2",
        {**FLUX, "double_stream_modulation_txt.lin": "mod", "single_stream_modulation.lin": "mod"},
    ),
    "HYVideoDiffusionTransformer": (
        "hunyuan_video",
        {**HUNYUAN, **HUNYUAN_JOINED, "vector_in.in_layer": "embed", "guidance_in.mlp.2": "embed"},
    ),
    "HYImageDiffusionTransformer": ("hunyuan_image", {**HUNYUAN, **HUNYUAN_JOINED, "byt5_in.fc1": "embed"}),
    "HunyuanVideo_1_5_DiffusionTransformer": (
        "hunyuan_video_1_5",
        {
            **HUNYUAN,
            "double_blocks.1.img_attn_q": "double self_attn",
            "double_blocks.1.img_attn_proj": "double self_attn",
            "double_blocks.1.txt_attn_k": "double cross_attn",
            "byt5_in.fc3": "embed",
            "vision_in.proj.1": "embed",
        },
    ),
    "HunyuanVideoTransformer3DModelPacked": (
        "framepack",
        {
            "context_embedder.token_refiner.refiner_blocks.1.attn.to_q": "refiner self_attn",
            "context_embedder.token_refiner.refiner_blocks.1.ff.net.0.proj": "refiner ffn",
            "context_embedder.token_refiner.refiner_blocks.1.norm_out.linear": "refiner mod",
            "transformer_blocks.1.norm1.linear": "double mod",
            "transformer_blocks.1.norm1_context.linear": "double mod",
            "transformer_blocks.1.attn.to_q": "double self_attn",
            "transformer_blocks.1.attn.to_out.0": "double self_attn",
            "transformer_blocks.1.attn.add_q_proj": "double cross_attn",
            "transformer_blocks.1.attn.to_add_out": "double cross_attn",
            "transformer_blocks.1.ff.net.2": "double ffn",
            "transformer_blocks.1.ff_context.net.0.proj": "double cross_attn",
            "single_transformer_blocks.1.norm.linear": "single mod",
            "single_transformer_blocks.1.attn.to_v": "single self_attn",
            "single_transformer_blocks.1.proj_mlp": "single ffn",
            "single_transformer_blocks.1.proj_out": "single fused",
            "context_embedder.proj_in": "embed",
            "clean_x_embedder.proj_2x": "embed",
            "image_projection.up": "embed",
            "time_text_embed.guidance_embedder.linear_1": "embed",
            "norm_out.linear": "mod",
            "proj_out": "other",
        },
    ),
    "QwenImageTransformer2DModel": (
        "qwen_image",
        {
            "transformer_blocks.1.img_mod.1": "blocks mod",
            "transformer_blocks.1.txt_mod.1": "blocks mod",
            "transformer_blocks.1.attn.to_k": "blocks self_attn",
            "transformer_blocks.1.attn.to_out.0": "blocks self_attn",
            "transformer_blocks.1.attn.add_k_proj": "blocks cross_attn",
            "transformer_blocks.1.attn.to_add_out": "blocks cross_attn",
            "transformer_blocks.1.img_mlp.net.0.proj": "blocks ffn",
            "transformer_blocks.1.txt_mlp.net.2": "blocks cross_attn",
            "time_text_embed.timestep_embedder.linear_1": "embed",
            "norm_out.linear": "mod",
            "proj_out": "other",
        },
    ),
    "MMDiT": (
        "sd3",
        {
            "joint_blocks.1.context_block.attn.qkv": "joint self_attn",
            "joint_blocks.1.x_block.attn.proj": "joint self_attn",
            "joint_blocks.1.x_block.attn2.qkv": "joint self_attn",
            "joint_blocks.1.context_block.mlp.fc1": "joint ffn",
            "joint_blocks.1.x_block.mlp.fc2": "joint ffn",
            "joint_blocks.1.x_block.adaLN_modulation.1": "joint mod",
            "x_embedder.proj": "embed",
            "y_embedder.mlp.0": "embed",
            "context_embedder": "embed",
            "final_layer.adaLN_modulation.1": "mod",
            "final_layer.linear": "other",
        },
    ),
    "NextDiT": (
        "lumina",
        {
            **below("context_refiner", "context_refiner", TRANSFORMER_LAYERS),
            **below("noise_refiner", "noise_refiner", {**TRANSFORMER_LAYERS, "adaLN_modulation.1": "mod"}),
            **below("layers", "layers", {**TRANSFORMER_LAYERS, "adaLN_modulation.1": "mod"}),
            "cap_embedder.1": "embed",
            "final_layer.linear": "other",
        },
    ),
    "ZImageTransformer2DModel": (
        "z_image",
        {
            **below("noise_refiner", "noise_refiner", TRANSFORMER_LAYERS),
            **below("context_refiner", "context_refiner", {"attention.to_out.0": "self_attn"}),
            **below("layers", "layers", {"attention.to_q": "self_attn", "adaLN_modulation.0": "mod"}),
            "all_x_embedder.2-1": "embed",
            "all_final_layer.2-1.adaLN_modulation.1": "mod",
            "all_final_layer.2-1.linear": "other",
        },
    ),
    "Anima": (
        "anima",
        {
            "llm_adapter.blocks.1.self_attn.q_proj": "llm_adapter self_attn",
            "llm_adapter.blocks.1.cross_attn.o_proj": "llm_adapter cross_attn",
            "llm_adapter.blocks.1.mlp.2": "llm_adapter ffn",
            "blocks.1.self_attn.output_proj": "blocks self_attn",
            "blocks.1.cross_attn.k_proj": "blocks cross_attn",
            "blocks.1.mlp.layer1": "blocks ffn",
            "blocks.1.adaln_modulation_self_attn.1": "blocks mod",
            "blocks.1.adaln_modulation_mlp.2": "blocks mod",
            "llm_adapter.out_proj": "embed",
            "t_embedder.1.linear_2": "embed",
            "final_layer.adaln_modulation.2": "mod",
            "final_layer.linear": "other",
        },
    ),
    "WanModel": (
        "wan",
        {
            "blocks.1.self_attn.o": "blocks self_attn",
            "blocks.1.cross_attn.q": "blocks cross_attn",
            "blocks.1.cross_attn.k_img": "blocks cross_attn",
            "blocks.1.ffn.2": "blocks ffn",
            "patch_embedding": "embed",
            "img_emb.proj.1": "embed",
            "time_embedding.0": "embed",
            "time_projection.1": "mod",
            "head.head": "other",
        },
    ),
    "DiffusionTransformer3D": (
        "kandinsky5",
        {
            "text_transformer_blocks.1.self_attention.to_query": "text self_attn",
            "text_transformer_blocks.1.feed_forward.in_layer": "text ffn",
            "text_transformer_blocks.1.text_modulation.out_layer": "text mod",
            "visual_transformer_blocks.1.self_attention.out_layer": "visual self_attn",
            "visual_transformer_blocks.1.cross_attention.to_key": "visual cross_attn",
            "visual_transformer_blocks.1.feed_forward.out_layer": "visual ffn",
            "visual_transformer_blocks.1.visual_modulation.out_layer": "visual mod",
            "pooled_text_embeddings.in_layer": "embed",
            "out_layer.modulation.out_layer": "mod",
            "out_layer.out_layer": "other",
        },
    ),
    "SingleStreamDiT": (
        "krea2",
        {
            "txtfusion.layerwise_blocks.1.attn.gate": "txtfusion_layerwise self_attn",
            "txtfusion.refiner_blocks.1.mlp.gate": "txtfusion_refiner ffn",
            "blocks.1.attn.wq": "blocks self_attn",
            "blocks.1.attn.gate": "blocks self_attn",
            "blocks.1.mlp.gate": "blocks ffn",
            "txtfusion.projector": "embed",
            "first": "embed",
            "tmlp.0": "embed",
            "txtmlp.3": "embed",
            "tproj.1": "mod",
            "last.linear": "other",
        },
    ),
    "Qwen3VLForConditionalGeneration": (
        "hidream_o1",
        {
            "model.visual.blocks.1.attn.qkv": "visual self_attn",
            "model.visual.blocks.1.mlp.linear_fc2": "visual ffn",
            **below("model.language_model.layers", "layers", LANGUAGE_LAYERS),
            "model.visual.merger.linear_fc1": "embed",
            "model.visual.deepstack_merger_list.1.linear_fc1": "embed",
            "model.x_embedder.proj1": "embed",
            "model.t_embedder1.mlp.0": "embed",
            "model.final_layer2.linear": "other",
            "lm_head": "other",
        },
    ),
    "Ideogram4Transformer": (
        "ideogram4",
        {
            **below("layers", "layers", {**TRANSFORMER_LAYERS, "adaln_modulation": "mod"}),
            "input_proj": "embed",
            "llm_cond_proj": "embed",
            "t_embedding.mlp_in": "embed",
            "adaln_proj": "mod",
            "final_layer.adaln_modulation": "mod",
            "final_layer.linear": "other",
        },
    ),
    "CLIPTextModelWithProjection": (
        "clip",
        {
            "text_model.encoder.layers.1.self_attn.out_proj": "layers self_attn",
            "text_model.encoder.layers.1.mlp.fc1": "layers ffn",
            "text_model.embeddings.token_embedding": "embed",
            "text_projection": "other",
        },
    ),
    "T5EncoderModel": (
        "t5",
        {
            "encoder.block.1.layer.0.SelfAttention.q": "layers self_attn",
            "encoder.block.1.layer.1.DenseReluDense.wi_0": "layers ffn",
            "shared": "embed",
        },
    ),
    "Gemma2Model": ("gemma2", {**below("layers", "layers", LANGUAGE_LAYERS), "embed_tokens": "embed"}),
    "Qwen3Model": ("qwen3", below("layers", "layers", LANGUAGE_LAYERS)),
    "Qwen3ForCausalLM": ("qwen3", {**below("model.layers", "layers", LANGUAGE_LAYERS), "lm_head": "other"}),
    "Qwen2_5_VLModel": (
        "qwen2_5_vl",
        {
            "visual.blocks.1.attn.proj": "visual self_attn",
            **below("language_model.layers", "layers", LANGUAGE_LAYERS),
            "visual.patch_embed.proj": "embed",
        },
    ),
    "Qwen2_5_VLForConditionalGeneration": (
        "qwen2_5_vl",
        {
            "model.visual.blocks.1.attn.qkv": "visual self_attn",
            "model.visual.blocks.1.mlp.gate_proj": "visual ffn",
            **below("model.language_model.layers", "layers", LANGUAGE_LAYERS),
            "model.visual.merger.mlp.0": "embed",
            "model.language_model.embed_tokens": "embed",
            "lm_head": "other",
        },
    ),
}


def place(layout: Layout, path: str, module: nn.Module | None = None) -> str:
    """``double self_attn``, or ``embed`` outside the stacks."""
    block = layout.block_of(path)
    component = str(layout.component_of(path, module))
    if block is None:
        return component
    assert block[1] == 1, "every block of these models stands at position 1"
    return f"{block[0]} {component}"


@pytest.mark.parametrize("cls", MODELS)
def test_every_module_has_its_place(cls: str):
    family, expected = MODELS[cls]
    model = model_with(cls, list(expected))
    layout = read_layout(model)
    assert layout.family == family
    assert {path: place(layout, path, model.get_submodule(path)) for path in expected} == expected


@pytest.mark.parametrize("cls", MODELS)
def test_stacks_are_counted_live_and_stand_in_the_order_of_execution(cls: str):
    family, expected = MODELS[cls]
    stacks = dict.fromkeys(found.split()[0] for found in expected.values() if " " in found)
    assert read_layout(model_with(cls, list(expected))).stacks == dict.fromkeys(stacks, 2)
    assert list(read_layout(model_with(cls, list(reversed(expected)))).stacks) == list(stacks), family


def test_what_an_adapter_wraps_keeps_its_place():
    """A rule is about a module and all below it: PEFT puts the original Linear into ``base_layer``."""
    layout = read_layout(model_with("Flux", list(MODELS["Flux"][1])))
    assert place(layout, "double_blocks.1.img_attn.qkv.base_layer") == "double self_attn"
    assert place(layout, "single_blocks.1.linear1.base_layer") == "single fused"
    assert place(layout, "single_blocks.1.linear12") == "single None"


def test_norms_are_known_by_class_wherever_they_stand():
    layout = read_layout(model_with("Flux", list(MODELS["Flux"][1])))
    assert place(layout, "double_blocks.1.txt_attn.norm.query_norm", nn.RMSNorm(2)) == "double norm"
    assert place(layout, "final_layer.norm_final", nn.LayerNorm(2)) == "norm"


def test_a_class_that_derives_from_a_known_one_is_of_its_family():
    framepack = model_with("HunyuanVideoTransformer3DModelPacked", [])
    paths = ["transformer_blocks.1.attn.to_q", "single_transformer_blocks.1.proj_out"]
    assert read_layout(model_with("PackedInference", paths, type(framepack))).family == "framepack"


def test_a_class_of_the_same_name_with_other_parts_is_none_of_the_family():
    plain = model_with("Qwen3VLForConditionalGeneration", ["model.language_model.layers.1.self_attn.q_proj"])
    assert read_layout(plain).family != "hidream_o1"


def test_tables_use_the_words_of_the_settings():
    for family in FAMILIES:
        assert {component for _, component in (*family.rules, *family.outside_rules)} <= set(COMPONENTS), family.name
        for stack in (family.stacks or {}).values():
            # what the block syntax takes apart as stack and numbers: double_0-6
            assert re.fullmatch(r"[a-z][a-z0-9_]*", stack), family.name
            assert not re.search(r"_\d+$", stack), family.name
