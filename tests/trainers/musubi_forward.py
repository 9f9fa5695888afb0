"""The forward script of musubi-tuner: python musubi_forward.py FAMILY CASES_FILE OUTPUT_FILE (see forward_cases.py)."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from forward_cases import Case, Subject, run, trainer_arguments

TIMESTEP = 400.0


def wan(case: Case) -> Subject:
    import torch
    from musubi_tuner.wan.configs import WAN_CONFIGS
    from musubi_tuner.wan.modules.model import load_wan_model
    from safetensors.torch import load_file

    # Wan's generation script merges LoRAs while it loads the model, with this function
    loras = [load_file(case.merged)] if case.merged is not None else None
    config = WAN_CONFIGS["t2v-1.3B"]
    cpu = torch.device("cpu")
    model = load_wan_model(
        config,
        cpu,
        str(case.checkpoint),
        "torch",
        False,
        cpu,
        torch.float32,
        lora_weights_list=loras,
        lora_multipliers=[1.0] if loras else None,
    )

    def forward(model: torch.nn.Module, generator: torch.Generator) -> torch.Tensor:
        latents = [torch.randn(config.in_dim, 1, 8, 8, generator=generator)]
        context = [torch.randn(config.text_len, 4096, generator=generator)]
        return model(latents, torch.tensor([TIMESTEP]), context, 16)[0]  # 8 x 8 in patches of 2 x 2

    return Subject(model, forward)


FAMILIES: dict[str, Callable[[Case], Subject]] = {"wan": wan}


def put_network(case: Case, subject: Subject, module: Any, arguments: Mapping[str, str]) -> Any:
    from safetensors.torch import load_file

    if case.network_args is None:
        # --dim_from_weights itself cannot work: the training script takes the flag for a file's name and unpacks a pair
        # where a network is returned; the trainer's other scripts take the network as it comes
        made = module.create_arch_network_from_weights(1, load_file(str(case.weights)), unet=subject.model, **arguments)
        network = made[0] if isinstance(made, tuple) else made
    else:
        network = module.create_arch_network(
            1.0, case.network_dim, case.network_alpha, None, None, subject.model, neuron_dropout=None, **arguments
        )
    if hasattr(module, "prepare_network"):  # the trainer asks the module, and calls the network
        network.prepare_network(trainer_arguments(case))
    network.apply_to(None, subject.model, apply_text_encoder=False, apply_unet=True)
    if case.weights is not None:
        network.load_weights(case.weights)
    return network


if __name__ == "__main__":
    import musubi_tuner

    # this folder goes last, its module names must not shadow the trainer's; `networks.X` is where its scripts have it
    sys.path += [str(Path(musubi_tuner.__file__).parent), sys.path.pop(0)]
    family, *files = sys.argv[1:]
    run(FAMILIES[family], put_network, *files)
