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
from lr_grid.words import Shape

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
    """(a parameter, the one at whose place its moment stands) where the order of the state is not its weights'; None
    where moments fit their own weights, or tell nothing (a first step only, trained to noise).

    Args:
        weights: by the names in the file.
    """
    ups: dict[Shape, dict[str, torch.Tensor]] = defaultdict(dict)
    moments: dict[Shape, dict[str, torch.Tensor]] = defaultdict(dict)
    for name in (name for names in saved.names for name in names):
        state = saved.state_of(name)
        moment = next((state[key] for key in _MOMENTS if key in state), None)
        weight = weights.get(saved.prefix + name)
        if moment is None or weight is None:
            continue
        moments[tuple(moment.shape)][name] = _unit(moment)
        if side_of(name) == "up":
            ups[tuple(weight.shape)][name] = _unit(weight)
    told, foreign = 0, []
    for shape, own in ups.items():
        names = list(moments[shape])
        if len(names) < 2:
            continue
        sigma = 1 / sqrt(next(iter(own.values())).numel())
        fits = -torch.stack(list(own.values())) @ torch.stack(list(moments[shape].values())).T
        best, places = fits.max(dim=1)
        for row, name in enumerate(own):
            if best[row] < _SIGMAS * sigma:
                continue
            told += 1
            place = names[int(places[row])]
            if place != name and (name not in names or abs(fits[row, names.index(name)]) < _NONE * sigma):
                foreign.append((name, place))
    return foreign[0] if len(foreign) > max(_FEW, _SHARE * told) else None


def _unit(tensor: torch.Tensor) -> torch.Tensor:
    """A tensor's numbers (a sample of large ones) as a vector of length 1; of zeros, zeros."""
    flat = tensor.detach().flatten()
    flat = flat[:: max(1, flat.numel() // _SAMPLE)].float()
    return flat / flat.norm().clamp_min(1e-30)
