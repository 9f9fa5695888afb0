"""The real musubi-tuner on tiny models: ``Musubi.run`` runs one of its training scripts as a user would."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .installed import InstalledTrainer, command_line, new_output
from .musubi_models import MODELS
from .result import RunResult
from .trainer import Trainer

HERE = Path(__file__).parent

MUSUBI_TUNER = Trainer(
    name="musubi-tuner",
    url="https://github.com/kohya-ss/musubi-tuner",
    commit="30c658c4f4b0bf05038b3346eff9670259b10fc7",  # v0.3.4
    left_out=("docs", "images"),
    requirements=HERE / "requirements-musubi-tuner.txt",
    makers=(HERE / "make_tiny_musubi.py", *sorted(HERE.glob("musubi_tiny_*.py")), HERE / "musubi_shrink.py"),
    source_root="src",
)

DATASET = """[general]
resolution = [64, 64]
caption_extension = ".txt"
batch_size = 2
enable_bucket = false
[[datasets]]
image_jsonl_file = '{items}'
cache_directory = '{cache}'
"""


@dataclass(frozen=True)
class Musubi(InstalledTrainer):
    trainer = MUSUBI_TUNER
    shrink = HERE / "musubi_shrink.py"
    forward_script = HERE / "musubi_forward.py"

    def script(self, name: str) -> Path:
        return self.folder / "src" / "musubi_tuner" / name

    def family(self, model: str) -> str:
        return MODELS[model].family

    def checkpoint(self, model: str) -> Path:
        return self.tiny / MODELS[model].checkpoint

    @property
    def items(self) -> Path:
        """The list of the dataset's four items, for a dataset TOML of the test's own."""
        return self.tiny / "items.jsonl"

    def cache_directory(self, model: str) -> Path:
        """The cached latents and text features of the four items."""
        return self.tiny / MODELS[model].folder / "cache"

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
        """Run a training script of musubi-tuner on a tiny model; all it writes lands in the new ``workdir/name``.

        ``script`` is one of ``src/musubi_tuner``; ``../../X.py`` is the script of the same name in the top folder.
        ``extra`` comes last on the command line, so it overrides. With ``config_file`` (a training TOML), the command
        line holds only what belongs to this machine (model, dataset, output, steps) and to the tiny model, and, where
        the call names them, ``network_module`` and ``network_args``. Everything else is the TOML's.
        """
        output = new_output(workdir, name)
        tiny = MODELS[model]
        options: dict[str, Any] = {
            "dit": self.checkpoint(model),
            "dataset_config": dataset_config or self._write_dataset(output / "dataset.toml", model),
            "output_dir": output,
            "output_name": name,
            "max_train_steps": steps,
            "max_data_loader_n_workers": 0,
        }
        if config_file is not None:
            options["config_file"] = config_file
        else:
            options |= {
                "mixed_precision": "bf16",
                "timestep_sampling": "sigmoid",
                "discrete_flow_shift": 1.0,
                "optimizer_type": "AdamW",
                "learning_rate": learning_rate,
                "seed": 42,
            }
            if network_module is not None:
                options |= {"network_dim": network_dim, "network_alpha": network_alpha}
        options["network_module"] = network_module
        arguments = [*command_line(options), *tiny.options, "--sdpa"]
        arguments += ["--network_args", *network_args] if network_args else ()
        arguments += extra
        return self.run_script(
            self.script(script),
            arguments,
            family=tiny.family,
            output=output,
            probe=probe,
            timeout=timeout,
            env=env,
            launcher=launcher,
        )

    def _write_dataset(self, file: Path, model: str) -> Path:
        file.write_text(DATASET.format(items=self.items, cache=self.cache_directory(model)), encoding="utf-8")
        return file
