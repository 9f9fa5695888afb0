"""Concludes from a run's arguments which script they are for, where nothing names it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from lr_grid.training.guis import gui_of
from lr_grid.training.tables import TRAINERS, options, owners, scripts, trainer_of

# network module, without what lr-grid adds to its name -> the scripts it is for
_SD_SCRIPTS: dict[str, tuple[str, ...]] = {
    "lora_flux": ("flux_train_network.py",),
    "oft_flux": ("flux_train_network.py",),
    "lora_sd3": ("sd3_train_network.py",),
    "lora_lumina": ("lumina_train_network.py",),
    "lora_hunyuan_image": ("hunyuan_image_train_network.py",),
    "lora_anima": ("anima_train_network.py",),
    **dict.fromkeys(("lora", "dylora", "lora_fa", "oft"), ("train_network.py", "sdxl_train_network.py")),
}
_MUSUBI: dict[str, tuple[str, ...]] = {
    "lora_flux": ("flux_kontext_train_network.py",),
    "lora_flux_2": ("flux_2_train_network.py",),
    "lora_framepack": ("fpack_train_network.py",),
    "lora": ("hv_train_network.py",),
    "lora_hv_1_5": ("hv_1_5_train_network.py",),
    "lora_wan": ("wan_train_network.py",),
    "lora_qwen_image": ("qwen_image_train_network.py",),
    "lora_zimage": ("zimage_train_network.py",),
    "lora_kandinsky": ("kandinsky5_train_network.py",),
    "lora_krea2": ("krea2_train_network.py",),
    "lora_hidream_o1": ("hidream_o1_train_network.py",),
    "lora_ideogram4": ("ideogram4_train_network.py",),
}
_BY_TRAINER = {"sd-scripts": _SD_SCRIPTS, "musubi-tuner": _MUSUBI}
_GRID = "_grid"
_SDXL = re.compile(r"xl|pony|illustrious|noob", re.IGNORECASE)


def module_trainer(module: str) -> str | None:
    """Whose network module this is, as far as its name tells."""
    if module.startswith(("lr_grid.musubi.", "musubi_tuner.")):
        return "musubi-tuner"
    if module.startswith("networks.") and module.endswith(_GRID):
        return "sd-scripts"
    having = [trainer for trainer in TRAINERS if module.rpartition(".")[2] in _BY_TRAINER[trainer]]
    return having[0] if len(having) == 1 else None


def scripts_of_module(trainer: str, module: str) -> tuple[str, ...]:
    """The scripts of a trainer that a network module is for; empty where its name does not tell."""
    return _BY_TRAINER[trainer].get(module.rpartition(".")[2].removesuffix(_GRID), ())


def named_in(text: str) -> str | None:
    """The training script that the comments of a TOML name (as sample configs do)."""
    for comment in re.findall(r"(?m)^\s*#(.*)$", text):
        for name in re.findall(r"[\w.-]+\.py\b", comment):
            if trainer_of(name):
                return str(name)
    return None


def guess(values: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """(trainer, script) from a run's arguments; None for what they do not tell."""
    module = str(values.get("network_module") or "")
    trainer = module_trainer(module) if module else None
    if trainer is None and any(gui_of(key, value) for key, value in values.items()):
        trainer = "sd-scripts"  # the GUIs are around it
    if trainer is None:
        trainer = _best(TRAINERS, {t: _strange(values, options(t)) for t in TRAINERS})
    if trainer is None:
        return None, None
    candidates = scripts_of_module(trainer, module)
    if len(candidates) == 1:
        return trainer, candidates[0]
    if not candidates:
        wanted = "_train_network.py" if module else "_train"
        candidates = tuple(s for s in scripts(trainer) if wanted in s or s == "train_network.py")
    script = _best(candidates, {s: _strange(values, options(trainer, s)) for s in candidates})
    if script is None and set(candidates) == {"train_network.py", "sdxl_train_network.py"}:
        model = str(values.get("pretrained_model_name_or_path") or "")
        if _SDXL.search(model) or (model and not values.get("v2") and re.search(r"1[._-]?5|sd1", model)):
            script = "sdxl_train_network.py" if _SDXL.search(model) else "train_network.py"
        elif values.get("v2"):
            script = "train_network.py"
    return trainer, script


def _strange(values: Iterable[str], table: Mapping[str, Any]) -> int:
    """How many arguments a script does not have though another has them."""
    return sum(1 for dest in values if dest not in table and owners(dest))


def _best(names: Iterable[str], strange: Mapping[str, int]) -> str | None:
    """The one with fewest strange arguments; None where two are as good."""
    ranked = sorted(names, key=lambda name: strange[name])
    tie = len(ranked) > 1 and strange[ranked[0]] == strange[ranked[1]]
    return None if tie or not ranked else ranked[0]
