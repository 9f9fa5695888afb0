"""``lr-grid convert``: a grid in another tool's format, or another tool's settings as a grid."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from lr_grid.cli.output import console, print_json
from lr_grid.errors import GridError

_DESCRIPTION = """\
Reads a grid in one format and writes it in another: lr-grid's own, and those of other tools. What the other side
cannot hold is told on stderr, line by line; what fits is carried exactly. Nothing is padded or cut."""

_EPILOG = """\
formats:
  toml, args, args-powershell, config     a grid file; a --network_args line for bash, for PowerShell; a config_file
  serenity                                JSON with a per_layer_lr block
  onetrainer[:PRESET]                     JSON with block_learning_rate_multiplier; Structure, Detail, Luma Normalize
  down_mid_up                             down_lr_weight, mid_lr_weight, up_lr_weight of networks.lora (SD1.x, SDXL)
  block_lr                                sdxl_train.py's --block_lr, 23 LRs
  network_reg_lrs                         regex=LR,... of lora_flux, lora_hunyuan_image, lora_anima
  lbw[:NAME or COUNT]                     LoRA block weight strings: 12, 17, 20, 26, 61; Inspire's 20, 21, 58; 57 plain
  anima[:toml]                            component LRs of anima_train.py, diffusion-pipe, anima-flow-trainer

examples:
  lr-grid convert per_layer.json --to args --model flux
  lr-grid convert --from "onetrainer:Luma Normalize" --to config --model flux
  lr-grid convert "down_lr_weight=sine+.5 up_lr_weight=cosine+.5" --model sd15 --to toml -o grid.toml
  lr-grid convert grid.toml --to network_reg_lrs --model flux --base_lr 1e-4
  lr-grid convert "MIDD:1,0,0,0,1,1,1,1,1,1,1,1,0,0,0,0,0" --to args-powershell
  lr-grid convert presets.txt --from lbw:MIDD --to args
  lr-grid convert --explain lbw                          # which of its values is which block"""


def add_parser(commands) -> None:
    """Add the command to the subparsers of ``lr-grid``."""
    parser = commands.add_parser(
        "convert",
        help="a grid in another tool's format, or another tool's settings as a grid",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("input", nargs="?", metavar="INPUT", help="a file, - (stdin), or the text itself")
    add("--from", dest="source", metavar="FORMAT", help="the input's format (default: told by its look)")
    add("--to", dest="target", metavar="FORMAT", help="the format to write")
    add("--model", metavar="NAME", help="the model whose blocks it is about (sd15, sdxl, flux, wan-14b, ...)")
    add("--base_lr", type=float, metavar="LR", help="the trainer's LR, for formats that hold absolute LRs only")
    add("-o", "--output", metavar="FILE", help="write to a file (default: stdout)")
    add("--explain", metavar="FORMAT", help="show what a format holds, and how it maps to blocks")
    add("--json", action="store_true", help="one JSON document: text, arguments, losses, notes")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Convert, or explain a format."""
    from lr_grid.convert.core import read_job, write_job
    from lr_grid.convert.detect import detect
    from lr_grid.convert.registry import find_format

    if args.explain:
        return _explain(args)
    if not args.target:
        raise GridError(["--to is missing: give the format to write (lr-grid convert --help lists them)"])
    find_format(args.target, "--to")
    if args.base_lr is not None and not 0 < args.base_lr < float("inf"):
        raise GridError([f"--base_lr must be a number above 0, not {args.base_lr:g}"])
    needs_text = True
    if args.source:
        row, variant = find_format(args.source, "--from")
        needs_text = not row.without_text(variant)
    text = _input(args.input, needs_text)
    source = args.source or detect(text)
    arguments, reading = read_job(text, source, args.model)
    result, writing = write_job(arguments, args.target, reading.model, args.base_lr)
    losses = reading.losses
    losses.add(writing.losses)
    model = writing.model or reading.model
    replaced = _save(args.output, args.input, result) if args.output else False
    if args.json:
        print_json(
            {
                "from": source,
                "to": args.target,
                "model": model.name if model else None,
                "text": result,
                "arguments": arguments,
                "losses": losses.lost,
                "notes": losses.notes,
                "file": args.output,
            }
        )
        return 0
    if not args.source:
        print(f"read as {source}{f' of {model.name}' if model else ''}", file=sys.stderr)
    if replaced:
        print(f"{args.output}: replaced", file=sys.stderr)
    if not args.output:
        print(result.removesuffix("\n"))
    for line in losses.lost:
        print(f"not carried: {line}", file=sys.stderr)
    for line in losses.notes:
        print(f"note: {line}", file=sys.stderr)
    return 0


def _input(given: str | None, needed: bool) -> str:
    """The text: of a file, of stdin, or as given.

    Raises: GridError where there is none, or a file cannot be read.
    """
    if given is None:
        if needed:
            raise GridError(["INPUT is missing: give a file, - for stdin, or the text itself"])
        return ""
    if given == "-":
        return sys.stdin.read().removeprefix("\ufeff")
    try:
        is_file, is_folder = Path(given).is_file(), bool(given) and Path(given).is_dir()
    except (OSError, ValueError):  # a text too long for a name, or with a character no name can hold
        is_file = is_folder = False
    if is_folder:
        raise GridError([f"{given}: is a folder: give a file"])
    if not is_file:
        if Path(given).suffix.lower() in (".toml", ".json", ".txt", ".sh", ".ps1") and not any(
            c in given for c in "={"
        ):
            raise GridError([f"{given}: no such file"])
        return given
    try:
        return Path(given).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise GridError([f"{given}: cannot be read: {error}"]) from None


def _save(name: str, given: str | None, text: str) -> bool:
    """Writes the file; returns whether there was one of its name.

    Raises: GridError where it cannot be written, or is the input.
    """
    path, before = Path(name), False
    try:
        before = path.is_file()
        if before and given and given != "-" and len(given) < 1000 and Path(given).is_file() and path.samefile(given):
            raise GridError([f"-o {name}: is the input: give another name"])
        path.write_text(text if text.endswith("\n") else f"{text}\n", encoding="utf-8")
    except (OSError, ValueError) as error:
        if isinstance(error, GridError):
            raise
        raise GridError([f"-o {name}: cannot be written: {error}"]) from None
    return before


def _explain(args: argparse.Namespace) -> int:
    """What a format is, and its table of blocks where it has one."""
    from lr_grid.convert.registry import find_format

    row, _ = find_format(args.explain, "--explain")
    columns, rows = row.explain() if row.explain else ((), [])
    if args.json:
        facts = {"format": row.name, "title": row.title, "holds": row.holds, "example": row.example}
        lines = [dict(zip(columns, line, strict=True)) for line in rows]
        print_json({**facts, "variants": row.variants, "table": lines})
        return 0
    from rich.table import Table

    out = console()
    out.print(f"{row.name}: {row.title}\nholds: {row.holds}\nexample: {row.example}", soft_wrap=True)
    if row.variants:
        out.print(f"variants ({row.name}:...): {row.variants}", soft_wrap=True)
    if rows:
        table = Table(*columns, box=None, pad_edge=False)
        for before, line in zip([None, *rows], rows, strict=False):
            if before and before[0] != line[0]:
                table.add_row()
            table.add_row(*(("", *line[1:]) if before and before[0] == line[0] else line))
        out.print(table)
    return 0
