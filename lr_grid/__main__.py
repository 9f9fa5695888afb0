"""``python -m lr_grid`` is ``lr-grid``."""

import sys

from lr_grid.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
