"""Dataset configs: unknown keys, keys at a wrong place, wrong types, and what cannot stand beside caching."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lr_grid.check.dataset_types import fits, wanted
from lr_grid.check.subject import Subject
from lr_grid.errors import did_you_mean, listed
from lr_grid.training.config_file import homogeneous
from lr_grid.training.finding import Place
from lr_grid.training.tables import TRAINERS, dataset_schema, options
from lr_grid.training.toml_lines import Path as Keys

Table = Mapping[str, Any]
HEADS = ("datasets", "dataset", "Datasets", "subsets")
"""What people write at the head of a dataset, right or wrong."""
_CONTROL_NETS = ("control_net",)
_RENAMED = {  # musubi-tuner, dataset/config_utils.py: deprecated_key_map
    "flux_kontext_no_resize_control": "no_resize_control",
    "qwen_image_edit_no_resize_control": "no_resize_control",
    "qwen_image_edit_control_resolution": "control_resolution",
}
SOURCES = ("image_directory", "image_jsonl_file", "video_directory", "video_jsonl_file")

_NOT_CACHED = (
    "caption_prefix",
    "caption_suffix",
    "secondary_separator",
    "keep_tokens_separator",
    "enable_wildcard",
    "caption_dropout_every_n_epochs",
)
"""Keys that change a caption when a batch is made, which cached outputs never see (library/strategy_*.py)."""


class DatasetFile:
    """A dataset config under check."""

    def __init__(self, subject: Subject, name: str, data: dict[str, Any], lines: Mapping[Keys, int], trainer: str):
        self.subject, self.name, self.data, self.lines, self.trainer = subject, name, data, lines, trainer
        self.schema = dataset_schema(trainer)

    def tell(self, severity: str, path: Keys, message: str, cure: str = "") -> None:
        line = next((self.lines[path[:n]] for n in range(len(path), 0, -1) if path[:n] in self.lines), 0)
        self.subject.tell(severity, Place(self.name, line), message, cure)

    @property
    def general(self) -> Table:
        general = self.data.get("general", {})
        return general if isinstance(general, dict) else {}

    def tables(self, key: str, table: Table, path: Keys) -> list[tuple[Keys, Table]]:
        """An array of tables below a table, with its path."""
        found = table.get(key, [])
        if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
            self.tell("error", (*path, key), f"{key} is no array of tables: write [[{'.'.join([*_names(path), key])}]]")
            return []
        return [((*path, key, i), one) for i, one in enumerate(found)]

    def keys(self, part: str, table: Table, path: Keys) -> None:
        """Holds a table against one part of the schema."""
        known = self.schema[part]
        for key, value in table.items():
            if key == "subsets" and part.endswith("_dataset"):
                continue
            if self.trainer == "musubi-tuner" and key in _RENAMED:
                self.tell("warning", (*path, key), f"{key} is called {_RENAMED[key]} now")
            elif key not in known:
                self.unknown(key, part, path)
            elif not fits(value, known[key]):
                shown = str(value).lower() if isinstance(value, bool) else repr(value)
                message = f"{key}: wants {wanted(known[key], value)}, not {shown}"
                self.tell("error", (*path, key), message)
            elif not homogeneous(value):
                self.tell("error", (*path, key), f"{key}: an array of several types stops the trainer's TOML reader")

    def unknown(self, key: str, part: str, path: Keys) -> None:
        where = f"[{part}]" if part == "general" else f"[[{'.'.join(_names(path))}]]"
        self.tell(
            "error", (*path, key), f"{key}: no key of {where}, and the trainer stops at it", self.whose(key, part)
        )

    def whose(self, key: str, part: str) -> str:
        places = {name for name, known in self.schema.items() if key in known and name != part}
        same = {name for name in places if _place(name) == _place(part)}  # of another kind than this one
        if same and not places - same:
            return f"It belongs {' or '.join(sorted(_KINDS.get(name, _place(name)) for name in same))}"
        places -= same
        if places:
            return f"It belongs {' or '.join(sorted({_place(name) for name in places}))}"
        other = next(trainer for trainer in TRAINERS if trainer != self.trainer)
        if any(key in known for known in dataset_schema(other).values()):
            return f"It belongs to {other}"
        hint = did_you_mean(key, [*self.schema[part], *{k for known in self.schema.values() for k in known}]).strip()
        if hint:
            return hint
        return "It is an argument of the trainer" if key in options(self.trainer) else ""

    def top(self) -> None:
        """What stands at the top of the file."""
        for key in self.data:
            if key not in ("general", "datasets"):
                hint = did_you_mean(key, ["general", "datasets"]).strip()
                known = any(key in part for part in self.schema.values())
                cure = "Put it under [general]" if known and not hint else hint
                if key in HEADS:
                    cure = f"Write [[{'datasets.subsets' if key == 'subsets' else 'datasets'}]]"
                self.tell("error", (key,), f"{key}: only [general] and [[datasets]] stand at the top", cure)
        if not self.data.get("datasets") and not any(key in self.data for key in HEADS[1:]):
            self.tell("error", (), "no [[datasets]] in it: there is nothing to train on")
        if "general" in self.data:
            if isinstance(self.data["general"], dict):
                self.keys("general", self.general, ("general",))
            else:
                self.tell("error", ("general",), "general is no table: write [general]")

    # sd-scripts, library/config_util.py

    def sd_scripts(self) -> None:
        for path, dataset in self.tables("datasets", self.data, ()):
            subsets = self.tables("subsets", dataset, path)
            kind = self.kind([subset for _, subset in subsets], path)
            self.keys(f"{kind}_dataset", dataset, path)
            if not subsets:
                self.tell("error", path, "no [[datasets.subsets]] in it: image_dir belongs there")
            for at, subset in subsets:
                self.keys(f"{kind}_subset", subset, at)
                if "image_dir" not in subset and kind != "ft":
                    self.tell("error", at, "image_dir is missing in this subset")
                self.caching(subset, dataset, at)
                self.folder(subset, "image_dir", at)
            if not any("resolution" in table for table in (dataset, self.general)) and self.of_trainer("resolution"):
                self.tell("error", path, "resolution is missing, here and in [general]")

    def kind(self, subsets: list[Table], path: Keys) -> str:
        """db (folders of images), ft (a metadata file) or cn (control images): as the trainer's validator decides."""
        script = str(self.subject.config.script or "")
        controls = self.subject.get("masked_loss") or any(word in script for word in _CONTROL_NETS)
        having_controls = bool(subsets) and all("conditioning_data_dir" in subset for subset in subsets)
        if having_controls and (controls or not script):
            return "cn"
        having = ["metadata_file" in subset for subset in subsets]
        if any(having) and not all(having):
            self.tell("error", path, "subsets with and without metadata_file cannot be mixed in one dataset")
            return "ft"
        return "ft" if having and all(having) else "db"

    def of_trainer(self, dest: str) -> bool:
        """Whether an argument of the trainer, which could stand in for a key, is known not to be given."""
        return bool(self.subject.config.values) and self.subject.get(dest) is None

    def caching(self, subset: Table, dataset: Table, path: Keys) -> None:
        """What the trainers' asserts refuse (train_network.py:582; *_train_network.py, assert_extra_args)."""
        get = self.subject.get

        def value(key: str) -> Any:
            found = next((table[key] for table in (subset, dataset, self.general) if key in table), None)
            return get(key) if found is None else found

        def at(key: str) -> Keys:
            if key in subset:
                return (*path, key)
            return (*path[:2], key) if key in dataset else ("general", key)

        if get("cache_latents") or get("cache_latents_to_disk"):
            for key in ("color_aug", "random_crop"):
                if value(key):
                    self.tell("error", at(key), f"{key} cannot be used with cache_latents: the trainer stops")
        if get("cache_text_encoder_outputs") or get("cache_text_encoder_outputs_to_disk"):
            keys = ["shuffle_caption", "token_warmup_step", "caption_tag_dropout_rate"]
            if not str(self.subject.config.script or "").startswith("anima"):
                keys.append("caption_dropout_rate")
            for key in keys:
                if value(key) and value(key) not in (False, 0):
                    message = f"{key} cannot be used with cache_text_encoder_outputs: the trainer stops"
                    self.tell("error", at(key), message)
            for key in _NOT_CACHED:
                if value(key):
                    message = (
                        f"{key} does nothing with cache_text_encoder_outputs: captions are encoded as in the files"
                    )
                    self.tell("warning", at(key), message)

    # musubi-tuner, dataset/config_utils.py and image_video_dataset.py

    def musubi(self) -> None:
        caches: dict[str, Keys] = {}
        for path, dataset in self.tables("datasets", self.data, ()):
            is_video = "video_directory" in dataset or "video_jsonl_file" in dataset
            self.keys("video" if is_video else "image", dataset, path)
            sources = [key for key in SOURCES if key in dataset]
            if not sources:
                self.tell("error", path, f"one of {listed(SOURCES)} is missing")
            elif len(sources) > 1:
                self.tell("error", (*path, sources[1]), f"{' and '.join(sources)}: a dataset takes one of them")
            cache = dataset.get("cache_directory") or next((dataset[key] for key in sources), None)
            if isinstance(cache, str) and cache in caches:
                self.tell(
                    "error", (*path, "cache_directory"), f"cache_directory {cache} is that of another dataset, too"
                )
            caches.setdefault(str(cache), path)
            for key in ("image_directory", "video_directory", "control_directory"):
                self.folder(dataset, key, path)

    def folder(self, table: Table, key: str, path: Keys) -> None:
        name = table.get(key)
        if self.subject.paths and isinstance(name, str) and not Path(name).expanduser().is_dir():
            self.tell("error", (*path, key), f"{key}: {name}: no such folder")

    def run(self) -> None:
        self.top()
        if self.trainer == "sd-scripts":
            self.sd_scripts()
        else:
            self.musubi()


def _names(path: Keys) -> list[str]:
    return [part for part in path if isinstance(part, str)]


_KINDS = {
    "image": "to a dataset of images (image_directory or image_jsonl_file)",
    "video": "to a dataset of videos (video_directory or video_jsonl_file)",
    "cn_subset": "to subsets that all have conditioning_data_dir (masked_loss, ControlNet)",
    "ft_subset": "to subsets with a metadata_file",
}


def _place(part: str) -> str:
    if part == "general":
        return "into [general]"
    return "into [[datasets.subsets]]" if part.endswith("_subset") else "into [[datasets]]"
