"""A grid's cells (stack, block, component) as regexes on a trainer's module names."""

from __future__ import annotations

from lr_grid.blocks import Block
from lr_grid.convert.models import Model
from lr_grid.convert.source import Source
from lr_grid.values import Rate

_FLUX = {
    "double": {
        "self_attn": "double_blocks_{}_img_attn_",
        "cross_attn": "double_blocks_{}_txt_(?:attn|mlp)_",
        "ffn": "double_blocks_{}_img_mlp_",
        "mod": "double_blocks_{}_(?:img|txt)_mod_",
    },
    "single": {"mod": "single_blocks_{}_modulation_", "fused": "single_blocks_{}_linear"},
}
_ANIMA = {
    stack: {
        component: rf"{path}blocks\.{{}}\.{name}\..*"
        for component, name in (("self_attn", "self_attn"), ("cross_attn", "cross_attn"), ("ffn", "mlp"))
    }
    for stack, path in (("llm_adapter", r"llm_adapter\."), ("blocks", ""))
}
_ANIMA["blocks"]["mod"] = r"blocks\.{}\.adaln_modulation_.*"
# Stack -> component -> a regex with a place for the block's number: on LoRA names, for Anima on whole dotted paths.
_NAMES = {"flux-dev": _FLUX, "flux-schnell": _FLUX, "chroma": _FLUX, "hunyuan-image": _FLUX, "anima": _ANIMA}
WHOLE_PATH = frozenset({"anima"})
"""Models whose network module matches a regex against the whole dotted path."""


TRAINERS_OWN = Rate(1.0, relative=True)


def can_write_cells(model: Model) -> bool:
    """Whether the names of a model's modules are known here."""
    return model.name in _NAMES


def cell_rules(source: Source, left_out: bool) -> list[tuple[str, float]]:
    """(regex, absolute LR) for every cell of the grid whose LR is not the trainer's own.

    Args:
        left_out: True gives the cells that lists leave out of training (these win over module_lr, so they come before
            it), False all others.
    """
    model, base = source.model(), source.job.base_lr
    rules = []
    for stack, names in _NAMES[model.name].items():
        for component, name in names.items():
            if component not in model.components and component not in source.settings.component_lr:
                continue
            by_lr: dict[float, list[Block]] = {}
            for block in model.blocks:
                if block[0] != stack or source.is_left_out(component, block) != left_out:
                    continue
                rate = source.cell(component, block)
                if rate != TRAINERS_OWN:
                    by_lr.setdefault(source.absolute(rate, f"{component}_lr"), []).append(block)
            for lr, blocks in by_lr.items():
                if lr != base:
                    rules.append((name.format(_numbers([i for _, i in blocks], model.stacks[stack])), lr))
    return rules


def _numbers(blocks: list[int], size: int) -> str:
    """A regex for the numbers of some blocks of a stack."""
    if len(blocks) == size:
        return r"\d+"
    return str(blocks[0]) if len(blocks) == 1 else f"(?:{'|'.join(map(str, blocks))})"
