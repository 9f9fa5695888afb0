"""The forward script of sd-scripts: python sd_forward.py FAMILY CASES_FILE OUTPUT_FILE (see forward_cases.py)."""

from __future__ import annotations

import importlib
import sys
from argparse import Namespace
from collections.abc import Callable, Mapping
from typing import Any

from forward_cases import Case, Subject, run, trainer_arguments

BATCH, TIMESTEP = 2, 400
SIDE = 16  # of latents: with 8 x 8 the middle of a U-Net has one pixel, and its norms blow rounding errors up


def sd15(checkpoint: str) -> Subject:
    import torch
    from library import train_util

    source = Namespace(pretrained_model_name_or_path=checkpoint, v2=False, vae=None)
    text_encoder, vae, unet, _ = train_util._load_target_model(source, torch.float32)

    def forward(model: torch.nn.Module, generator: torch.Generator) -> torch.Tensor:
        latents = torch.randn(BATCH, 4, SIDE, SIDE, generator=generator)
        context = torch.randn(BATCH, 77, text_encoder.config.hidden_size, generator=generator)
        return model(latents, torch.tensor([TIMESTEP] * BATCH), context).sample

    return Subject(unet, forward, vae, text_encoder)


def sdxl(checkpoint: str) -> Subject:
    import torch
    from library import sdxl_model_util, sdxl_train_util

    version = sdxl_model_util.MODEL_VERSION_SDXL_BASE_V1_0
    _, text1, text2, vae, unet, _, _ = sdxl_train_util._load_target_model(checkpoint, None, version, torch.float32)

    def forward(model: torch.nn.Module, generator: torch.Generator) -> torch.Tensor:
        latents = torch.randn(BATCH, 4, SIDE, SIDE, generator=generator)
        context = torch.randn(BATCH, 77, 2048, generator=generator)
        vector = torch.randn(BATCH, 2816, generator=generator)
        return model(latents, torch.tensor([TIMESTEP] * BATCH), context, vector)

    return Subject(unet, forward, vae, [text1, text2])


def flux(checkpoint: str) -> Subject:
    import torch
    from library import flux_utils

    _, model = flux_utils.load_flow_model(checkpoint, torch.float32, "cpu")

    def forward(model: torch.nn.Module, generator: torch.Generator) -> torch.Tensor:
        side, words = 4, 16
        params = model.params
        return model(
            img=torch.randn(BATCH, side * side, params.in_channels, generator=generator),
            img_ids=flux_utils.prepare_img_ids(BATCH, side, side),
            txt=torch.randn(BATCH, words, params.context_in_dim, generator=generator),
            txt_ids=torch.zeros(BATCH, words, 3),
            timesteps=torch.full((BATCH,), TIMESTEP / 1000),
            y=torch.randn(BATCH, params.vec_in_dim, generator=generator),
            guidance=torch.ones(BATCH),
        )

    # without text encoders, as the trainer hands on those that it does not load
    return Subject(model, forward, None, [None, None])


FAMILIES: dict[str, Callable[[str], Subject]] = {"sd15": sd15, "sdxl": sdxl, "flux": flux}
NETWORKS = {"sd15": "networks.lora", "sdxl": "networks.lora", "flux": "networks.lora_flux"}


def load(family: str, case: Case) -> Subject:
    subject = FAMILIES[family](str(case.checkpoint))
    if case.merged is not None:  # as --base_weights does
        module = importlib.import_module(NETWORKS[family])
        vae, text_encoder, model = subject.vae, subject.text_encoder, subject.model
        file = str(case.merged)
        network, weights = module.create_network_from_weights(1.0, file, vae, text_encoder, model, for_inference=True)
        network.merge_to(text_encoder, model, weights, None, "cpu")
    return subject


def put_network(case: Case, subject: Subject, module: Any, arguments: Mapping[str, str]) -> Any:
    parts = (subject.vae, subject.text_encoder, subject.model)
    if case.network_args is None:
        network, _ = module.create_network_from_weights(1, case.weights, *parts, **arguments)
    else:
        network = module.create_network(
            1.0, case.network_dim, case.network_alpha, *parts, neuron_dropout=None, **arguments
        )
    if hasattr(network, "prepare_network"):
        network.prepare_network(trainer_arguments(case))
    network.apply_to(subject.text_encoder, subject.model, False, True)
    if case.weights is not None:
        network.load_weights(case.weights)
    return network


if __name__ == "__main__":
    sys.path.append(sys.path.pop(0))  # this folder: its module names must not shadow the trainer's
    family, *files = sys.argv[1:]
    run(lambda case: load(family, case), put_network, *files)
