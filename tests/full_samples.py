"""The table of sample configs for full fine-tuning, and mistakes that must be found in them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from samples import FOLDER, read


@dataclass(frozen=True)
class FullSample:
    """``name.toml``: its script, its model, and the dataset config it goes with."""

    script: str
    """As in the table of trainers/full_scripts.py."""
    size: str
    """What the inventories call the model."""
    dataset: str
    grid: str = ""
    """The grid file that ``lr-grid launch`` brings."""
    folder: str = "sd-scripts"

    @property
    def path(self) -> str:
        """The script as the command in the config's header names it."""
        name = f"{self.script}.py"
        return f"src/musubi_tuner/{name}" if self.folder == "musubi-tuner" else name

    @property
    def dataset_file(self) -> Path:
        return FOLDER / self.folder / f"{self.dataset}_dataset.toml"

    @property
    def grid_file(self) -> Path | None:
        return FOLDER / self.folder / f"{self.grid}.toml" if self.grid else None


def _musubi(script: str, size: str, dataset: str, grid: str = "") -> FullSample:
    return FullSample(script, size, dataset, grid, "musubi-tuner")


FULL_SAMPLES = {
    "full_sd15": FullSample("fine_tune", "SD 1.5", "full_sd15"),
    "full_dreambooth": FullSample("train_db", "SD 1.5", "sd15"),
    "full_sdxl": FullSample("sdxl_train", "SDXL", "sdxl"),
    "full_flux": FullSample("flux_train", "FLUX.1 dev", "flux"),
    "full_sd3": FullSample("sd3_train", "SD3.5 medium", "sd3"),
    "full_lumina": FullSample("lumina_train", "Lumina-Image 2", "lumina"),
    "full_anima": FullSample("anima_train", "Anima", "anima"),
    "full_hunyuan_video": _musubi("hv_train", "HunyuanVideo", "hunyuan_video"),
    "full_qwen_image": _musubi("qwen_image_train", "Qwen-Image", "qwen_image"),
    "full_zimage": _musubi("zimage_train", "Z-Image", "zimage", "full_zimage_grid"),
    "full_hidream_o1": _musubi("hidream_o1_train", "HiDream-O1 (t2i)", "hidream_o1"),
}
FULL_DATASETS = ("full_sd15",)
"""Datasets that no other sample has."""


def full_file(name: str) -> Path:
    return FOLDER / FULL_SAMPLES[name].folder / f"{name}.toml"


def full_files() -> list[Path]:
    """All files of these samples that others do not list."""
    grids = [sample.grid_file for sample in FULL_SAMPLES.values() if sample.grid_file]
    datasets = [FULL_SAMPLES[name].dataset_file for name in FULL_DATASETS]
    return [*map(full_file, FULL_SAMPLES), *grids, *datasets]


def optimizer_args(name: str) -> list[str]:
    return read(full_file(name))["optimizer"]["optimizer_args"]


@dataclass(frozen=True)
class FullMistake:
    """A text in a sample, what takes its place, and what must be said of it."""

    sample: str
    old: str
    new: str
    finding: str


FULL_MISTAKES = {
    "an unknown key": FullMistake("full_flux", "max_grad_norm =", "max_grad_nrom =", "max_grad_nrom is no argument"),
    "a key of another script": FullMistake("full_lumina", "seed = 42", "full_bf1 = true", "full_bf1"),
    "an unknown setting": FullMistake("full_sdxl", "cross_attn_lr=", "cross_atn_lr=", "cross_attn_lr"),
    "a block that is not there": FullMistake("full_anima", "blocks_26-27", "blocks_26-28", "28"),
    "quotes forgotten": FullMistake("full_qwen_image", "cross_attn_lr='1.5x'", "cross_attn_lr=1.5x", "literal"),
    "an encoder that does not train": FullMistake("full_sd3", '"ffn_lr', '"te1_ffn_lr', "te1"),
    "a component that is not there": FullMistake("full_hidream_o1", "other_lr=", "mod_lr=", "mod"),
}
