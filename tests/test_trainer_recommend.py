"""The probe that lr-grid recommend prints, in the real sd-scripts: its flags run, and its state and log are read."""

from __future__ import annotations

from pathlib import Path

import pytest
from trainers.sd_scripts import SdScripts

from lr_grid.recommend.probe_read import read_probe
from lr_grid.recommend.training_probe import probe_of

pytestmark = pytest.mark.trainer

# Tiny random models give noise for gradients: a large alpha and many batches a step make d rise.
COMMAND = (
    "accelerate launch flux_train_network.py --network_module networks.lora_flux_grid --unet_lr 1e-4 --network_dim 4 "
    "--network_args loraplus_lr_ratio=4 train_double_block_indices=0-1 --optimizer_type AdamW8bit --network_alpha 64 "
    "--lr_scheduler cosine --max_train_epochs 3 --gradient_accumulation_steps 16 --log_with tensorboard "
    "--logging_dir {logs}"
)


def test_the_printed_probe_runs_and_its_state_and_log_say_the_same(sd_scripts: SdScripts, tmp_path: Path) -> None:
    probe, _ = probe_of(COMMAND.format(logs=tmp_path / "logs"), 1e-5, is_text=True)
    flags = probe.argv[probe.argv.index("flux_train_network.py") + 1 :]
    sd_scripts.run("flux_train_network.py", "flux", workdir=tmp_path, extra=flags, probe=False).expect_success()
    (state,) = tmp_path.rglob("last_probe-state")
    of_state, of_log = read_probe(str(state)), read_probe(str(tmp_path / "logs"))
    assert of_state.steps == of_log.steps == 50
    assert of_state.d0 == 1e-5
    assert of_state.d > 1.01e-5
    assert of_log.d == pytest.approx(of_state.d, rel=1e-5)
    assert not any("measured with" in note for note in of_state.notes)
