"""sd-scripts' network_reg_lrs: ``regex=LR,regex=LR``, absolute, first match wins (FLUX, HunyuanImage, Anima).

lora_flux and lora_hunyuan_image search the regex in the LoRA name (underscores); lora_anima matches it against the
whole dotted path. module_lr is searched in both. A comma separates pairs, so no regex can hold one.
Source: sd-scripts, networks/lora_flux.py and networks/lora_anima.py.
"""

from __future__ import annotations

import re

from lr_grid.convert.base import Arguments, Format, Job
from lr_grid.convert.cells import WHOLE_PATH, can_write_cells, cell_rules
from lr_grid.convert.models import Model
from lr_grid.convert.quoting import split_bash
from lr_grid.convert.source import COMMON_WHY, Source, is_block_choice, kind_of
from lr_grid.convert.texts import config_arguments, looks_like_toml, number_text, read_toml
from lr_grid.errors import GridError, Problems
from lr_grid.values import number

KEY = "network_reg_lrs"
_WHOLE = re.compile(r"\^\(\?:(.*)\)\$")
"""What a regex for a whole path is wrapped in, so that a search is a full match."""


def _plain(text: str) -> str:
    """The pairs, out of a command line or a config file."""
    if looks_like_toml(text):
        found = config_arguments(read_toml(text))
        if found is not None:
            if KEY not in found:
                raise GridError([f"{KEY}: the network_args have none"])
            return found[KEY]
    if f"{KEY}=" in text:
        word = next((word for word in split_bash(text) if word.startswith(f"{KEY}=")), None)
        if word is not None:
            return word.removeprefix(f"{KEY}=")
    return text.strip()


def read(text: str, job: Job) -> Arguments:
    """Regexes as module_lr."""
    problems = Problems()
    rules: dict[str, str] = {}
    for pair in _plain(text).split(","):
        if not pair.strip():
            continue
        pattern, equals, lr = (part.strip() for part in pair.partition("="))
        if not equals:
            problems.add(f"{KEY}: {pair.strip()!r} is not regex=LR (a comma separates pairs: a regex cannot hold one)")
            continue
        try:
            re.compile(pattern)
            value = number(lr)
        except re.error as error:
            problems.add(f"{KEY}: the regex {pattern!r} does not compile: {error}")
            continue
        except ValueError as error:
            problems.add(f"{KEY}: {pattern}: {error}")
            continue
        if pattern in rules:
            job.losses.lose(f"{pattern}={rules[pattern]}: the regex is given twice: the last counts, as it does there")
        rules[pattern] = number_text(value)
    if not rules and not problems.found:
        problems.add(f"{KEY}: is empty; write regex=LR")
    problems.raise_if_any()
    if job.model is not None and job.model.name in WHOLE_PATH:
        return {"module_lr": {f"^(?:{pattern})$": lr for pattern, lr in rules.items()}}
    for pattern in rules:
        if _may_match_paths(pattern, job.model):
            job.losses.lose(
                f"{pattern}: there it is searched in LoRA names only (lora_unet_double_blocks_0_...); module_lr is"
                " searched in dotted paths, too, where this one may match more"
            )
    return {"module_lr": rules}


def write(arguments: Arguments, job: Job) -> str:
    """module_lr as it stands, and the grid's cells as regexes where the model's names are known."""
    source = Source(arguments, job, KEY)
    cells = job.model is not None and can_write_cells(job.model)
    kinds = {"module", "component", "default", "depth", "blocks", "chosen"} if cells else {"module"}
    holds = f"{KEY} holds absolute LRs by regex"
    if not cells:
        hint = "flux-dev, chroma, hunyuan-image or anima" if job.model is None else f"not for {job.model.name}"
        holds += f"; blocks and components can be written as regexes where the LoRA names are known (--model: {hint})"
    why = {**COMMON_WHY, "holds": holds, **dict.fromkeys(("component", "chosen", "default", "depth", "blocks"), holds)}
    why["loraplus"] = "it stands beside network_reg_lrs, in --network_args of the same name"
    source.finish(lambda key: kind_of(key) in kinds or (cells and is_block_choice(key)), why)
    problems = Problems()
    rules = cell_rules(source, left_out=True) if cells else []
    for rule in source.settings.module_lr:
        pattern = _upstream_pattern(rule.pattern.pattern, job.model, problems)
        rules.append((pattern, source.absolute(rule.value, f"module_lr {rule.pattern.pattern}")))
    problems.raise_if_any()
    rules += cell_rules(source, left_out=False) if cells else []
    if len({pattern for pattern, _ in rules}) < len(rules):
        raise GridError([f"{KEY}: module_lr gives a regex twice: upstream would keep the last"])
    if any(lr == 0 for _, lr in rules):
        job.losses.note(
            f"{KEY}: what has LR 0 stays out of the optimizer there, its LoRA is made and saved all the same"
        )
    return ",".join(f"{pattern}={number_text(lr)}" for pattern, lr in rules)


def _may_match_paths(pattern: str, model: Model | None) -> bool:
    """Whether a regex for LoRA names may match dotted paths of modules whose names it does not match."""
    if model is not None:
        found = re.compile(pattern)
        return any(found.search(site.path) and not found.search(site.name) for site in model.sites)
    return re.search(r"\\\.|\\W|\[\^|^(\^|\\A)(?!lora_|\(\?)", pattern) is not None


def _upstream_pattern(pattern: str, model: Model | None, problems: Problems) -> str:
    """A regex of module_lr as upstream matches it, held against the model's modules where that is known."""
    for character, what in ((",", "pairs are separated by it"), ("=", "the LR begins after it")):
        if character in pattern:
            problems.add(f"{KEY}: the regex {pattern!r} holds a {character!r}, which it cannot there: {what}")
    whole = model is not None and model.name in WHOLE_PATH
    result = _for_paths(pattern) if whole else _for_names(pattern)
    if model is None:
        return result
    ours, theirs = re.compile(pattern), re.compile(result)
    for site in model.sites:
        there = theirs.fullmatch(site.path) if whole else theirs.search(site.name)
        if bool(there) != bool(ours.search(site.path) or ours.search(site.name)):
            problems.add(
                f"{KEY}: the regex {pattern!r} cannot be written so that it matches the same modules there"
                f" ({site.name}): {'whole dotted paths' if whole else 'LoRA names'} are all it sees"
            )
            break
    return result


def _for_names(pattern: str) -> str:
    """For LoRA names: an escaped dot stands between the words of a path, where the name has an underscore."""
    result = pattern.replace(r"\.", "_")
    if re.match(r"\^(?!lora_)", result) and "|" not in result:
        return f"^lora_(?:unet|te[123]?)_{result[1:]}"
    return result


def _for_paths(pattern: str) -> str:
    """For whole dotted paths."""
    inner = _WHOLE.fullmatch(pattern)
    return inner[1] if inner else f".*(?:{pattern}).*"


FORMAT = Format(
    name=KEY,
    title="network_reg_lrs of sd-scripts' lora_flux, lora_hunyuan_image, lora_anima",
    holds="absolute LRs by regex on the LoRA name (Anima: on the whole dotted path); no regex with a comma",
    example=r"single_blocks_(\d|10)_=1e-3,double_blocks=2e-3",
    read=read,
    write=write,
)
