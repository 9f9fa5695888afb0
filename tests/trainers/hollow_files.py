"""Model files of real size that hold no weights: real headers before a hole. They take no disk space.

Runs in a trainer's venv: python hollow_files.py TRAINER_FOLDER OUTPUT_FOLDER MODEL...
MODEL is sd15, sdxl, flux, chroma, sd3, lumina, hunyuan_image or anima of sd-scripts, or a family of musubi-tuner's
tiny models (wan, qwen, ...), whose builders are used without shrinking. Names and shapes come from the trainer's own
classes on the meta device.
"""

from __future__ import annotations

import json
import struct
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


def save_hollow(tensors: Mapping[str, Any], file: Path, dtype: str = "BF16") -> None:
    """A safetensors file with the header of these tensors, and a hole where their data would be."""
    size = {"BF16": 2, "F16": 2, "F32": 4, "I64": 8}
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for name, tensor in tensors.items():
        kind = "I64" if str(tensor.dtype) == "torch.int64" else dtype
        end = offset + tensor.numel() * size[kind]
        header[name] = {"dtype": kind, "shape": list(tensor.shape), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("wb") as out:
        out.write(struct.pack("<Q", len(text)) + text)
        out.truncate(8 + len(text) + offset)


def sd15(folder: Path) -> None:
    """A Diffusers folder with the published configs, and the same in one checkpoint file."""
    from argparse import Namespace

    import torch
    from diffusers import AutoencoderKL, PNDMScheduler, UNet2DConditionModel
    from library import model_util, train_util
    from transformers import CLIPTextConfig, CLIPTextModel

    from lr_grid.rehearse import hollow

    ids = {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2}
    text = CLIPTextConfig(hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12, **ids)
    with torch.device("meta"):
        models = {
            "unet": UNet2DConditionModel(sample_size=64, cross_attention_dim=768),
            "vae": AutoencoderKL(
                block_out_channels=(128, 256, 512, 512),
                down_block_types=["DownEncoderBlock2D"] * 4,
                up_block_types=["UpDecoderBlock2D"] * 4,
                latent_channels=4,
                layers_per_block=2,
            ),
            "text_encoder": CLIPTextModel(text),
        }
    index = {"_class_name": "StableDiffusionPipeline", "_diffusers_version": "0.25.0"}
    index["scheduler"] = ["diffusers", "PNDMScheduler"]
    PNDMScheduler().save_pretrained(folder / "scheduler")
    for name, model in models.items():
        library = "transformers" if name == "text_encoder" else "diffusers"
        index[name] = [library, type(model).__name__]
        (model.config if library == "transformers" else _Config(model)).save_pretrained(folder / name)
        file = "model.safetensors" if library == "transformers" else "diffusion_pytorch_model.safetensors"
        save_hollow(model.state_dict(), folder / name / file, "F32")
    index |= {name: [None, None] for name in ("tokenizer", "safety_checker", "feature_extractor")}
    index["requires_safety_checker"] = False
    (folder / "model_index.json").write_text(json.dumps(index), encoding="utf-8")
    hollow.keep_meta()
    hollow.read_headers_only()
    from lr_grid.rehearse.job import Report
    from lr_grid.rehearse.pretrained import hook_pretrained

    hook_pretrained(Report())
    with hollow.loading():
        source = Namespace(pretrained_model_name_or_path=str(folder), vae=None)
        text_encoder, vae, unet, _ = train_util._load_target_model(source, torch.float32)
        model_util.save_file = lambda tensors, file, metadata=None: save_hollow(tensors, Path(file), "F16")
        file = str(folder / "sd15.safetensors")
        model_util.save_stable_diffusion_checkpoint(
            False, file, text_encoder, unet, None, 0, 0, None, torch.float16, vae
        )


class _Config:
    """Writes a Diffusers model's config alone."""

    def __init__(self, model: Any) -> None:
        self.model = model

    def save_pretrained(self, folder: Path) -> None:
        self.model.save_config(folder)


def sdxl(folder: Path) -> None:
    """One checkpoint file, as the published one."""
    import torch
    from accelerate import init_empty_weights
    from library import model_util, sdxl_model_util, sdxl_original_unet

    from lr_grid.rehearse import hollow

    hollow.keep_meta()
    with init_empty_weights(include_buffers=True), torch.device("meta"):
        unet = sdxl_original_unet.SdxlUNet2DConditionModel()
        vae = sdxl_model_util.AutoencoderKL(**model_util.create_vae_diffusers_config())
        text = {"hidden_act": "quick_gelu", "max_position_embeddings": 77, "vocab_size": 49408}
        clip = sdxl_model_util.CLIPTextModel._from_config(
            sdxl_model_util.CLIPTextConfig(
                hidden_size=768,
                intermediate_size=3072,
                num_hidden_layers=12,
                num_attention_heads=12,
                projection_dim=768,
                **text,
            )
        )
        clip2 = sdxl_model_util.CLIPTextModelWithProjection(
            sdxl_model_util.CLIPTextConfig(
                hidden_size=1280,
                intermediate_size=5120,
                num_hidden_layers=32,
                num_attention_heads=20,
                projection_dim=1280,
                **(text | {"hidden_act": "gelu"}),
            )
        )
        scale = torch.zeros(())
    sdxl_model_util.save_file = lambda tensors, file, metadata=None: save_hollow(tensors, Path(file), "F16")
    file = str(folder / "sdxl.safetensors")
    sdxl_model_util.save_stable_diffusion_checkpoint(
        file, clip, clip2, unet, 0, 0, None, vae, scale, None, torch.float16
    )


def _unshrunk() -> Any:
    """The makers of the tiny models, without shrinking and without weights."""
    import shrink
    import tiny_dit_models
    import tiny_models
    import tiny_weights

    for name in shrink.FAMILIES:
        shrink.FAMILIES[name] = lambda: None

    def random_weights(entries: Iterable[tuple[str, Any]], prefix: str = "") -> Iterable[tuple[str, Any]]:
        return ((prefix + name, entry) for name, entry in entries)

    def save_file(weights: Mapping[str, Any], file: Path) -> None:
        save_hollow(dict(weights), Path(file))

    tiny_weights.random_weights = tiny_dit_models.random_weights = random_weights
    tiny_weights.save_file = tiny_dit_models.save_file = save_file
    return tiny_models


def flux(folder: Path) -> None:
    makers = _unshrunk()
    makers.FLUX_BLOCKS = {"flux": (19, 38)}
    makers.make_flux(folder)


def chroma(folder: Path) -> None:
    _unshrunk().make_chroma(folder)


def sd3(folder: Path) -> None:
    """SD3.5 large: depth and width are read from its keys."""
    from library import sd3_models

    makers = _unshrunk()
    made = sd3_models.SD3Params

    def params(**values: Any) -> Any:
        large = {
            "depth": 38,
            "pos_embed_max_size": 192,
            "num_patches": 192 * 192,
            "context_embedder_out_features": 2432,
        }
        large |= {"x_block_self_attn_layers": [], "model_type": "3-5-large"}
        return made(**{**values, **large})

    import torch

    clip = makers.sd3_utils.CLIPTextConfig

    def text(hidden_size: int, **values: Any) -> Any:
        layers = {768: 12, 1280: 32}[hidden_size]
        return clip(hidden_size=hidden_size, intermediate_size=4 * hidden_size, num_hidden_layers=layers, **values)

    makers.sd3_utils.CLIPTextConfig = text
    makers.sd3_models.SD3Params = params
    with torch.device("meta"):
        makers.make_sd3(folder)


def lumina(folder: Path) -> None:
    _unshrunk()
    import tiny_dit_models

    tiny_dit_models.make_lumina(folder)


class _Captured(Exception):
    pass


def _captured(load: Callable[[], Any]) -> Any:
    """The model that a loader of the trainer's builds, just before it loads a state into it."""
    import torch

    real = torch.nn.Module.load_state_dict

    def load_state_dict(self: Any, *_: Any, **__: Any) -> Any:
        raise _Captured(self)

    torch.nn.Module.load_state_dict = load_state_dict
    try:
        load()
    except _Captured as captured:
        return captured.args[0]
    finally:
        torch.nn.Module.load_state_dict = real
    raise RuntimeError("the loader loads no state")


def hunyuan_image(folder: Path) -> None:
    import torch
    from accelerate import init_empty_weights
    from library import hunyuan_image_models, hunyuan_image_vae
    from library import hunyuan_image_text_encoder as te
    from transformers import ByT5Tokenizer

    # this tokenizer's vocabulary is bytes: it needs no file
    te.AutoTokenizer = type("Bytes", (), {"from_pretrained": staticmethod(lambda name: ByT5Tokenizer())})
    te.Qwen2Tokenizer = te.AutoTokenizer
    with init_empty_weights():
        save_hollow(
            hunyuan_image_models.create_model("torch", False, None).state_dict(), folder / "hunyuan_image.safetensors"
        )
        save_hollow(hunyuan_image_vae.HunyuanVAE2D().state_dict(), folder / "vae.safetensors")
    language = _captured(lambda: te.load_qwen2_5_vl("", torch.bfloat16, "cpu", state_dict={"": 0}))
    glyphs = _captured(lambda: te.load_byt5("", torch.bfloat16, "cpu", state_dict={"shared.weight": 0}))
    # the names of the published files, which differ from those of the classes
    weights = {
        name.replace("model.language_model.", "model.").replace("model.visual.", "visual."): entry
        for name, entry in language.state_dict().items()
    }
    save_hollow(weights, folder / "qwen2_5_vl.safetensors")
    weights = {name: entry for name, entry in glyphs.state_dict().items() if name != "embed_tokens.weight"}
    weights["shared.weight"] = glyphs.embed_tokens.weight
    save_hollow(weights, folder / "byt5.safetensors")


def anima(folder: Path) -> None:
    """Its text encoder is the tiny one: a Transformers folder brings its sizes along."""
    _unshrunk()
    import tiny_dit_models
    import torch
    from library import anima_utils

    tiny_dit_models.make_anima(folder)
    anima_utils.load_safetensors_with_lora_and_fp8 = lambda **_: {}
    model = _captured(lambda: anima_utils.load_anima_model("cpu", "", "torch", True, "cpu", torch.bfloat16))
    # buffers are computed: a checkpoint has none
    weights = {f"net.{name}": entry for name, entry in model.named_parameters()}
    save_hollow(weights, folder / "anima.safetensors")


SD_SCRIPTS: dict[str, Callable[[Path], None]] = {
    made.__name__: made for made in (sd15, sdxl, flux, chroma, sd3, lumina, hunyuan_image, anima)
}


def musubi(folder: Path, name: str) -> None:
    import musubi_tiny_models
    import torch

    torch.cuda.current_device = lambda: "cpu"
    with torch.device("meta"):
        model = musubi_tiny_models.BUILDERS[name]()
    kind = "F32" if name == "hv15" else "BF16"
    save_hollow(model.state_dict(), folder / f"{name}.safetensors", kind)


def main(trainer: str, output: str, *models: str) -> None:
    # this folder goes last: its module names must not shadow the trainer's
    sys.path[0] = trainer
    sys.path += [str(HERE / "torchvision_stand_in"), str(HERE)]
    for name in models:
        folder = Path(output) / name
        folder.mkdir(parents=True, exist_ok=True)
        if name in SD_SCRIPTS:
            SD_SCRIPTS[name](folder)
        else:
            musubi(folder, name)


if __name__ == "__main__":
    main(*sys.argv[1:])
