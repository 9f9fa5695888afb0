"""Makes everything tiny that a training run needs: models, dataset, tokenizers. Runs in the trainer's venv:

python make_tiny.py SD_SCRIPTS_FOLDER OUTPUT_FOLDER
"""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).parent


def main(sd_scripts: Path, output: Path) -> None:
    # this folder goes last: its module names must not shadow the trainer's
    sys.path[0] = str(sd_scripts)
    sys.path += [str(HERE / "torchvision_stand_in"), str(HERE)]
    import tiny_data
    import tiny_models

    tiny_data.make_dataset(output / "dataset")
    tiny_data.make_tokenizers(output / "tokenizers")
    tiny_models.make_all(output)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
