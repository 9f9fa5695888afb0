"""The real sd-scripts on tiny models: ``SdScripts.run`` runs one of its training scripts as a user would."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .installed import InstalledTrainer, command_line, new_output
from .models import MODELS
from .result import RunResult
from .trainer import Trainer

HERE = Path(__file__).parent

SD_SCRIPTS = Trainer(
    name="sd-scripts",
    url="https://github.com/kohya-ss/sd-scripts",
    commit="48d368fa557731ad0488c07304dfeba8c07910eb",
    left_out=("bitsandbytes_windows", "configs/qwen3_06b", "images"),
    requirements=HERE / "requirements-sd-scripts.txt",
    makers=(HERE / "make_tiny.py", *sorted(HERE.glob("tiny_*.py")), HERE / "shrink.py"),
)

DATASET = """[general]
caption_extension = ".txt"
enable_bucket = false
[[datasets]]
resolution = 64
batch_size = 2
  [[datasets.subsets]]
  image_dir = '{images}'
  num_repeats = 1
"""


@dataclass(frozen=True)
class SdScripts(InstalledTrainer):
    trainer = SD_SCRIPTS
    shrink = HERE / "shrink.py"
    forward_script = HERE / "sd_forward.py"

    def script(self, name: str) -> Path:
        return self.folder / name

    def family(self, model: str) -> str:
        return MODELS[model].family

    def checkpoint(self, model: str) -> Path:
        return self.tiny / MODELS[model].checkpoint

    @property
    def image_dir(self) -> Path:
        """Four 64 x 64 images with captions, for a dataset TOML of the test's own."""
        return self.tiny / "dataset" / "images"

    def run(
        self,
        script: str,
        model: str,
        *,
        workdir: Path,
        network_module: str | None = None,
        network_args: Sequence[str] = (),
        extra: Sequence[str] = (),
        steps: int = 4,
        name: str = "tiny",
        unet_lr: float | None = None,
        learning_rate: float = 1e-3,
        network_dim: int = 4,
        network_alpha: float = 2,
        config_file: Path | None = None,
        dataset_config: Path | None = None,
        probe: bool = True,
        timeout: float = 300,
        env: Mapping[str, str] | None = None,
        launcher: Sequence[str] = (),
    ) -> RunResult:
        """Run a training script of sd-scripts on a tiny model; all it writes lands in the new ``workdir/name``.

        ``extra`` comes last on the command line, so it overrides. With ``config_file`` (a training TOML), the command
        line holds only what belongs to this machine (model files, dataset, output, steps) and, where the call names
        them, ``network_module`` and ``network_args``. Everything else is the TOML's.
        """
        output = new_output(workdir, name)
        options: dict[str, Any] = {key: self.tiny / path for key, path in MODELS[model].files.items()}
        options |= {
            "tokenizer_cache_dir": self.tiny / "tokenizers",
            "dataset_config": dataset_config or self._write_dataset(output / "dataset.toml"),
            "output_dir": output,
            "output_name": name,
            "max_train_steps": steps,
        }
        if config_file is not None:
            options |= {"config_file": config_file, "max_data_loader_n_workers": 0}
        else:
            options |= {
                "save_model_as": "safetensors",
                "save_precision": "float",
                "optimizer_type": "AdamW",
                "learning_rate": learning_rate,
                "unet_lr": unet_lr,
                "seed": 42,
                "max_data_loader_n_workers": 0,
            }
            if network_module is not None:
                options |= {"network_dim": network_dim, "network_alpha": network_alpha}
        options["network_module"] = network_module
        arguments = command_line(options)
        arguments += MODELS[model].options if config_file is None else ()
        arguments += ["--network_args", *network_args] if network_args else ()
        arguments += extra

        return self.run_script(
            self.script(script),
            arguments,
            family=self.family(model),
            output=output,
            probe=probe,
            timeout=timeout,
            env=env,
            launcher=launcher,
        )

    def _write_dataset(self, file: Path) -> Path:
        file.write_text(DATASET.format(images=self.image_dir), encoding="utf-8")
        return file
