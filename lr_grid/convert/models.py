"""The models a conversion may be about: their blocks, and what the trainer's network module trains in them.

Block counts and components are those of docs/families_kohya.md, which a test of the trainers' own classes writes.
"""

from __future__ import annotations

from dataclasses import dataclass

from lr_grid.errors import GridError, did_you_mean, listed


@dataclass(frozen=True)
class Model:
    """One released model."""

    name: str
    stacks: dict[str, int]
    """Stack name -> number of blocks, in the model's order."""
    components: tuple[str, ...]
    """What the network module puts a LoRA on when nothing else is asked of it."""
    network_module: str
    """The grid's network module for it."""

    @property
    def blocks(self) -> list[tuple[str, int]]:
        """Every (stack, block), in the model's order."""
        return [(stack, i) for stack, size in self.stacks.items() for i in range(size)]

    @property
    def is_unet(self) -> bool:
        """Whether it is a U-Net, whose blocks are numbered as in networks.lora's block_dims."""
        return "unet" in self.stacks

    @property
    def is_sdxl(self) -> bool:
        """Whether it is SDXL's U-Net (23 blocks)."""
        return self.stacks.get("unet") == 23


_ATTENTION = ("self_attn", "cross_attn", "ffn")
_UNET = (*_ATTENTION, "other")
_FUSED = (*_ATTENTION, "fused")
_FLUX = {"double": 19, "single": 38}
_WITH_REFINER = {"refiner": 2, "double": 20, "single": 40}


def _sd(name: str, stacks: dict[str, int], components: tuple[str, ...], module: str) -> Model:
    return Model(name, stacks, components, f"networks.{module}_grid")


def _musubi(name: str, stacks: dict[str, int], components: tuple[str, ...], module: str) -> Model:
    return Model(name, stacks, components, f"lr_grid.musubi.{module}_grid")


_ROWS = (
    _sd("sd15", {"unet": 25}, _UNET, "lora"),
    _sd("sd21", {"unet": 25}, _UNET, "lora"),
    _sd("sdxl", {"unet": 23}, _UNET, "lora"),
    _sd("flux-dev", _FLUX, (*_ATTENTION, "mod", "fused"), "lora_flux"),
    _sd("flux-schnell", _FLUX, (*_ATTENTION, "mod", "fused"), "lora_flux"),
    _sd("chroma", _FLUX, _FUSED, "lora_flux"),
    _sd("sd3-medium", {"joint": 24}, ("self_attn", "ffn", "mod"), "lora_sd3"),
    _sd("sd35-medium", {"joint": 24}, ("self_attn", "ffn", "mod"), "lora_sd3"),
    _sd("sd35-large", {"joint": 38}, ("self_attn", "ffn", "mod"), "lora_sd3"),
    _sd(
        "lumina2",
        {"context_refiner": 2, "noise_refiner": 2, "layers": 26},
        ("self_attn", "ffn", "mod", "other"),
        "lora_lumina",
    ),
    _sd("hunyuan-image", _WITH_REFINER, (*_ATTENTION, "mod", "fused"), "lora_hunyuan_image"),
    _sd("anima", {"llm_adapter": 6, "blocks": 28}, _ATTENTION, "lora_anima"),
    _musubi("flux-kontext", _FLUX, _FUSED, "lora_flux"),
    _musubi("flux2-dev", {"double": 8, "single": 48}, _FUSED, "lora_flux_2"),
    _musubi("flux2-klein-9b", {"double": 8, "single": 24}, _FUSED, "lora_flux_2"),
    _musubi("flux2-klein-4b", {"double": 5, "single": 20}, _FUSED, "lora_flux_2"),
    _musubi("hunyuan-video", _WITH_REFINER, _FUSED, "lora"),
    _musubi("hunyuan-video-1.5", {"refiner": 2, "double": 54}, (*_ATTENTION, "mod"), "lora_hv_1_5"),
    _musubi("framepack", _WITH_REFINER, _FUSED, "lora_framepack"),
    _musubi("wan-1.3b", {"blocks": 30}, _ATTENTION, "lora_wan"),
    *(
        _musubi(name, {"blocks": 40}, _ATTENTION, "lora_wan")
        for name in ("wan-14b", "wan-i2v-14b", "wan-flf2v-14b", "wan22-t2v-14b", "wan22-i2v-14b")
    ),
    _musubi("qwen-image", {"blocks": 60}, (*_ATTENTION, "mod"), "lora_qwen_image"),
    _musubi("z-image", {"noise_refiner": 2, "context_refiner": 2, "layers": 30}, ("self_attn", "ffn"), "lora_zimage"),
    _musubi("kandinsky5-lite-video", {"text": 2, "visual": 32}, _ATTENTION, "lora_kandinsky"),
    _musubi("kandinsky5-lite-image", {"text": 2, "visual": 50}, _ATTENTION, "lora_kandinsky"),
    _musubi("kandinsky5-pro-video", {"text": 4, "visual": 60}, _ATTENTION, "lora_kandinsky"),
    _musubi(
        "krea2",
        {"txtfusion_layerwise": 2, "txtfusion_refiner": 2, "blocks": 28},
        ("self_attn", "ffn", "mod", "embed", "other"),
        "lora_krea2",
    ),
    _musubi("hidream-o1", {"visual": 27, "layers": 36}, ("self_attn", "ffn", "embed", "other"), "lora_hidream_o1"),
    _musubi("hidream-o1-i2i", {"visual": 27, "layers": 36}, ("self_attn", "ffn", "embed", "other"), "lora_hidream_o1"),
    _musubi("ideogram4", {"layers": 34}, ("self_attn", "ffn"), "lora_ideogram4"),
)
MODELS = {model.name: model for model in _ROWS}
ALIASES = {
    "sd1.5": "sd15",
    "sd1": "sd15",
    "sd2": "sd21",
    "sd2.1": "sd21",
    **dict.fromkeys(("pony", "illustrious", "noobai", "sdxl-turbo", "sdxl-lightning"), "sdxl"),
    "flux": "flux-dev",
    "flux1": "flux-dev",
    "sd3": "sd3-medium",
    "lumina": "lumina2",
    "wan": "wan-14b",
    "qwen": "qwen-image",
    "zimage": "z-image",
}


def find_model(name: str) -> Model:
    """The model of a name or an alias.

    Raises: GridError with the names there are.
    """
    key = name.strip().lower().replace("_", "-")
    model = MODELS.get(ALIASES.get(key, key))
    if model is None:
        hint = did_you_mean(key, [*MODELS, *ALIASES])
        raise GridError([f"--model: {name!r} is unknown.{hint} There are {listed(MODELS, 99)}"])
    return model
