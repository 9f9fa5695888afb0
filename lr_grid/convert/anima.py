"""Component LRs of Anima's full fine-tuning: sd-scripts' anima_train.py, diffusion-pipe, anima-flow-trainer.

An LR that is not given is the base LR there, 0 freezes. Sources: sd-scripts, library/anima_train_utils.py,
get_anima_param_groups (diffusion-pipe has the same names in its [model] table); bluvoll/anima-flow-trainer,
anima/training/params.py ([component_lr]; mod is adaln there).
"""

from __future__ import annotations

import re
from typing import Any

from lr_grid.convert.base import Arguments, Format, Job
from lr_grid.convert.models import Model, find_model
from lr_grid.convert.quoting import bash, split_bash
from lr_grid.convert.source import COMMON_WHY, Source, kind_of
from lr_grid.convert.texts import looks_like_toml, number_text, read_toml
from lr_grid.errors import GridError, Problems, did_you_mean
from lr_grid.module_rules import parse_module_rules
from lr_grid.values import Rate, number, rate

ADAPTER = "llm_adapter"
_COMPONENTS = {"self_attn": "self_attn", "cross_attn": "cross_attn", "mlp": "ffn", "mod": "mod", "adaln": "mod"}
FLAGS = (*(f"{name}_lr" for name in ("self_attn", "cross_attn", "mlp", "mod")), f"{ADAPTER}_lr")
_TABLE = (*("self_attn", "cross_attn", "mlp", "adaln"), ADAPTER, "base", "text_encoder")
_HOLDS = "anima holds absolute LRs of self_attn, cross_attn, mlp (ffn), mod and llm_adapter"
_WHY = {
    **COMMON_WHY,
    "holds": _HOLDS,
    "component": "it has no such component",
    "blocks": "it knows no blocks",
    "depth": "it knows no depth curve",
    "module": "it knows no regexes but llm_adapter",
}


def read(text: str, job: Job) -> Arguments:
    """Component LRs as LRs of components; llm_adapter as a module_lr."""
    job.model = _anima(job.model)
    problems = Problems()
    given = _given(text, job, problems)
    lrs: dict[str, float] = {}
    for name, value in given.items():
        try:
            lrs[name] = number(value)
        except ValueError as error:
            problems.add(f"{name}: {error}")
    problems.raise_if_any()
    arguments: Arguments = {}
    for name, lr in lrs.items():
        if name in _COMPONENTS:
            _component(_COMPONENTS[name], lr, arguments, job)
        elif name == ADAPTER:
            _adapter(lr, arguments, job)
        elif lr or name != "base":
            where = "give --text_encoder_lr" if name == "text_encoder" else "a LoRA of Anima has none of these modules"
            job.losses.lose(f"{name} {lr:g}: {where}")
    if not arguments:
        raise GridError([f"anima: there is no LR of {', '.join(_TABLE[:5])} that a LoRA could take"])
    return arguments


def _anima(model: Model | None) -> Model:
    if model is not None and model.name != "anima":
        raise GridError([f"anima: these component LRs are Anima's, and the model is {model.name}"])
    return model or find_model("anima")


def _component(component: str, lr: float, arguments: Arguments, job: Job) -> None:
    if component == "mod" and job.model is not None and "mod" not in job.model.components and lr == 0:
        job.losses.note("mod 0: networks.lora_anima makes no LoRA for modulation anyway")
        return
    arguments[f"{component}_lr"] = lr


def _adapter(lr: float, arguments: Arguments, job: Job) -> None:
    if lr == 0:
        job.losses.note(f"{ADAPTER} 0: networks.lora_anima makes no LoRA for it unless train_llm_adapter=true")
        return
    arguments["module_lr"] = {ADAPTER: lr}
    arguments["train_llm_adapter"] = "true"


def _given(text: str, job: Job, problems: Problems) -> dict[str, Any]:
    """Name (self_attn, mlp, ...) -> LR as it stands there."""
    if text.lstrip().startswith("--") or not looks_like_toml(text):
        return _flags(text, job, problems)
    data = read_toml(text)
    table = data.get("component_lr")
    if isinstance(table, dict):
        for name in table:
            if name not in _TABLE:
                hint = did_you_mean(name, _TABLE)
                problems.add(f"component_lr: {name!r} is no component of it; there are {', '.join(_TABLE)}.{hint}")
        return {name: value for name, value in table.items() if name in _TABLE}
    tables = [data, *(value for value in data.values() if isinstance(value, dict))]
    found = {key.removesuffix("_lr"): table[key] for table in tables for key in FLAGS if key in table}
    base = next((table["learning_rate"] for table in tables if "learning_rate" in table), None)
    if base is not None:
        _note_base(base, job)
    return found


def _note_base(base: object, job: Job) -> None:
    job.losses.note(f"learning_rate {base}: give it to the trainer; what has no LR of its own takes it")


def _flags(text: str, job: Job, problems: Problems) -> dict[str, str]:
    found, words = {}, split_bash(text)
    for i, word in enumerate(words):
        key, equals, value = word.partition("=")
        value = value if equals else words[i + 1] if i + 1 < len(words) else ""
        if key == "--learning_rate":
            _note_base(value, job)
        if not key.startswith("--") or not key.endswith("_lr"):
            continue
        if key[2:] in FLAGS:
            found[key[2:-3]] = value
        else:
            problems.add(f"{key}: is no option of it; there are --{', --'.join(FLAGS)}.{did_you_mean(key[2:], FLAGS)}")
    return found


def write(arguments: Arguments, job: Job) -> str:
    """Options of anima_train.py, or with the variant ``toml`` a [component_lr] of anima-flow-trainer."""
    if job.variant not in ("", "toml"):
        raise GridError([f"anima:{job.variant}: to write there are anima (options) and anima:toml ([component_lr])"])
    job.model = _anima(job.model) if job.model else None
    adapter = _adapter_rule(arguments)
    source = Source({key: value for key, value in arguments.items() if key != "train_llm_adapter"}, job, "anima")
    settings = source.settings
    names = ["self_attn", "cross_attn", "mlp", "adaln" if job.variant else "mod"]

    def carried(key: str) -> bool:
        component = kind_of(key) == "component" and key.removesuffix("_lr") in _COMPONENTS.values()
        return component or key == "default_lr" or (key == "module_lr" and adapter is not None)

    source.finish(carried, _WHY)
    if adapter is not None and len(settings.module_lr) > 1:
        job.losses.lose(f"module_lr: {_WHY['module']}")
    lrs = {
        name: source.absolute(source.component(_COMPONENTS[name]), f"{_COMPONENTS[name]}_lr")
        for name in names
        if _COMPONENTS[name] in settings.component_lr
        or (settings.default_lr is not None and name not in ("mod", "adaln"))
    }
    if adapter is not None:
        lrs[ADAPTER] = source.absolute(adapter, ADAPTER)
    if job.variant:
        return "\n".join(["[component_lr]", *(f"{name} = {number_text(lr)}" for name, lr in lrs.items())]) + "\n"
    return bash(word for name, lr in lrs.items() for word in (f"--{name}_lr", number_text(lr)))


def _adapter_rule(arguments: Arguments) -> Rate | None:
    """The LR that module_lr gives to the whole adapter, where its first rule does."""
    if "module_lr" not in arguments:
        return None
    first = parse_module_rules(arguments["module_lr"], rate)[0]
    return first.value if re.fullmatch(rf"\^?{ADAPTER}(\\\.)?", first.pattern.pattern) else None


FORMAT = Format(
    name="anima",
    title="Anima's component LRs (anima_train.py, diffusion-pipe, anima-flow-trainer's [component_lr])",
    holds="absolute LRs of self_attn, cross_attn, mlp, mod and llm_adapter; not given: the base LR; 0: frozen",
    example="--self_attn_lr 1e-5 --mlp_lr 2e-5 --mod_lr 0",
    read=read,
    write=write,
    variants="toml (writing): [component_lr] of anima-flow-trainer",
)
