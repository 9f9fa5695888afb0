"""Tiny Lumina-Image 2, HunyuanImage-2.1 and Anima: transformers whose text encoders are language models."""

from __future__ import annotations

from pathlib import Path

import shrink
import tiny_data
import torch
from accelerate import init_empty_weights
from library import (
    anima_models,
    flux_models,
    hunyuan_image_models,
    hunyuan_image_text_encoder,
    hunyuan_image_vae,
    lumina_models,
    lumina_util,
    qwen_image_autoencoder_kl,
)
from safetensors.torch import save_file
from tiny_weights import random_weights, save_random, shrunk
from transformers import Qwen3Config, Qwen3ForCausalLM


def make_lumina(folder: Path) -> None:
    with shrunk("lumina"), torch.device("meta"):
        parts = {
            "lumina": lumina_models.NextDiT_2B_GQA_patch2_Adaln_Refiner(),
            "gemma2": lumina_util.Gemma2Model(lumina_util.Gemma2Config()),
            "ae": flux_models.AutoEncoder(flux_models.configs["schnell"].ae_params),
        }
    for name, model in parts.items():
        save_random(model, folder / f"{name}.safetensors")


def make_hunyuan_image(folder: Path) -> None:
    te = hunyuan_image_text_encoder
    with shrunk("hunyuan_image"), init_empty_weights():
        save_random(hunyuan_image_models.create_model("torch", False, None), folder / "hunyuan_image.safetensors")
        save_random(hunyuan_image_vae.HunyuanVAE2D(), folder / "vae.safetensors")
        language = te.Qwen2_5_VLForConditionalGeneration(te.Qwen2_5_VLConfig())
        glyphs = te.T5ForConditionalGeneration(te.T5Config()).get_encoder()
        te.add_special_token(te.AutoTokenizer.from_pretrained(te.BYT5_TOKENIZER_PATH), glyphs)
    # the names of the published files, which differ from those of the classes
    weights = {
        name.replace("model.language_model.", "model.").replace("model.visual.", "visual."): entry
        for name, entry in language.state_dict().items()
    }
    save_file(dict(random_weights(weights.items())), folder / "qwen2_5_vl.safetensors")
    weights = {name: entry for name, entry in glyphs.state_dict().items() if name != "embed_tokens.weight"}
    weights["shared.weight"] = glyphs.embed_tokens.weight
    save_file(dict(random_weights(weights.items())), folder / "byt5.safetensors")


def make_anima(folder: Path) -> None:
    with shrunk("anima"), init_empty_weights():
        anima = anima_models.Anima(512, 512, 128, 16, 16, 2, 1, pos_emb_cls="rope3d", use_adaln_lora=True)
        vae = qwen_image_autoencoder_kl.AutoencoderKLQwenImage()
    # buffers are computed: a checkpoint has none
    save_file(dict(random_weights(anima.named_parameters(), "net.")), folder / "anima.safetensors")
    save_random(vae, folder / "vae.safetensors")
    # the text encoder may be a Transformers folder, so none of its constants has to be shrunk
    config = Qwen3Config(
        vocab_size=shrink.QWEN_VOCABULARY,
        hidden_size=shrink.ANIMA_TEXT_WIDTH,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=16,
        tie_word_embeddings=True,
    )
    Qwen3ForCausalLM(config).to(torch.bfloat16).save_pretrained(folder / "qwen3")
    tiny_data.make_qwen_tokenizer(folder / "qwen3")
