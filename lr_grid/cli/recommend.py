"""``lr-grid recommend``: a base LR to start from, by rules, by LRTool's formula, or from a Prodigy probe."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from lr_grid.cli import source

if TYPE_CHECKING:
    from lr_grid.recommend.into_grid import Written
    from lr_grid.recommend.ways import Outcome

_DESCRIPTION = """\
A base LR to start from: the one that a grid's relative LRs multiply.
  --method rules    (default) a range, from what the trainers' documents give for the model, by rules with their sources
  --method lrtool   the formula that LRTool publishes, whole
  --probe-command   turns your command or config into a Prodigy run of 50 steps, and prints it
  --from-probe      the LR from that run's state or TensorBoard log
None of them replaces a sweep of two or three LRs; the probe is the only one that looks at your data."""

_EPILOG = """\
examples:
  lr-grid recommend --model flux --rank 16 --alpha 16
  lr-grid recommend --model sdxl --rank 32 --alpha 16 --batch_size 4 --optimizer Lion
  lr-grid recommend --known lr=1e-4 rank=16 alpha=16 --rank 64 --alpha 32          # from a run of your own
  lr-grid recommend --method lrtool --model sdxl --images 40 --steps 2000 --rank 32 --alpha 16 --base_lr 1e-4
  lr-grid recommend --probe-command config.toml > probe.sh                         # run it in the trainer's folder
  lr-grid recommend --probe-command -- accelerate launch flux_train_network.py --network_module networks.lora_flux ...
  lr-grid recommend --from-probe output/name_probe-state --into grid.toml"""


def add_parser(commands) -> None:
    """Add the command to the subparsers of ``lr-grid``."""
    parser = commands.add_parser(
        "recommend",
        help="a base LR to start from: rules with their sources, LRTool's formula, or a probe of your own run",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--method", choices=("rules", "lrtool"), help="rules, unless --from-probe or --probe-command is given")
    add(
        "--from-probe",
        "--from_probe",
        metavar="PATH",
        help="saved state or TensorBoard log of a Prodigy run, or d itself",
    )
    add(
        "--probe-command",
        "--probe_command",
        nargs="?",
        const="",
        metavar=source.METAVAR,
        help=source.HELP,
    )
    add("words", nargs="*", metavar="WORD", help="of the command line of --probe-command")
    add("--probe_d0", type=float, help="d0 of the probe (1e-4); the factor holds where d comes to about 10 d0")
    add("--model", help="flux, sdxl, wan-14b, ...; any that lr-grid knows by name")
    add("--rank", type=float, help="network_dim")
    add("--alpha", type=float, help="network_alpha (the trainers' default is 1)")
    add("--batch_size", type=int, help="samples a step and pass, all processes together")
    add("--gradient_accumulation", type=int, help="passes a step")
    add("--optimizer", help="optimizer_type (AdamW)")
    add("--base_lr", type=float, help="the LR you use now: where it stands (lrtool: the offset it implies)")
    add("--into", metavar="GRID.toml", help="write the LR into a grid file: default_lr, and relative LRs made absolute")
    add("--json", action="store_true", help="for machines")
    rules = parser.add_argument_group("rules alone")
    add = rules.add_argument
    add("--loraplus_lr_ratio", type=float, help="LoRA+ ratio of the run (with --from-probe, too)")
    add("--rs_lora", action="store_true", help="LyCORIS' rank-stabilised scale, alpha / sqrt(rank)")
    add("--full_finetune", action="store_true", help="the model's own weights are trained, no LoRA")
    add("--known", nargs="+", metavar="key=value", help="a run that went well: lr= rank= alpha= batch= optimizer=")
    lrtool = parser.add_argument_group("lrtool alone (what is not given keeps LRTool's own default, and is listed)")
    add = lrtool.add_argument
    add("--resolution", type=float, help="pixels a side")
    add("--images", type=float, help="images in the dataset")
    add("--steps", type=float, help="training steps")
    add("--scheduler", help="Constant, Linear, Cosine, Cosine (Restarts), Cosine (Hard Restarts), Rex, Adafactor")
    add("--warmup", metavar="PERCENT", help="whole percent of the steps (10%%)")
    add("--objective", help="Style, Concept, Character, Fidelity")
    add("--offset", type=float, help="-1 to 1: 0.25 raises the LR by 25 %%")
    add("--profile", metavar="FILE", help="a profile of LRTool (JSON): its configuration is the start")
    add("--save_profile", metavar="FILE", help="write a profile that LRTool loads")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Do the one of the four that is asked for."""
    from lr_grid.recommend import options, ways

    way = options.asked_for(args)
    if way == options.COMMAND:
        return _probe_command(args)
    outcome = {options.LRTOOL: ways.by_lrtool, options.PROBE: ways.by_probe, options.RULES: ways.by_rules}[way](args)
    written = _write(args, outcome)
    if args.json:
        from lr_grid.cli.output import print_json

        print_json(_plain(outcome.data))
        return 0
    from lr_grid.cli.output import console
    from lr_grid.recommend.report import show_written

    out = console()
    outcome.show(out)
    if written:
        show_written(out, written)
    return 0


def _write(args: argparse.Namespace, outcome: Outcome) -> Written | None:
    """--into and --save_profile: all is checked before anything is written.

    Raises: GridError.
    """
    from lr_grid.errors import GridError
    from lr_grid.files import check_writable, real_path
    from lr_grid.recommend.grid_text import OUR_COMMENT
    from lr_grid.recommend.into_grid import into_grid
    from lr_grid.recommend.report import lr_text

    lr, job = outcome.lr, None
    if args.into:
        if not outcome.takes_grid:
            raise GridError(["--into: this optimizer finds its LR itself, and takes no grid"])
        if lr.typical <= 0:
            raise GridError([f"--into: an LR of {lr.typical:g} trains nothing"])
        job = into_grid(args.into, lr.typical, f"{OUR_COMMENT} {lr_text(lr.low)} to {lr_text(lr.high)}")
    if args.save_profile and outcome.profile:
        profile = real_path(args.save_profile)
        check_writable(profile, f"--save_profile {args.save_profile}")
        if job and job.result.path == profile:
            raise GridError([f"--into and --save_profile name one file, {profile}"])
        outcome.profile(profile)
    if job is None:
        return None
    written = job.write()
    outcome.data["into"] = {
        **{"path": str(written.path), "backup": str(written.backup or "")},
        **{"changes": written.changes, "kept": written.kept},
    }
    return written


def _plain(value: Any) -> Any:
    """Dataclasses as tables, also inside of lists and tables."""
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    fields = getattr(value, "__dataclass_fields__", None)
    return value if fields is None else {name: _plain(getattr(value, name)) for name in fields}


def _probe_command(args: argparse.Namespace) -> int:
    from lr_grid.cli.output import print_json
    from lr_grid.recommend.probe import D0
    from lr_grid.recommend.probe_script import script, word
    from lr_grid.recommend.training_probe import probe_of

    words = [one for one in (args.probe_command, *args.words) if one]
    text = source.command_in(words)
    d0 = D0 if args.probe_d0 is None else args.probe_d0
    probe, shell = probe_of(words[0] if text is None else text, d0, is_text=text is not None)
    if args.json:
        print_json({"argv": probe.argv, "shell": shell.name, "state": probe.state, "left_out": probe.left_out})
        return 0
    before = [
        "A Prodigy run of 50 steps, flat: LR 1 everywhere, no grid. Run it where you run the trainer.",
        "Prodigy comes from: pip install prodigyopt",
        *(f"left out: {left_out}" for left_out in probe.left_out),
    ]
    after = [f"then: lr-grid recommend --from-probe {word(shell, probe.state)}"]
    print(script(shell, probe.argv, before, after))
    return 0
