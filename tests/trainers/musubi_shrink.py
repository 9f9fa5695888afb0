"""Shrinks musubi-tuner's hard-coded model sizes in memory, so that its real scripts can load tiny models.

Runs in the trainer's process (or the model maker's), with musubi-tuner importable; no file of it is changed. Two places
that only work where there is a GPU are made to work without one. Imports are local because each costs seconds.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import textwrap
from collections.abc import Callable
from typing import Any

WIDTH, HEADS = 64, 2
HEAD = WIDTH // HEADS
TEXT_WIDTH = 64  # of text features, where a model allows it
ROPE_AXES = [8, 12, 12]  # they add up to HEAD
HIDREAM_VOCABULARY, HIDREAM_TIME_TOKEN = 64, 8


def wan(blocks: int = 2) -> None:
    _import_wan_without_gpu()
    from musubi_tuner.wan.configs import WAN_CONFIGS

    for config in WAN_CONFIGS.values():  # the text features' width (4096) cannot be shrunk
        config.update(dim=WIDTH, ffn_dim=128, num_heads=HEADS, num_layers=blocks, text_len=16, freq_dim=32)


def flux2(double: int = 2, single: int = 2) -> None:
    from musubi_tuner.flux_2.flux2_utils import FLUX2_MODEL_INFO

    axes = {"axes_dim": [8, 8, 8, 8]}
    for name, info in FLUX2_MODEL_INFO.items():
        params = dataclasses.replace(info.params, **_flux_sizes(double, single), **axes)
        FLUX2_MODEL_INFO[name] = dataclasses.replace(info, params=params)


def kontext() -> None:
    from musubi_tuner.flux.flux_models import configs_flux_dev_context as config

    axes = {"vec_in_dim": TEXT_WIDTH, "axes_dim": ROPE_AXES}
    _set_frozen(config, params=dataclasses.replace(config.params, **_flux_sizes(2, 2), **axes))


def qwen(blocks: int = 2) -> None:
    from musubi_tuner.qwen_image.qwen_image_model import QwenImageTransformer2DModel as Model

    sizes = {"attention_head_dim": HEAD, "num_attention_heads": HEADS, "joint_attention_dim": TEXT_WIDTH}
    _fix_arguments(Model, **sizes, num_layers=blocks, axes_dims_rope=tuple(ROPE_AXES))


def zimage(blocks: int = 2) -> None:
    from musubi_tuner.zimage import zimage_config as config

    config.DEFAULT_TRANSFORMER_DIM = WIDTH
    config.DEFAULT_TRANSFORMER_N_LAYERS = blocks
    config.DEFAULT_TRANSFORMER_N_REFINER_LAYERS = 1
    config.DEFAULT_TRANSFORMER_N_HEADS = config.DEFAULT_TRANSFORMER_N_KV_HEADS = HEADS
    config.DEFAULT_TRANSFORMER_CAP_FEAT_DIM = TEXT_WIDTH
    config.ROPE_AXES_DIMS = ROPE_AXES


def hv(double: int = 2, single: int = 2) -> None:
    import torch
    from musubi_tuner.hunyuan_model import models

    models.HUNYUAN_VIDEO_CONFIG["HYVideo-T/2-cfgdistill"].update(
        mm_double_blocks_depth=double,
        mm_single_blocks_depth=single,
        rope_dim_list=ROPE_AXES,
        hidden_size=WIDTH,
        heads_num=HEADS,
    )
    if (
        not torch.cuda.is_available()
    ):  # made on the GPU, for attention kernels of the GPU: others only look at its shape
        models.get_cu_seqlens = lambda text_mask, _: torch.zeros(2 * len(text_mask) + 1, dtype=torch.int32)


def hv15() -> None:
    """Every size is a literal in the constructor, so that is compiled again with other literals."""
    import musubi_tuner.hunyuan_video_1_5.hunyuan_video_1_5_models as models

    model = models.HunyuanVideo_1_5_DiffusionTransformer
    source = textwrap.dedent(inspect.getsource(model.__init__))
    for old, new in {
        "super().__init__()": "nn.Module.__init__(self)",
        "self.hidden_size = 2048": f"self.hidden_size = {WIDTH}",
        "self.heads_num = 16": f"self.heads_num = {HEADS}",
        "mm_double_blocks_depth = 54": "mm_double_blocks_depth = 2",
        "[16, 56, 56]": str(ROPE_AXES),
        "text_states_dim = 3584": f"text_states_dim = {TEXT_WIDTH}",
        "in_dim=1472, out_dim=2048, hidden_dim=2048": f"in_dim={TEXT_WIDTH}, out_dim={WIDTH}, hidden_dim={WIDTH}",
    }.items():
        assert source.count(old) == 1, f"HunyuanVideo 1.5 is built in another way than expected: {old!r}"
        source = source.replace(old, new)
    scope: dict[str, Any] = {}
    exec(compile(source, "tiny_hv15", "exec"), vars(models), scope)
    model.__init__ = scope["__init__"]


def krea2() -> None:
    # the config is a default argument in several places: only a change of the object itself reaches them all
    from musubi_tuner.krea2.krea2_utils import single_mmdit_large_wide as config

    text = {"txtdim": TEXT_WIDTH, "txtheads": HEADS, "txtkvheads": HEADS, "txtlayers": 2}
    _set_frozen(config, features=WIDTH, tdim=32, heads=HEADS, kvheads=HEADS, layers=2, **text)


def fpack() -> None:
    _import_wan_without_gpu()  # FramePack's script imports Wan's
    from musubi_tuner.frame_pack.hunyuan_video_packed import HunyuanVideoTransformer3DModelPacked as Model

    _fix_arguments(
        Model,
        attention_head_dim=HEAD,
        num_attention_heads=HEADS,
        num_layers=2,
        num_single_layers=2,
        num_refiner_layers=1,
        rope_axes_dim=tuple(ROPE_AXES),
        text_embed_dim=TEXT_WIDTH,
        pooled_projection_dim=TEXT_WIDTH,
        image_proj_dim=TEXT_WIDTH,
    )


def hidream() -> None:
    """Its sizes come in a config from the Hub, like the processor that only samples need."""
    from musubi_tuner.hidream_o1 import hidream_o1_utils as utils
    from musubi_tuner.hidream_o1.qwen3_vl_transformers import Qwen3VLModel
    from transformers.models.qwen3_vl.configuration_qwen3_vl import Qwen3VLConfig

    text = {
        "vocab_size": HIDREAM_VOCABULARY,
        "hidden_size": WIDTH,
        "intermediate_size": 128,
        "num_hidden_layers": 3,
        "num_attention_heads": HEADS,
        "num_key_value_heads": 1,
        "head_dim": HEAD,
        "rope_scaling": {"mrope_section": [6, 5, 5], "rope_type": "default"},
    }
    vision = {
        "depth": 2,
        "hidden_size": WIDTH,
        "intermediate_size": 128,
        "num_heads": HEADS,
        "out_hidden_size": WIDTH,
        "num_position_embeddings": 16,
        "deepstack_visual_indexes": [],
    }
    names = ("image_token_id", "video_token_id", "vision_start_token_id", "vision_end_token_id")
    tokens = {name: HIDREAM_VOCABULARY - 1 - number for number, name in enumerate(names)}
    Qwen3VLConfig.from_pretrained = classmethod(lambda cls, _: cls(text_config=text, vision_config=vision, **tokens))
    utils.load_processor = lambda **_: None
    if Qwen3VLModel.__init__.__name__ == "__init__":
        original = Qwen3VLModel.__init__

        def with_small_token(self: Any, *args: Any, **kwargs: Any) -> None:
            original(self, *args, **kwargs)
            self.tms_token_id = HIDREAM_TIME_TOKEN  # a literal, beyond the tiny vocabulary

        Qwen3VLModel.__init__ = with_small_token


def _import_wan_without_gpu() -> None:
    """A default argument in this module asks for the current GPU when it is imported."""
    import torch

    if not torch.cuda.is_available():
        current_device, torch.cuda.current_device = torch.cuda.current_device, lambda: 0
        try:
            import musubi_tuner.wan.modules.t5  # noqa: F401
        finally:
            torch.cuda.current_device = current_device


def _flux_sizes(double: int, single: int) -> dict[str, int]:
    depth = {"depth": double, "depth_single_blocks": single}
    return {"hidden_size": WIDTH, "num_heads": HEADS, "context_in_dim": TEXT_WIDTH, **depth}


def _set_frozen(config: Any, **values: Any) -> None:
    """Set attributes of a frozen dataclass."""
    for name, value in values.items():
        object.__setattr__(config, name, value)


def _fix_arguments(model: Any, **fixed: Any) -> None:
    """Make a class take these keyword arguments, whatever its caller passes, and whatever was fixed before."""
    original = getattr(model.__init__, "__wrapped__", model.__init__)

    @functools.wraps(original)
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **(kwargs | fixed))

    model.__init__ = __init__


# a number is that of blocks in a published model: Wan 2.1 1.3B, FLUX.2 Klein 4B, Qwen-Image, Z-Image, HunyuanVideo
FAMILIES: dict[str, Callable[[], None]] = {
    "wan": wan,
    "wan_30": functools.partial(wan, 30),
    "flux2": flux2,
    "flux2_5_20": functools.partial(flux2, 5, 20),
    "qwen": qwen,
    "qwen_60": functools.partial(qwen, 60),
    "zimage": zimage,
    "zimage_30": functools.partial(zimage, 30),
    "hv": hv,
    "hv_20_40": functools.partial(hv, 20, 40),
    "hv15": hv15,
    "kontext": kontext,
    "krea2": krea2,
    "fpack": fpack,
    "hidream": hidream,
}
