"""The three transforms and three functions sd-scripts imports from torchvision, for environments that have none.

It is put at the end of ``sys.path`` by the test harness only, and is never installed.
"""

from . import transforms as transforms

__version__ = "0.0.0"
