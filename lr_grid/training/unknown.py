"""Arguments that the script does not have: whose they are, or what was meant."""

from __future__ import annotations

from lr_grid.errors import did_you_mean
from lr_grid.keys import HINTS, is_grid_key
from lr_grid.models.blueprint import known_arguments
from lr_grid.passed_on import INJECTED
from lr_grid.training.config import TrainingConfig
from lr_grid.training.finding import Finding
from lr_grid.training.guis import gui_of
from lr_grid.training.tables import options, owners

# Not the trainers': of launchers and GUIs around them.
_LAUNCHERS = {
    **dict.fromkeys(
        ("num_cpu_threads_per_process", "num_processes", "num_machines", "multi_gpu", "gpu_ids", "main_process_port"),
        "it is accelerate's: it stands before the script",
    ),
}


def tell_unknown(config: TrainingConfig) -> None:
    """Notes every argument that was given and that the script does not have."""
    script = config.script or config.trainer or "neither trainer"
    verb = "has" if not config.script and not config.trainer else "has no"
    for one in config.given:
        if one.known:
            continue
        name = f"--{one.dest}" if one.place.flag else one.dest
        if one.place.flag:
            effect = "the parser stops at it"
        else:
            effect = "it is ignored" if not isinstance(one.value, dict) else "only one level of tables is read"
        hint = _whose(config, one.dest)
        subject = f"{script} {verb} {name}" if verb == "has no" else f"{script} has {name}"
        gui = "" if one.place.flag else gui_of(one.dest, one.value)
        if gui:
            message = f"{subject}: {gui}' GUI writes it, the trainer ignores it"
            config.findings.append(Finding("note", one.place, message))
            continue
        # The parser stops at a flag; a key of a TOML is passed over, which matters where another was meant.
        severity = "error" if one.place.flag or isinstance(one.value, dict) or _means_another(hint) else "warning"
        config.findings.append(Finding(severity, one.place, f"{subject}: {effect}", hint, stops=bool(one.place.flag)))


def _means_another(hint: str) -> bool:
    """Whether a hint names what should stand there in place of an unknown argument."""
    return any(words in hint for words in ("Did you mean", "It belongs into", "; here "))


def _whose(config: TrainingConfig, dest: str) -> str:
    own = options(config.trainer, config.script)
    underscored = dest.replace("-", "_")
    if underscored != dest and underscored in own:
        return f"Did you mean {underscored}? (with underscores)"
    if is_grid_key(dest) or _is_module_key(config, dest):
        return f"It belongs into network_args: {dest}=..."
    having = owners(dest)
    if config.trainer and config.trainer in having:
        return f"It is an option of {_listed(having[config.trainer])}"
    if having:
        trainer, names = next(iter(having.items()))
        return f"It belongs to {trainer} ({_listed(names)}){_instead(config, dest)}"
    if dest in _LAUNCHERS:
        return _LAUNCHERS[dest].capitalize()
    hint = did_you_mean(dest, own).strip()
    if hint:
        return hint
    near = did_you_mean(dest, HINTS).strip()
    return f"{near} It belongs into network_args" if near else ""


# What the same thing is called in the other trainer: by name, where both mean the same.
_INSTEAD = {
    "unet_lr": "here it is learning_rate",
    "text_encoder_lr": "here no text encoder trains",
    "train_batch_size": "here batch_size of the dataset config",
    "train_data_dir": "here image_directory of the dataset config",
    "pretrained_model_name_or_path": "here it is dit",
    "dit": "here it is pretrained_model_name_or_path",
}


def _instead(config: TrainingConfig, dest: str) -> str:
    own = options(config.trainer, config.script)
    hint = _INSTEAD.get(dest, "")
    named = hint.rpartition(" ")[2]
    if hint and (named in own or not hint.startswith("here it is")):
        return f"; {hint}"
    return ""


def _is_module_key(config: TrainingConfig, dest: str) -> bool:
    prefix = {"musubi-tuner": "musubi_tuner.", "sd-scripts": "networks."}.get(config.trainer or "", " ")
    known = (keys for module, keys in known_arguments().items() if module.startswith(prefix))
    return dest not in INJECTED and any(dest in keys for keys in known)


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(names[:2]) + (f" and {len(names) - 2} more" if len(names) > 2 else "")
