"""Makes everything tiny that a training run of musubi-tuner needs: models and dataset. Runs in the trainer's venv:

python make_tiny_musubi.py MUSUBI_TUNER_FOLDER OUTPUT_FOLDER
"""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).parent


def main(output: Path) -> None:
    # this folder goes last: its module names must not shadow the trainer's
    sys.path[:] = [*sys.path[1:], str(HERE / "torchvision_stand_in"), str(HERE)]
    import musubi_tiny_data
    import musubi_tiny_models

    musubi_tiny_data.make_all(output)
    musubi_tiny_models.make_all(output)


if __name__ == "__main__":
    main(Path(sys.argv[2]))  # musubi-tuner itself is installed in this venv, so where its files are does not matter
