"""What the launcher before the script would do that a rehearsal does not."""

from __future__ import annotations

from collections.abc import Sequence


def launch_notes(launch: Sequence[str]) -> list[str]:
    """Notes on options of ``accelerate launch``.

    Args:
        launch: the words before the script.
    """
    options = _options(launch)
    notes = []
    processes = options.get("num_processes", "1")
    if "multi_gpu" in options or (processes.isdigit() and int(processes) > 1):
        count = f"{processes} processes" if processes != "1" else "several processes"
        notes.append(f"accelerate starts {count}: one was rehearsed, and with more of them an epoch has fewer steps")
    for name, what in (("use_deepspeed", "DeepSpeed"), ("use_fsdp", "FSDP"), ("dynamo_backend", "torch.compile")):
        if options.get(name, "no").lower() not in ("no", "false"):
            notes.append(f"accelerate's {what} was left out")
    return notes


def launch_environment(launch: Sequence[str]) -> dict[str, str]:
    """The variables by which the launcher hands on what the script does not say itself."""
    precision = _options(launch).get("mixed_precision", "").lower()
    if precision not in ("no", "bf16", "fp16"):
        return {}
    return {"ACCELERATE_MIXED_PRECISION": "bf16" if precision == "fp16" else precision}


def _options(launch: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for index, word in enumerate(launch):
        if word.startswith("--"):
            name, equals, value = word[2:].partition("=")
            following = launch[index + 1] if index + 1 < len(launch) else ""
            found[name] = value if equals else "1" if following.startswith("-") or not following else following
    return found
