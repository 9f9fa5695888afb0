"""What a trainer's own reader says of dataset configs: for each text of a JSON list an error's name, or null.

Runs in the trainer's venv: python dataset_verdicts.py sd-scripts|musubi-tuner TEXTS.json FOLDER
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import tempfile
from importlib import import_module
from pathlib import Path

import inventory


def verdict(text: str, trainer: str, folder: Path) -> str | None:
    """The error that reading, checking and taking over a dataset config stops with."""
    file = folder / "dataset.toml"
    file.write_text(text, encoding="utf-8")
    module = import_module("library.config_util" if trainer == "sd-scripts" else "musubi_tuner.dataset.config_utils")
    sanitizer = module.ConfigSanitizer(*([True, True, False, True] if trainer == "sd-scripts" else []))
    try:
        module.BlueprintGenerator(sanitizer).generate(
            module.load_user_config(str(file)), argparse.Namespace(debug_dataset=False)
        )
    except Exception as error:
        return type(error).__name__
    return None


if __name__ == "__main__":
    NAME, TEXTS, CHECKOUT = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    sys.path.append(str(CHECKOUT / ("src" if NAME == "musubi-tuner" else "")))
    inventory.prepare()
    logging.disable(logging.CRITICAL)
    with tempfile.TemporaryDirectory() as scratch:
        print(json.dumps([verdict(text, NAME, Path(scratch)) for text in json.loads(TEXTS.read_text("utf-8"))]))
