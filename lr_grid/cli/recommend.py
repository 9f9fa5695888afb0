"""``lr-grid recommend``: a base LR to start from, by rules, by LRTool's formula, or from a Prodigy probe."""

from __future__ import annotations

import argparse
import shlex
from typing import Any

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
        metavar="CONFIG|COMMAND",
        help="a config TOML, a script, or a command line",
    )
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
    from lr_grid.recommend import options

    way = options.asked_for(args)
    if way == options.COMMAND:
        return _probe_command(args)
    if way == options.LRTOOL:
        return _lrtool(args)
    return _probe(args) if way == options.PROBE else _rules(args)


def _rules(args: argparse.Namespace) -> int:
    from lr_grid.recommend import report
    from lr_grid.recommend.disagreements import disagreements
    from lr_grid.recommend.options import setup
    from lr_grid.recommend.recommendation import LIMITS, recommend

    given = setup(args)
    result = recommend(given)
    batch = given.batch_size, given.gradient_accumulation
    differing = [] if result.own_lr else disagreements(given.rank, given.alpha or 1.0, *batch, given.optimizer)
    data: dict[str, Any] = {"method": "rules", "model": result.model, "optimizer": result.optimizer, "lr": result.lr}
    data |= {"takes_grid": not result.own_lr, "anchor": result.anchor, "anchor_source": result.anchor_source}
    data |= {"rules": result.rules, "disagreements": differing, "notes": [*result.notes, *LIMITS]}
    return _finish(
        args, data, lambda out: report.show_rules(out, result, differing), result.lr, takes_grid=not result.own_lr
    )


def _probe(args: argparse.Namespace) -> int:
    from lr_grid.recommend import report
    from lr_grid.recommend.probe import LIMITS
    from lr_grid.recommend.probe_read import read_probe
    from lr_grid.recommend.recommendation import from_probe

    name = args.optimizer or "AdamW"
    rules = from_probe(name, args.loraplus_lr_ratio)
    probe = read_probe(args.from_probe)
    lr = probe.lr().under(rules)
    data = {"method": "from-probe", "optimizer": name, "lr": lr, "probe": probe, "rules": rules, "notes": LIMITS}
    return _finish(args, data, lambda out: report.show_probe(out, probe, lr, rules, name), lr)


def _lrtool(args: argparse.Namespace) -> int:
    from lr_grid.recommend import lrtool, lrtool_profile, report
    from lr_grid.recommend.disagreements import disagreements
    from lr_grid.recommend.lrtool_limits import limits
    from lr_grid.recommend.options import configuration
    from lr_grid.recommend.recommendation import Range

    chosen, defaults = configuration(args)
    statistics = lrtool.statistics(chosen)
    differing = disagreements(chosen.rank, chosen.alpha, chosen.batch, chosen.grad_accum, chosen.optimizer)
    lr = statistics["adjusted_lr"]
    data: dict[str, Any] = {"method": "lrtool", "configuration": lrtool_profile.as_table(chosen)}
    data |= {"statistics": statistics, "defaults": defaults, "disagreements": differing, "notes": limits(chosen)}
    if args.base_lr is not None:
        data["implied_offset"] = lrtool.implied_offset(chosen, args.base_lr)
    if args.save_profile:
        lrtool_profile.save(args.save_profile, chosen, statistics)

    def show(out) -> None:
        report.show_lrtool(out, chosen, statistics, defaults, differing)
        if args.base_lr is not None:
            outside = "" if -1 <= data["implied_offset"] <= 1 else ", outside LRTool's slider"
            out.print(f"Your {args.base_lr:g} is LRTool's LR at offset {data['implied_offset']:+.1%}{outside}.")

    return _finish(args, data, show, Range(lr, lr, lr), told=True)


def _finish(args, data: dict[str, Any], show, lr, *, takes_grid: bool = True, told: bool = False) -> int:
    """--into, then the output: text for people or JSON for machines. ``told``: where --base_lr stands was said."""
    from lr_grid.cli.output import console, print_json
    from lr_grid.errors import GridError
    from lr_grid.recommend.into_grid import into_grid
    from lr_grid.recommend.report import base_lr_line, lr_text, show_written

    written = None
    if args.into:
        if not takes_grid:
            raise GridError(["--into: this optimizer finds its LR itself, and takes no grid"])
        if lr.typical <= 0:
            raise GridError([f"--into: an LR of {lr.typical:g} trains nothing"])
        written = into_grid(args.into, lr.typical, f"lr-grid recommend: {lr_text(lr.low)} to {lr_text(lr.high)}")
        data["into"] = {"path": str(written.path), "backup": str(written.backup or ""), "changes": written.changes}
    if args.json:
        print_json(_plain(data))
        return 0
    out = console()
    show(out)
    if args.base_lr is not None and not told:
        out.print(base_lr_line(args.base_lr, lr))
    if written:
        show_written(out, written)
    return 0


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
    from lr_grid.recommend.training_probe import probe_of

    probe = probe_of(args.probe_command, D0 if args.probe_d0 is None else args.probe_d0)
    if args.json:
        print_json({"argv": probe.argv, "state": probe.state, "left_out": probe.left_out})
        return 0
    print("# A Prodigy run of 50 steps, flat: LR 1 everywhere, no grid. Run it where you run the trainer.")
    print("# Prodigy comes from: pip install prodigyopt")
    for left_out in probe.left_out:
        print(f"# left out: {left_out}")
    print(probe.shell())
    print(f"# then: lr-grid recommend --from-probe {shlex.quote(probe.state)}")
    return 0
