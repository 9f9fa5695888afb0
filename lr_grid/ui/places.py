"""The one folder that the page writes to beside the file it edits: the user's own settings."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path


def settings_folder(environment: Mapping[str, str] = os.environ, platform: str = sys.platform) -> Path:
    """Where own presets are kept: LR_GRID_CONFIG, else the system's folder for settings."""
    if environment.get("LR_GRID_CONFIG"):
        return Path(environment["LR_GRID_CONFIG"])
    if platform == "win32" and environment.get("APPDATA"):
        return Path(environment["APPDATA"]) / "lr-grid"
    if environment.get("XDG_CONFIG_HOME"):
        return Path(environment["XDG_CONFIG_HOME"]) / "lr-grid"
    home = Path(os.path.expanduser("~"))
    return home / ("Library/Application Support" if platform == "darwin" else ".config") / "lr-grid"
