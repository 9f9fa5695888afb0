"""The data: scikit-learn's 1797 handwritten digits (8x8, in the package), split into training and held-out images."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor

BASE_CLASSES = tuple(range(8))
"""What the base model learns."""
NEW_CLASSES = (8, 9)
"""What the LoRA learns."""
HELD_OUT_SHARE = 0.2


@dataclass(frozen=True, slots=True)
class Digits:
    """Images (count, 1, 8, 8) in [-1, 1] with their labels (count,)."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def only(self, classes: Iterable[int]) -> Digits:
        """The images of these classes."""
        keep = torch.isin(self.labels, torch.tensor(tuple(classes)))
        return Digits(self.images[keep], self.labels[keep])


def load() -> tuple[Digits, Digits]:
    """(training, held-out) digits of all ten classes; the split is the same in every run and even over the classes."""
    data = load_digits()
    images = torch.from_numpy(data.images).float().unsqueeze(1) / 8.0 - 1.0
    labels = torch.from_numpy(data.target).long()
    train, held_out = train_test_split(
        range(len(labels)), test_size=HELD_OUT_SHARE, stratify=data.target, random_state=0
    )
    return Digits(images[train], labels[train]), Digits(images[held_out], labels[held_out])
