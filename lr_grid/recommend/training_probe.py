"""The probe command of a training config: lr_grid.training reads it, probe_command.py turns it."""

from __future__ import annotations

import re
from pathlib import Path

from lr_grid.recommend.probe_command import ProbeCommand, probe_command
from lr_grid.training.read import is_command, read_training, require


def probe_of(source: str, d0: float) -> ProbeCommand:
    """The probe of a run.

    Args:
        source: a config TOML, a file that holds a command line, or the command line itself.
        d0: where Prodigy's estimate begins.

    Raises: GridError where the config is wrong, or holds nothing to probe.
    """
    is_text = is_command(source)
    config = require(read_training(source, is_text=is_text))
    script = config.script
    if script and not source.endswith(".toml"):  # with its folder, as the user's command has it
        text = source if is_text else Path(source).read_text(encoding="utf-8-sig")
        found = re.search(rf"[^\s\"'`^]*{re.escape(script)}", text)
        script = found[0] if found else script
    return probe_command(config.trainer, script, config.launch, config.values, config.network_args, d0)
