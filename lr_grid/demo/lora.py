"""The LoRA run under a grid: the network module is driven call for call as sd-scripts' train_network.py drives it."""

from __future__ import annotations

import argparse
import importlib
import json
import math
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from diffusers.optimization import get_scheduler
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from lr_grid.demo.digits import Digits
from lr_grid.demo.flow import training_loss
from lr_grid.demo.options import DemoOptions
from lr_grid.demo.progress import progress
from lr_grid.errors import GridError

NETWORK_MODULE = "networks.lycoris_grid"
LYCORIS_ARGS = {"algo": "lora", "preset": "attn-mlp"}
"""LyCORIS' own arguments; --network_args may override them."""
BATCH = 32
WARMUP_STEPS = 10


def train_lora(model: nn.Module, train: Digits, options: DemoOptions, file: Path) -> nn.Module:
    """Train a LoRA on ``train`` under the options' grid and save it as ``file``; returns the network, applied to model.

    model: the base, frozen here. Uses torch's global random state for the LoRA's initial weights: seed it before.
    """
    args = trainer_args(options)
    started = time.time()
    accelerator = Accelerator(cpu=True, gradient_accumulation_steps=1)
    model.requires_grad_(False)

    network = attach_network(model, args, options)
    if hasattr(network, "prepare_optimizer_params_with_multiple_te_lrs"):
        groups, _ = network.prepare_optimizer_params_with_multiple_te_lrs(
            args.text_encoder_lr, args.unet_lr, args.learning_rate
        )
    else:
        groups, _ = network.prepare_optimizer_params(args.text_encoder_lr, args.unet_lr, args.learning_rate)
    if not groups:
        raise GridError(["this grid freezes every module: nothing is left to train"])
    optimizer = torch.optim.AdamW(groups, lr=args.learning_rate)
    steps = args.max_train_steps * accelerator.num_processes  # its scheduler goes on once for every process
    warmup = args.lr_warmup_steps * accelerator.num_processes
    scheduler = get_scheduler(args.lr_scheduler, optimizer, num_warmup_steps=warmup, num_training_steps=steps)
    generator = torch.Generator().manual_seed(args.seed)
    batches = DataLoader(TensorDataset(train.images, train.labels), BATCH, shuffle=True, generator=generator)
    network, optimizer, batches, scheduler = accelerator.prepare(network, optimizer, batches, scheduler)
    accelerator.unwrap_model(network).prepare_grad_etc(None, model)

    _run(args, accelerator, model, (network, optimizer, batches, scheduler), generator)

    network = accelerator.unwrap_model(network)
    if accelerator.is_main_process:
        network.save_weights(str(file), None, _metadata(args, _network_kwargs(options), len(train), started))
    return network


def attach_network(model: nn.Module, args: argparse.Namespace, options: DemoOptions) -> Any:
    """Makes the network and attaches it to the model; raises GridError for arguments that cannot be obeyed."""
    module = importlib.import_module(args.network_module)
    network = module.create_network(
        1.0, args.network_dim, args.network_alpha, None, None, model, neuron_dropout=None, **_network_kwargs(options)
    )
    if hasattr(network, "prepare_network"):
        network.prepare_network(args)
    network.apply_to(None, model, False, True)
    return network


def _network_kwargs(options: DemoOptions) -> dict[str, Any]:
    return LYCORIS_ARGS | options.network_kwargs()


def trainer_args(options: DemoOptions) -> argparse.Namespace:
    """The trainer's parsed arguments as ``prepare_network`` expects them; LRs are absolute."""
    return argparse.Namespace(
        network_module=NETWORK_MODULE,
        network_args=list(options.network_args),
        network_dim=options.rank,
        network_alpha=float(options.rank),
        network_weights=None,
        network_train_unet_only=True,
        network_train_text_encoder_only=False,
        learning_rate=options.learning_rate,
        unet_lr=options.learning_rate,
        text_encoder_lr=None,
        optimizer_type="AdamW",
        optimizer_args=[],
        lr_scheduler="cosine",
        # Short runs warm up too, but must not spend themselves on it.
        lr_warmup_steps=min(WARMUP_STEPS, options.steps // 4),
        max_train_steps=options.steps,
        max_grad_norm=1.0,
        output_dir=options.output_dir,
        output_name=options.output_name,
        resume=None,
        seed=options.seed,
    )


def _run(
    args: argparse.Namespace,
    accelerator: Accelerator,
    model: nn.Module,
    prepared: tuple[Any, Any, Any, Any],
    generator: torch.Generator,
) -> None:
    """The training loop, as the trainer's. prepared: network, optimizer, batches and scheduler from the accelerator."""
    network, optimizer, batches, scheduler = prepared
    bare = accelerator.unwrap_model(network)
    step = 0
    network.train()
    with progress(args.max_train_steps, "LoRA, digits 8 and 9") as bar:
        while step < args.max_train_steps:
            bare.on_epoch_start(None, model)
            for images, labels in batches:
                with accelerator.accumulate(network):
                    if hasattr(bare, "on_step_start"):
                        bare.on_step_start(None, model)
                    loss = training_loss(model, images, labels, generator)
                    if not math.isfinite(loss.item()):
                        raise GridError(
                            [
                                f"the loss is {loss.item()} at step {step + 1}: the LRs are too high; "
                                "lower --learning_rate, or a component's LR in --network_args"
                            ]
                        )
                    accelerator.backward(loss)
                    if accelerator.sync_gradients:
                        _average_gradients(accelerator, bare.get_trainable_params())
                        accelerator.clip_grad_norm_(bare.get_trainable_params(), args.max_grad_norm)
                    lrs = [group["lr"] for group in optimizer.param_groups]
                    optimizer.step()
                    scheduler.step()
                    optimizer.zero_grad(set_to_none=True)
                bar.set_postfix(loss=f"{loss.item():.3f}", lr=f"{min(lrs):.1e}..{max(lrs):.1e}", refresh=False)
                bar.update()
                step += 1
                if step == args.max_train_steps:
                    break
    network.eval()


def _average_gradients(accelerator: Accelerator, parameters: Iterable[nn.Parameter]) -> None:
    """Over all processes, as the trainers do it themselves: the LoRA hangs in the model, so DistributedDataParallel
    never sees its forward pass."""
    if accelerator.num_processes > 1:
        for parameter in parameters:
            if parameter.grad is not None:
                parameter.grad = accelerator.reduce(parameter.grad, reduction="mean")


def _metadata(
    args: argparse.Namespace, network_kwargs: dict[str, Any], num_images: int, started: float
) -> dict[str, str]:
    """What sd-scripts writes into a LoRA's header, as far as the demo has it."""
    values = {
        "ss_training_started_at": started,
        "ss_training_finished_at": time.time(),
        "ss_output_name": args.output_name,
        "ss_learning_rate": args.learning_rate,
        "ss_unet_lr": args.unet_lr,
        "ss_text_encoder_lr": args.text_encoder_lr,
        "ss_num_train_images": num_images,
        "ss_batch_size_per_device": BATCH,
        "ss_max_train_steps": args.max_train_steps,
        "ss_lr_warmup_steps": args.lr_warmup_steps,
        "ss_lr_scheduler": args.lr_scheduler,
        "ss_optimizer": args.optimizer_type,
        "ss_max_grad_norm": args.max_grad_norm,
        "ss_seed": args.seed,
        "ss_network_module": args.network_module,
        "ss_network_dim": args.network_dim,
        "ss_network_alpha": args.network_alpha,
        "ss_network_args": json.dumps(network_kwargs),
    }
    return {key: str(value) for key, value in values.items()}
