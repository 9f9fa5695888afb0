"""A reader of drawn digits: a support vector classifier trained on the real ones."""

from __future__ import annotations

from sklearn.svm import SVC
from torch import Tensor

from lr_grid.demo.digits import Digits


class Judge:
    """Reads digits; it is trained on all ten classes and never sees a drawn one."""

    def __init__(self, train: Digits) -> None:
        self._classifier = SVC(C=10.0, gamma=0.02)
        self._classifier.fit(_features(train.images), train.labels.numpy())

    def read_right(self, images: Tensor, labels: Tensor) -> Tensor:
        """images: (count, 1, 8, 8) in [-1, 1]; labels: (count,) -> bool (count,): is the digit read as its label?"""
        return Tensor(self._classifier.predict(_features(images))).long() == labels


def _features(images: Tensor):
    return images.flatten(1).numpy()
