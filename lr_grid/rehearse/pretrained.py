"""What comes by ``from_pretrained``: a model by its config only, a tokenizer that is not here by a stand-in."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from lr_grid.rehearse import hollow
from lr_grid.rehearse.job import Report
from lr_grid.rehearse.missing import CannotRehearse

_WEIGHTS = ("*.safetensors", "*.bin", "*.ckpt", "*.pt")


class StandInTokenizer:
    """What a trainer may ask of a tokenizer before it has a caption."""

    model_max_length = 77
    pad_token_id = bos_token_id = unk_token_id = 0
    eos_token_id = 1
    pad_token = bos_token = eos_token = unk_token = ""
    padding_side = "right"
    vocab_size = 2

    def __len__(self) -> int:
        return self.vocab_size

    def save_pretrained(self, *_: Any, **__: Any) -> None:
        """Nothing to save."""

    @property
    def tokenizer(self) -> StandInTokenizer:
        """Of a processor."""
        return self


def hook_pretrained(report: Report) -> None:
    """Hooks into transformers and diffusers, as far as the trainer has imported them."""
    for module, name in (
        ("transformers.modeling_utils", "PreTrainedModel"),
        ("diffusers.models.modeling_utils", "ModelMixin"),
    ):
        cls = getattr(sys.modules.get(module), name, None)
        if cls is not None:
            _replace(cls, _hollow_model)
    places = (
        ("transformers.tokenization_utils_base", "PreTrainedTokenizerBase"),
        ("transformers.models.auto.tokenization_auto", "AutoTokenizer"),
        ("transformers.models.auto.processing_auto", "AutoProcessor"),
        ("transformers.processing_utils", "ProcessorMixin"),
    )
    for module, name in places:
        cls = getattr(sys.modules.get(module), name, None)
        if cls is not None:
            _replace(cls, lambda real: _tokenizer(real, report))
            if hasattr(cls, "save_pretrained"):  # a trainer fills its tokenizer cache
                cls.save_pretrained = lambda self, *args, **kwargs: ()


def _replace(cls: Any, made: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
    cls.from_pretrained = classmethod(made(cls.from_pretrained.__func__))


def _tokenizer(real: Callable[..., Any], report: Report) -> Callable[..., Any]:
    def from_pretrained(cls: Any, name: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return real(cls, name, *args, **kwargs)
        except Exception:
            report.note(f"the tokenizer {name} is not on this machine (the run will download it): a stand-in was used")
            return _stand_in(str(name))

    return from_pretrained


def _stand_in(name: str) -> Any:
    if "byt5" in name.lower():  # bytes are its vocabulary: it needs no file
        from transformers import ByT5Tokenizer

        return ByT5Tokenizer()
    return StandInTokenizer()


def _hollow_model(real: Callable[..., Any]) -> Callable[..., Any]:
    def from_pretrained(cls: Any, name: Any, *args: Any, **kwargs: Any) -> Any:
        if not hollow.is_loading():
            return real(cls, name, *args, **kwargs)
        dtype = kwargs.get("torch_dtype") or kwargs.get("dtype")
        dtype = dtype if isinstance(dtype, torch.dtype) else torch.float32
        subfolder = kwargs.get("subfolder") or ""
        try:
            model = _from_config(cls, name, subfolder, kwargs.get("config"))
        except OSError as error:
            if Path(str(name)).exists():
                raise
            message = (
                f"the model {name} is not on this machine: the run will download it, a rehearsal downloads nothing"
            )
            raise CannotRehearse(message) from error
        _compare(model, Path(str(name)) / subfolder)
        return model.to(dtype)

    return from_pretrained


def _from_config(cls: Any, name: Any, subfolder: str, config: Any) -> Any:
    if hasattr(cls, "config_class"):  # transformers
        config = config or cls.config_class.from_pretrained(name, subfolder=subfolder, local_files_only=True)
        return cls(config)
    return cls.from_config(cls.load_config(name, subfolder=subfolder or None, local_files_only=True))


def _compare(model: Any, folder: Path) -> None:
    """Weights in one safetensors file beside the config must fit it."""
    if not folder.is_dir():
        return
    if not any(next(folder.glob(pattern), None) for pattern in _WEIGHTS):
        raise OSError(f"{folder}: no file of weights in it")
    files = sorted(folder.glob("*model.safetensors"))
    if len(files) == 1:
        model.load_state_dict(hollow.header_state(files[0]), strict=False)
