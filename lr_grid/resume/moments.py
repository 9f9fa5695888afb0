"""Whether a state's moments are those of the weights that stand beside them.

The up side of a LoRA starts at 0, so its weights are the sum of the steps taken, and each step went against the first
moment (Adam's exp_avg, Lion's, SGD's momentum): the two point away from each other. Between modules they have nothing
to do with each other, because every down side starts at random. A state whose moments fit other modules' weights far
better than their own has its order changed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from math import sqrt

import torch

from lr_grid.resume.saved import SavedState
from lr_grid.sides import side_of

_MOMENTS = ("exp_avg", "momentum_buffer")
_SIGMAS = 5.0
"""How many standard deviations (of a correlation between unrelated tensors) count as certain, for one tensor."""
_NONE = 3.0
"""... and within how many there is no correlation."""
_FEW = 3
"""Tensors that fit others, by chance after all."""
_SAMPLE = 1 << 16
"""Numbers of a tensor that are looked at, at most."""
_SHARE = 0.5
"""Of the tensors that tell anything: how many must fit others."""


def foreign_moments(saved: SavedState, weights: Mapping[str, torch.Tensor]) -> tuple[str, str] | None:
    """(a parameter, the parameter that its moment belongs to) where the order of the state is not its weights'; None
    where moments fit their own weights, or tell nothing (few steps more than none, trained to noise).

    Args:
        weights: by the names in the file.
    """
    alike: dict[tuple[int, ...], list[tuple[str, torch.Tensor, torch.Tensor]]] = defaultdict(list)
    for names in saved.names:
        for name in names:
            moment = next((saved.state_of(name)[key] for key in _MOMENTS if key in saved.state_of(name)), None)
            weight = weights.get(saved.prefix + name)
            if side_of(name) == "up" and moment is not None and weight is not None and weight.shape == moment.shape:
                alike[tuple(weight.shape)].append((name, _unit(weight), _unit(moment)))
    told, foreign = 0, []
    for tensors in alike.values():
        if len(tensors) < 2:
            continue
        names = [name for name, _, _ in tensors]
        fit = -torch.stack([w for _, w, _ in tensors]) @ torch.stack([m for _, _, m in tensors]).T
        sigma = 1 / sqrt(tensors[0][1].numel())
        best, owner = fit.max(dim=0)
        for i, name in enumerate(names):
            if best[i] < _SIGMAS * sigma:
                continue
            told += 1
            if owner[i] != i and abs(fit[i, i]) < _NONE * sigma:
                foreign.append((name, names[int(owner[i])]))
    return foreign[0] if len(foreign) > max(_FEW, _SHARE * told) else None


def _unit(tensor: torch.Tensor) -> torch.Tensor:
    """A tensor's numbers (a sample of large ones) as a vector of length 1; of zeros, zeros."""
    flat = tensor.detach().flatten()
    flat = flat[:: max(1, flat.numel() // _SAMPLE)].float()
    return flat / flat.norm().clamp_min(1e-30)
