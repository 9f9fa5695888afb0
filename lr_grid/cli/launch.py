"""``lr-grid launch``: a full fine-tuning command with a grid on the optimizer that the trainer makes itself."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from lr_grid.cli import source

_DESCRIPTION = """\
Starts a full fine-tuning command of sd-scripts or musubi-tuner as it stands, with a grid on its optimizer. For what
--optimizer_type lr_grid.optim.AdamW cannot do: Adafactor with --fused_backward_pass, or any optimizer under the
trainer's own short name. It wraps the trainer's get_optimizer (and the patch that lets Adafactor move one tensor at a
time), nothing else; accelerate starts it in every process. Exit code: the trainer's; 2 for wrong settings."""

_EPILOG = """\
examples:
  lr-grid launch --grid flux.toml -- accelerate launch flux_train.py --fused_backward_pass --optimizer_type adafactor \\
      --optimizer_args relative_step=False scale_parameter=False warmup_init=False ...
  lr-grid launch --args self_attn_lr=1.5x depth_strategy=linear -- accelerate launch sdxl_train.py ...
  lr-grid launch --preset full_finetune -- accelerate launch -m musubi_tuner.qwen_image_train ...
  lr-grid launch --grid flux.toml train.sh                 # the command in a script"""


def add_parser(commands) -> None:
    """Add the command to the subparsers of ``lr-grid``."""
    parser = commands.add_parser(
        "launch",
        help="start a full fine-tuning command with a grid on the optimizer that the trainer makes",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--grid", metavar="FILE", help="a grid file (.toml, .json)")
    add("--preset", metavar="NAME", help="a preset (lr-grid presets lists them)")
    add("--args", nargs="+", metavar="KEY=VALUE", default=[], help="settings, as in --network_args; end them with --")
    add("--plan_file", metavar="FILE", help="where the plan goes (default: <output_name>.lr_grid.json by the model)")
    add("--dry_run", action="store_true", help="print the command that would be started, and do not start it")
    add("command", nargs="+", metavar="COMMAND", help="a training command behind --, or a file that holds one, or -")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Start the command; returns its exit code."""
    import shlex
    import subprocess

    from lr_grid.launch.command import launch_of
    from lr_grid.training.config_file import read_text
    from lr_grid.training.finding import COMMAND_LINE

    grid = _grid(args)
    text = source.command_in(args.command)
    if text is None:
        path = Path(args.command[0])
        launch = launch_of(read_text(path), str(path), path.suffix, grid)
    else:
        launch = launch_of(text, COMMAND_LINE, "", grid)
    if args.dry_run:
        print(shlex.join(launch.words))
        return 0
    try:
        return subprocess.run(launch.words, env=launch.environment, check=False).returncode
    except OSError as error:
        from lr_grid.errors import GridError

        raise GridError([f"{launch.words[0]} cannot be started: {error}"]) from None


def _grid(args: argparse.Namespace) -> dict[str, Any]:
    """The settings.

    Raises: GridError for settings that are wrong whatever the model.
    """
    from lr_grid.errors import Problems, did_you_mean
    from lr_grid.keys import HINTS, is_grid_key
    from lr_grid.settings import read_settings

    problems = Problems()
    grid: dict[str, Any] = {key: value for key in ("grid", "preset") if (value := getattr(args, key)) is not None}
    for word in args.args:
        key, equals, value = word.partition("=")
        if not equals:
            problems.add(f"--args {word}: is no key=value")
        elif not is_grid_key(key):
            problems.add(f"--args {key}: is no setting of a grid.{did_you_mean(key, HINTS)}")
        elif key in grid:
            problems.add(f"--args {key}: is given twice")
        else:
            grid[key] = value
    if not grid and not problems.found:
        problems.add("no grid was given: --grid FILE, --preset NAME or --args KEY=VALUE")
    read_settings(grid, problems, words="--args")
    problems.raise_if_any()
    if "grid" in grid:
        grid["grid"] = str(Path(grid["grid"]).expanduser().absolute())
    if args.plan_file is not None:
        grid["plan_file"] = args.plan_file
    return grid
