"""The base model of the demo: trained on the digits 0 to 7 once, then kept in the user's cache folder."""

from __future__ import annotations

import hashlib
import json
import math
import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import cast

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from lr_grid.demo.digits import BASE_CLASSES, HELD_OUT_SHARE, Digits
from lr_grid.demo.flow import CONDITION_DROPOUT, training_loss
from lr_grid.demo.model import DigitDiT, DiTConfig
from lr_grid.demo.progress import progress


@dataclass(frozen=True, slots=True)
class BaseRecipe:
    """Everything that determines the base model's weights; LRs are absolute."""

    steps: int = 300
    seed: int = 0
    batch: int = 64
    learning_rate: float = 2e-3
    warmup_steps: int = 10
    ema_decay: float = 0.98
    model: DiTConfig = field(default_factory=DiTConfig)
    classes: tuple[int, ...] = BASE_CLASSES
    held_out_share: float = HELD_OUT_SHARE
    condition_dropout: float = CONDITION_DROPOUT
    version: int = 1
    """Raise it when the code changes what is learned."""

    def key(self) -> str:
        """A short hash of the recipe: two recipes share a cached file only if they are equal."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:16]


def cache_folder() -> Path:
    """``$XDG_CACHE_HOME/lr_grid/demo``, or the same under ``~/.cache``."""
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "lr_grid" / "demo"


def load_or_train(
    recipe: BaseRecipe, train: Digits, *, fresh: bool = False, say: Callable[[str], None] = print
) -> DigitDiT:
    """The base model, from the cache if a whole file of this recipe is there, else trained and cached.

    train: the training digits of all classes; the recipe says which of them the base sees.
    """
    path = cache_folder() / f"base-{recipe.key()}.safetensors"
    model = _new_model(recipe)
    if path.exists() and not fresh:
        damage = _load(model, path)
        if damage is None:
            say(f"base: loaded from {path}")
            return model.eval()
        say(f"base: {path} cannot be used ({damage}); training it again")
    model = train_base(recipe, train)
    try:
        _save(model, path)
        say(f"base: trained, kept as {path}")
    except OSError as error:
        say(f"base: trained, but not kept for the next run: {error}")
    return model.eval()


def train_base(recipe: BaseRecipe, train: Digits) -> DigitDiT:
    """Train the base as the recipe says; returns the model with its averaged (EMA) weights."""
    model = _new_model(recipe)
    generator = torch.Generator().manual_seed(recipe.seed)
    data = train.only(recipe.classes)
    optimizer = torch.optim.AdamW(model.parameters(), lr=recipe.learning_rate, weight_decay=0.01)
    warmup = min(recipe.warmup_steps, recipe.steps - 1)
    scheduler = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda step: (
            (step + 1) / (warmup + 1)
            if step < warmup
            else 0.5 * (1 + math.cos(math.pi * (step - warmup) / (recipe.steps - warmup)))
        ),
    )

    def ema(average: Tensor, current: Tensor, count: Tensor | int) -> Tensor:
        # The window grows with the run, so that a short one is not mostly its own beginning.
        decay = min(recipe.ema_decay, (1 + int(count)) / (10 + int(count)))
        return average.lerp(current, 1 - decay)

    average = torch.optim.swa_utils.AveragedModel(model, avg_fn=ema)
    model.train()
    with progress(recipe.steps, "base, digits 0-7") as bar:
        for _ in range(recipe.steps):
            chosen = torch.randint(len(data), (recipe.batch,), generator=generator)
            loss = training_loss(model, data.images[chosen], data.labels[chosen], generator)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            scheduler.step()
            optimizer.zero_grad(set_to_none=True)
            average.update_parameters(model)
            bar.set_postfix(loss=f"{loss.item():.3f}", refresh=False)
            bar.update()
    return cast(DigitDiT, average.module)


def _new_model(recipe: BaseRecipe) -> DigitDiT:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        return DigitDiT(recipe.model)


def _checksum(weights: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name in sorted(weights):
        digest.update(name.encode())
        digest.update(weights[name].contiguous().numpy().tobytes())
    return digest.hexdigest()


def _load(model: DigitDiT, path: Path) -> str | None:
    """Load the cached weights; returns what is wrong with the file, or None. The model is unchanged on damage."""
    try:
        with safe_open(path, framework="pt") as file:
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
            expected = (file.metadata() or {}).get("checksum")
    except (SafetensorError, OSError, ValueError) as error:
        return str(error)
    if _checksum(weights) != expected:
        return "its checksum does not match"
    shapes = {name: tensor.shape for name, tensor in model.state_dict().items()}
    if {name: tensor.shape for name, tensor in weights.items()} != shapes:
        return "it holds another model"
    model.load_state_dict(weights)
    return None


def _save(model: DigitDiT, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    weights = {name: tensor.detach().contiguous() for name, tensor in model.state_dict().items()}
    # A file of its own, renamed when whole: a run cut short, or two at once, never leave half a base behind.
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.stem, suffix=".tmp")
    os.close(handle)
    try:
        save_file(weights, temporary, {"checksum": _checksum(weights)})
        os.replace(temporary, path)
    finally:
        Path(temporary).unlink(missing_ok=True)
