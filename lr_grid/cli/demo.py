"""``lr-grid demo``: a LoRA under a grid on a small diffusion transformer; no trainer, no download."""

from __future__ import annotations

import argparse
import shlex
import time

from lr_grid.demo.options import DEFAULT_NETWORK_ARGS, DemoOptions

_DESCRIPTION = """\
Trains a small diffusion transformer (DiT) on scikit-learn's digits 0 to 7, then a LoRA under a grid on 8 and 9,
through the same calls a kohya trainer makes. Prints the grid, the held-out loss and how many drawn digits are read
right, before and after; writes the LoRA, the plan (JSON), a picture of the grid, and the digits drawn before and
after. A grid is control over what is learned and what is forgotten; it is not a faster optimizer."""

_EPILOG = """\
examples:
  lr-grid demo
  lr-grid demo --network_args cross_attn_lr=8x self_attn_lr=0 ffn_lr=0          # only cross-attention trains
  lr-grid demo --network_args block_lr_weight=blocks_0-2:0 depth_strategy=cosine  # the first three blocks stay frozen
  lr-grid demo --network_args per_layer_lr=true loraplus_lr_ratio=4             # the published defaults, with LoRA+
  lr-grid demo --steps 40 --rank 4 --seed 1 --output_dir runs/short"""


def add_parser(commands) -> None:
    """Add the command to the subparsers of ``lr-grid``."""
    defaults = DemoOptions()
    parser = commands.add_parser(
        "demo",
        help="train a LoRA under a grid on a small model: no trainer, no download, under a minute",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add(
        "--network_args",
        nargs="*",
        metavar="key=value",
        default=list(defaults.network_args),
        help=f"the grid, as in the trainers; replaces the default: {shlex.join(DEFAULT_NETWORK_ARGS)}",
    )
    add("--steps", type=int, default=defaults.steps, help="training steps of the LoRA (%(default)s)")
    add("--base_steps", type=int, default=defaults.base_steps, help="training steps of the base model (%(default)s)")
    add("--learning_rate", type=float, default=defaults.learning_rate, help="the LR the grid multiplies (%(default)s)")
    add("--rank", type=int, default=defaults.rank, help="rank of the LoRA, and its alpha (%(default)s)")
    add("--seed", type=int, default=defaults.seed, help="the same seed gives the same base and LoRA (%(default)s)")
    add("--output_dir", default=defaults.output_dir, help="folder for all files (./%(default)s)")
    add("--output_name", default=defaults.output_name, help="name of the files, without suffix (%(default)s)")
    add("--fresh", action="store_true", help="train the base again instead of taking it from the cache")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Check the options, then run the demo."""
    started = time.perf_counter()
    options = DemoOptions(
        network_args=tuple(args.network_args),
        steps=args.steps,
        base_steps=args.base_steps,
        learning_rate=args.learning_rate,
        rank=args.rank,
        seed=args.seed,
        output_dir=args.output_dir,
        output_name=args.output_name,
        fresh=args.fresh,
    )
    options.check()
    from lr_grid.demo import require_packages

    require_packages()
    from lr_grid.demo.run import run_demo

    run_demo(options, started)
    return 0
