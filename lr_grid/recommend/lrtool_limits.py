"""What LRTool's formula leaves out, and what to know of the numbers it gives for a configuration."""

from __future__ import annotations

from lr_grid.recommend.lrtool import NUMBERS, Configuration, smallest

IGNORED = (
    "The formula knows nothing of what is trained (modules, network type, LoRA+, text encoders), betas, weight decay, "
    "clipping, timestep sampling or the loss; no data stands behind its constants."
)


def limits(configuration: Configuration) -> list[str]:
    """One sentence a limit: the general one first, then those that this configuration meets."""
    found = [IGNORED]
    if configuration.slider_offset == 0:
        found.append("Stability and efficiency are 100 % by construction at offset 0: they measure the offset alone.")
    else:
        found.append("Stability and efficiency measure the offset alone: how far the LR is from LRTool's own.")
    if configuration.scheduler in ("Cosine", "Cosine (Restarts)"):
        found.append(
            f"Its {configuration.scheduler} is 0.1 + 0.9 cos(pi t), negative from t = 0.535 of a cycle on; the "
            "trainers' cosine never is. The root mean square hides the sign."
        )
    if configuration.scheduler == "Rex":
        found.append("Its Rex is exp(-4 t), not the published REX.")
    if configuration.scheduler == "Adafactor":
        found.append("Its Adafactor schedule is 1/sqrt(step) of the step's number: it raises the LR about 16 times.")
    if configuration.steps > 1 and configuration.steps != int(configuration.steps):
        found.append(
            f"steps {configuration.steps:g}: its schedule runs over {int(configuration.steps)}, its exposure counts "
            f"{configuration.steps:g}, as in LRTool."
        )
    for name in NUMBERS:
        if getattr(configuration, name) < smallest(name):
            found.append(f"{name} {getattr(configuration, name):g} is read as {smallest(name):g}, as LRTool does.")
    return found
