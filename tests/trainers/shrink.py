"""Shrinks sd-scripts' hard-coded model widths in memory, so that its real scripts can load tiny models.

Runs in the trainer's process (or the model maker's), with sd-scripts on ``sys.path``; no file of sd-scripts is changed.
Imports are local because each family costs seconds of them.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

CLIP_VOCABULARY = 520  # >= the tiny tokenizer's 516
T5_VOCABULARY = 128
CLIP_SIZES = {"vocab_size": CLIP_VOCABULARY, "intermediate_size": 64}
SD15_CHANNELS, SD15_TEXT_WIDTH = (32, 64, 64, 64), 32
SDXL_CHANNELS = (32, 64, 128)
SDXL_TEXT_LAYERS = {768: 12, 1280: 2}  # by width; sd-scripts reads the eleventh layer of the first text encoder
VAE_CHANNELS = 32  # of Stable Diffusion's
FLUX_WIDTH = 64
LUMINA_WIDTH, LUMINA_TEXT_WIDTH, GEMMA_VOCABULARY = 96, 32, 128
HUNYUAN_WIDTH, HUNYUAN_TEXT_WIDTH = 64, 32
ANIMA_WIDTH, ANIMA_TEXT_WIDTH = 64, 32
QWEN_VOCABULARY = 264  # >= the tiny tokenizer's 260


def sd15() -> None:
    import library.model_util as checkpoint
    import library.original_unet as unet

    unet.BLOCK_OUT_CHANNELS = SD15_CHANNELS
    unet.TIMESTEP_INPUT_DIM = SD15_CHANNELS[0]
    unet.TIME_EMBED_DIM = 4 * SD15_CHANNELS[0]
    # a Diffusers folder brings its sizes along; those of a checkpoint file are constants
    checkpoint.UNET_PARAMS_MODEL_CHANNELS = SD15_CHANNELS[0]
    checkpoint.UNET_PARAMS_CHANNEL_MULT = [channels // SD15_CHANNELS[0] for channels in SD15_CHANNELS]
    checkpoint.UNET_PARAMS_CONTEXT_DIM = SD15_TEXT_WIDTH
    width = {"hidden_size": SD15_TEXT_WIDTH, "num_hidden_layers": 2, "num_attention_heads": 4}
    checkpoint.CLIPTextConfig = _with(checkpoint.CLIPTextConfig, **width, **CLIP_SIZES)
    _shrink_vae()


def sdxl() -> None:
    # the context width (2048 = 768 + 1280) cannot be shrunk: it is hard-coded in many places
    import library.sdxl_model_util as checkpoint
    import library.sdxl_original_unet as unet

    unet.MODEL_CHANNELS = SDXL_CHANNELS[0]
    unet.TIME_EMBED_DIM = 4 * SDXL_CHANNELS[0]
    config = checkpoint.CLIPTextConfig
    checkpoint.CLIPTextConfig = lambda **values: config(
        **(values | CLIP_SIZES | {"num_hidden_layers": SDXL_TEXT_LAYERS[values["hidden_size"]]})
    )
    _shrink_vae()


def flux() -> None:
    import library.flux_models as models
    import library.flux_utils as utils
    from networks.lora_flux import LoRANetwork

    text = {"vec_in_dim": 64, "context_in_dim": 64}
    narrow = {"hidden_size": FLUX_WIDTH, "num_heads": 2, "axes_dim": [8, 12, 12], **text}
    for spec in models.configs.values():
        spec.params = dataclasses.replace(spec.params, **narrow)
    _shrink_flux_autoencoder(models)
    utils.CLIPConfig = _with(
        utils.CLIPConfig,
        hidden_size=64,
        intermediate_size=128,
        num_attention_heads=4,
        num_hidden_layers=2,
        projection_dim=64,
        vocab_size=CLIP_VOCABULARY,
    )
    _shrink_t5(width=64)
    LoRANetwork.get_qkv_mlp_split_dims = classmethod(lambda cls: [FLUX_WIDTH] * 3 + [4 * FLUX_WIDTH])
    _scale_oft_splits(FLUX_WIDTH / 3072)


def _scale_oft_splits(factor: float) -> None:
    """The OFT module gets the widths of a fused layer's parts as literals."""
    from networks.oft_flux import OFTModule

    original = OFTModule.__init__

    @functools.wraps(original)
    def init(self: Any, name: str, layer: Any, *others: Any) -> None:
        *others, parts = others
        original(self, name, layer, *others, parts and [int(part * factor) for part in parts])

    OFTModule.__init__ = init


def chroma() -> None:
    import library.chroma_models as models

    flux()  # the T5, the autoencoder and the network module are shared
    models.chroma_params = dataclasses.replace(
        models.chroma_params,
        hidden_size=FLUX_WIDTH,
        num_heads=2,
        axes_dim=[8, 12, 12],
        context_in_dim=64,
        depth=2,
        depth_single_blocks=2,
        approximator_depth=2,
        approximator_hidden_size=64,
    )


def sd3() -> None:
    # depth and width of the MMDiT are read off the checkpoint; the text features' widths (768, 1280, 4096) stay
    import library.sd3_utils as utils

    utils.CLIPTextConfig = _with(
        utils.CLIPTextConfig, num_hidden_layers=2, intermediate_size=64, vocab_size=CLIP_VOCABULARY
    )
    _shrink_t5(width=4096)


def lumina() -> None:
    import library.lumina_models as models
    import library.lumina_util as utils
    from library import flux_models

    params = models.LuminaParams(
        in_channels=16,
        dim=LUMINA_WIDTH,
        n_layers=3,
        n_heads=4,
        n_kv_heads=2,
        axes_dims=[8, 8, 8],
        axes_lens=[300, 512, 512],
        qk_norm=True,
        cap_feat_dim=LUMINA_TEXT_WIDTH,
    )
    models.LuminaParams.get_2b_config = classmethod(lambda cls: params)
    _shrink_flux_autoencoder(flux_models)
    utils.Gemma2Config = _with(
        utils.Gemma2Config,
        hidden_size=LUMINA_TEXT_WIDTH,
        intermediate_size=64,
        num_hidden_layers=3,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=16,
        vocab_size=GEMMA_VOCABULARY,
    )


def hunyuan_image() -> None:
    import library.hunyuan_image_models as models
    import library.hunyuan_image_text_encoder as text
    import library.hunyuan_image_vae as vae
    from networks.lora_hunyuan_image import HunyuanImageLoRANetwork
    from transformers import ByT5Tokenizer

    transformer = models.HYImageDiffusionTransformer
    # its widths are set on the instance, from literals
    for name, value in {"hidden_size": HUNYUAN_WIDTH, "heads_num": 2, "rope_dim_list": [16, 16]}.items():
        setattr(transformer, name, property(lambda _, value=value: value, lambda _self, _value: None))
    models.SingleTokenRefiner = _first(models.SingleTokenRefiner, HUNYUAN_TEXT_WIDTH)
    _fix(models.ByT5Mapper, out_dim=64, hidden_dim=64)  # 1472 come in: hard-coded in many places
    # a GPU's autocast has its layer norm compute in float32, a CPU's does not, and mixed types are an error
    mapper = models.ByT5Mapper.forward
    models.ByT5Mapper.forward = lambda self, x: mapper(self, x.to(self.layernorm.weight.dtype))
    _keep_blocks(transformer, double_blocks=2, single_blocks=3)
    width = HUNYUAN_WIDTH
    HunyuanImageLoRANetwork.get_qkv_mlp_split_dims = classmethod(lambda cls: [width] * 3 + [4 * width])

    vae.Encoder = _with(vae.Encoder, block_out_channels=(32, 32, 32, 32, 32, 128), num_res_blocks=1)
    vae.Decoder = _with(vae.Decoder, block_out_channels=[128, 32, 32, 32, 32, 32], num_res_blocks=1)

    tower = {"hidden_size": HUNYUAN_TEXT_WIDTH, "intermediate_size": 64}
    language = {
        **tower,
        "num_hidden_layers": 3,  # features are taken two layers before the end
        "layer_types": ["full_attention"] * 3,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "vocab_size": QWEN_VOCABULARY,
        "rope_scaling": {"mrope_section": [2, 3, 3], "rope_type": "default", "type": "default"},
    }
    vision = {**tower, "depth": 1, "num_heads": 2, "out_hidden_size": HUNYUAN_TEXT_WIDTH, "fullatt_block_indexes": [0]}
    text.Qwen2_5_VLConfig = _with(text.Qwen2_5_VLConfig, **language, text_config=language, vision_config=vision)
    text.T5Config = _with(
        text.T5Config, d_model=1472, d_ff=64, d_kv=8, num_heads=2, num_layers=2, feed_forward_proj="gated-gelu"
    )
    # these loaders fetch tokenizers too; the script drops them, but the size of ByT5's counts
    text.AutoTokenizer = _Offline(ByT5Tokenizer)
    text.Qwen2Tokenizer = _Offline(lambda: None)


def anima() -> None:
    import library.anima_models as models
    import library.qwen_image_autoencoder_kl as vae

    width = ANIMA_TEXT_WIDTH
    _fix(
        models.Anima,
        model_channels=ANIMA_WIDTH,
        num_blocks=3,
        num_heads=2,
        crossattn_emb_channels=width,
        adaln_lora_dim=8,
        use_llm_adapter=True,
    )
    _fix(models.LLMAdapter, source_dim=width, target_dim=width, model_dim=width, num_layers=2, num_heads=2)
    _fix(vae.AutoencoderKLQwenImage, base_dim=8, dim_mult=[1, 1, 1, 1], num_res_blocks=1)


def _shrink_vae() -> None:
    import library.model_util as checkpoint

    checkpoint.VAE_PARAMS_CH = VAE_CHANNELS
    checkpoint.VAE_PARAMS_CH_MULT = [1, 1, 1, 1]
    checkpoint.VAE_PARAMS_NUM_RES_BLOCKS = 1


def _shrink_flux_autoencoder(models: Any) -> None:
    for spec in models.configs.values():
        spec.ae_params = dataclasses.replace(spec.ae_params, ch=32, ch_mult=[1, 1, 1, 1], num_res_blocks=1)


def _shrink_t5(width: int) -> None:
    import library.flux_utils as utils

    utils.T5Config = _with(
        utils.T5Config, d_model=width, d_ff=128, d_kv=16, num_heads=4, num_layers=2, vocab_size=T5_VOCABULARY
    )


def _with(config: Callable[..., Any], **fixed: Any) -> Callable[..., Any]:
    """The config class, but with some values fixed whatever the caller asks for."""
    return lambda **values: config(**(values | fixed))


def _first(cls: Callable[..., Any], value: Any) -> Callable[..., Any]:
    """The class, but with its first argument fixed."""
    return lambda _, *others, **named: cls(value, *others, **named)


def _fix(cls: Any, **fixed: Any) -> None:
    """Fix some arguments of a class in place: network modules know the class by its name."""
    original = cls.__init__
    cls.__init__ = lambda self, *args, **values: original(self, *args, **(values | fixed))


def _keep_blocks(cls: Any, **counts: int) -> None:
    """Cut the block stacks of a model whose depth is a literal in its constructor."""
    original = cls.__init__

    def init(self: Any, *args: Any, **values: Any) -> None:
        original(self, *args, **values)
        for name, count in counts.items():
            setattr(self, name, getattr(self, name)[:count])
            setattr(self, f"num_{name}", count)

    cls.__init__ = init


class _Offline:
    """Stands in for a tokenizer class whose ``from_pretrained`` would go to the Hub."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make

    def from_pretrained(self, _name: str) -> Any:
        return self._make()


FAMILIES: dict[str, Callable[[], None]] = {
    "sd15": sd15,
    "sdxl": sdxl,
    "flux": flux,
    "chroma": chroma,
    "sd3": sd3,
    "lumina": lumina,
    "hunyuan_image": hunyuan_image,
    "anima": anima,
}
