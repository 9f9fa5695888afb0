"""Build of the distribution ``lr-grid``.

``networks`` is listed by hand: it must stay a PEP 420 portion without ``__init__.py``, so that it merges with the
folder of the same name in sd-scripts (one ``networks/__init__.py`` anywhere on the path would hide the trainer's own).
Lower bounds are loose on purpose: an install into a trainer's environment must change none of its pinned packages.
"""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
VERSION = re.search(r'^__version__ = "([^"]+)"', (HERE / "lr_grid/__init__.py").read_text(encoding="utf-8"), re.M)[1]

DEMO = [
    "lycoris-lora>=3.0",
    "accelerate>=0.33",
    "diffusers>=0.25",
    "scikit-learn>=1.2",
    "tqdm>=4.60",
    "matplotlib>=3.6",
]

setup(
    name="lr-grid",
    version=VERSION,
    description="Learning rates per block, per component and per LoRA side for kohya-style trainers, proven in the run",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    packages=[*find_packages(include=["lr_grid", "lr_grid.*"]), "networks"],
    package_data={
        "lr_grid.models": ["data/*.json", "data/encoders/*.json", "data/diffusers/*.json"],
        "lr_grid.presets": ["*.toml"],
        "lr_grid.training": ["arguments/*.json"],
        "lr_grid.ui": ["static/*"],
    },
    python_requires=">=3.10",
    install_requires=["torch>=2.1", "safetensors>=0.4", "rich>=13", "tomli>=2; python_version < '3.11'"],
    extras_require={
        "plot": ["matplotlib>=3.6"],
        "demo": DEMO,
        "test": [
            *DEMO,
            "pytest>=8",
            "pytest-xdist>=3",
            "peft>=0.13",
            "tensorboard>=2.10",
            "hypothesis>=6",
            "packaging>=22",
            # Optimizers whose state test_memory.py measures.
            "lion-pytorch>=0.2",
            "prodigyopt>=1.1.2",
            "dadaptation>=3.2",
            "schedulefree>=1.4",
            "prodigy-plus-schedule-free>=1.9",
            "bitsandbytes>=0.45",
            # The page's tests (they take the Chromium that is installed; no browser is downloaded).
            "playwright>=1.40",
            "axe-playwright-python>=0.1.4",
            "ruff>=0.6",
            "mypy>=1.10",
        ],
    },
    entry_points={"console_scripts": ["lr-grid=lr_grid.cli.main:main"]},
    classifiers=[
        "License :: OSI Approved :: Apache Software License",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3.10",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
    ],
)
