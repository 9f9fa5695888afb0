"""All benchmarks, one after the other, into docs/benchmarks.md.

    python -m benchmarks [--only NAME ...] [--rounds 9] [--trainers FOLDER] [--output docs/benchmarks.md]

README.md in this folder says what makes a file a benchmark.
"""

from __future__ import annotations

import argparse
import datetime
import importlib
import importlib.metadata
import os
import platform
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.measuring import Options, Skip

HERE = Path(__file__).parent
NOT_BENCHMARKS = ("__main__", "measuring", "in_trainer")
PACKAGES = ("torch", "accelerate", "tensorboard", "diffusers", "lr-grid")


def main() -> int:
    names = sorted(file.stem for file in HERE.glob("*.py") if file.stem not in NOT_BENCHMARKS)
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Runs the benchmarks, writes the page.")
    parser.add_argument("--only", nargs="+", choices=names, default=names, help="these alone")
    parser.add_argument("--rounds", type=int, default=9, help="how often every side is measured")
    parser.add_argument("--trainers", type=Path, default=os.environ.get("LR_GRID_TRAINERS"), help="ready trainers")
    parser.add_argument("--output", type=Path, default=HERE.parent / "docs" / "benchmarks.md")
    given = parser.parse_args()
    options = Options(given.rounds, Path(given.trainers).resolve() if given.trainers else None)
    parts = [_head()]
    for name in given.only:
        print(f"{name} ...", flush=True)
        part = _run(name, options)
        print(part + "\n", flush=True)
        parts.append(part)
    given.output.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    print(f"written: {given.output}")
    return 0


def _run(name: str, options: Options) -> str:
    """What a benchmark comes to, in Markdown."""
    if "\ndef measure(" not in (HERE / f"{name}.py").read_text(encoding="utf-8"):
        return _quoted(name)
    try:
        tables = importlib.import_module(f"benchmarks.{name}").measure(options)
    except Skip as why:
        return f"## {name}\n\nNot run: {why}."
    return "\n\n".join(table.markdown() for table in tables)


def _quoted(name: str) -> str:
    """The output of a benchmark that is a command of its own."""
    done = subprocess.run([sys.executable, HERE / f"{name}.py"], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{name} failed:\n{done.stderr}")
    shown = re.sub(rf"{re.escape(tempfile.gettempdir())}/\S*/", "", done.stdout.strip())  # no folder of this machine
    return f"## {name}\n\n```\n{shown}\n```"


def _head() -> str:
    """Machine, versions, day."""
    import torch

    there = {dist.metadata["Name"].lower(): dist.version for dist in importlib.metadata.distributions()}
    versions = ", ".join(f"{name} {there[name]}" for name in PACKAGES if name in there)
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "none"
    load = f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"
    return (
        "# Benchmarks: what a grid costs\n\n"
        "Written by `python -m benchmarks`; the sides of a comparison take turns, told are medians, and medians of the"
        " ratios round by round. A grid is control over what a model learns, not a faster optimizer.\n\n"
        f"{datetime.date.today().isoformat()}; {platform.system()} {platform.machine()}, {os.cpu_count()} cores"
        f" (load {load} at the start); GPU: {gpu}; Python {platform.python_version()}, {versions}."
    )


if __name__ == "__main__":
    sys.exit(main())
