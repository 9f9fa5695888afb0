"""Rules for a model no table describes: stacks from its ModuleLists, components from the field's common names.

Words of a path are told apart at dots and underscores, because one name often contains another: ``cross_attention``
contains ``attention``, ``mlp.gate_proj`` and ``attn.gate`` share a word. What no rule knows stays without a component
and is told as a notice, not guessed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import nn

from lr_grid.anatomy.layout import Rule
from lr_grid.blocks import Block

_WORD = r"(?:^|[._])"
_END = r"(?:\.|$)"

MODULATION: Rule = (
    rf"(?i){_WORD}ada_?(?:ln|norm)|modulation|{_WORD}(?:img_|txt_)?mod(?:[._]|$)|time_emb_proj|emb_layers"
    rf"|time_projection|{_WORD}time_proj{_END}|time_embed\.linear{_END}"
    rf"|norm\d*(?:_\w+)?\.linear(?:_\d)?{_END}|scale_shift|{_WORD}film",
    "mod",
)
FUSED: Rule = (
    rf"(?i)qkv_?mlp|{_WORD}single\w*\.\d+\.(?:proj_out|linear_?[12]){_END}",
    "fused",
)
CROSS: Rule = (
    rf"(?i)attn2{_END}|cross_?attn|cross_?attention|EncDecAttention|[a-z]_to_[a-z]+_attn|add_[qkv]_proj|to_added_qkv"
    rf"|to_add_out|ff_context|{_WORD}(?:txt|text|context|ctx)_(?:attn|attention|mlp|ff){_END}"
    rf"|encoder_attn{_END}|{_WORD}x_?attn{_END}|{_WORD}(?:to_(?:q|k|v|out)|ff)_t{_END}",
    "cross_attn",
)
SELF: Rule = (
    rf"(?i){_WORD}attn\d*(?:[._]|$)|self_?attn|self_?attention|{_WORD}(?:img_attn|attention)(?:[._]|$)",
    "self_attn",
)
FFN: Rule = (
    rf"(?i){_WORD}ffn?(?:[._]|$)|{_WORD}(?:img_)?mlp|feed_?forward|{_WORD}fc\d{_END}|DenseReluDense|{_WORD}experts{_END}",
    "ffn",
)
# Projections that hang in the block itself, without a parent that says what they belong to.
BARE_SELF: Rule = (
    rf"(?i){_WORD}to_(?:q|k|v|o|qkv|kv|out|query|key|value){_END}|{_WORD}(?:q|k|v|o|qkv|kv|out)_(?:proj|linear){_END}"
    rf"|(?:^|\.)(?:w?[qkvo]|w?qkv|query|key|value){_END}",
    "self_attn",
)
BARE_FFN: Rule = (rf"(?i){_WORD}(?:gate_|up_|down_|gate_up_)proj{_END}|\.\d+\.(?:w[123]|linear_?[12]){_END}", "ffn")
EMBED: Rule = (
    rf"(?i)embed|{_WORD}(?:conv|img|txt|time|vector|guidance|x|t|y)_in{_END}|patchify|caption_projection"
    rf"|time_?step_proj|_tokens?{_END}|(?:^|\.)pos_\w+{_END}|projector{_END}",
    "embed",
)

INSIDE_RULES: tuple[Rule, ...] = (MODULATION, FUSED, CROSS, SELF, FFN, BARE_SELF, BARE_FFN, EMBED)
# Outside the blocks an embedder's own feed-forward or attention is still the embedder's, and so is the one that stands
# beside the Linear which makes the modulation (adaln_single.emb).
HEAD: Rule = (
    rf"(?i)^(?:\w*heads?|proj_out|conv_out|out(?:put|_layer)?|final(?:_\w+)?|last_\w+|classifier){_END}",
    "other",
)
OUTSIDE_RULES: tuple[Rule, ...] = (
    (r"(?i)ada_?ln\w*\.emb\.", "embed"),
    *(MODULATION, EMBED, HEAD, FUSED, CROSS, SELF, FFN, BARE_SELF, BARE_FFN),
)


def find_stacks(model: nn.Module) -> tuple[dict[str, int], dict[str, Block]]:
    """(stack sizes, dotted path -> block): the outermost lists of blocks.

    A list of blocks is a ModuleList with at least two Linears or convolutions in an item, or a Sequential or ModuleDict
    of such items of one class; lists of heads, norms or projections are not counted as depth. A stack is named after
    its attribute, ``_blocks`` and ``_transformer`` left out (``noise_refiner``, ``double_blocks`` -> ``double``,
    ``single_transformer_blocks`` -> ``single``, ``transformer_blocks`` -> ``blocks``); where two lists share a name,
    both take their whole path.
    """
    lists: list[tuple[str, nn.Module]] = []

    def walk(path: str, module: nn.Module) -> None:
        for name, child in module.named_children():
            child_path = f"{path}.{name}" if path else name
            if _is_stack(child):
                lists.append((child_path, child))
            else:
                walk(child_path, child)

    walk("", model)
    names = [_short(path) for path, _ in lists]
    stacks: dict[str, int] = {}
    blocks: dict[str, Block] = {}
    for (path, children), name in zip(lists, names, strict=True):
        stack = _unused(name if names.count(name) == 1 else _name(path), stacks)
        keys = [key for key, _ in children.named_children()]
        stacks[stack] = len(keys)
        blocks.update({f"{path}.{key}": (stack, i) for i, key in enumerate(keys)})
    return stacks, blocks


def _is_stack(module: nn.Module) -> bool:
    """Whether a module is a list of blocks."""
    items = list(module.children())
    if isinstance(module, nn.ModuleList):
        return any(_is_block(item) for item in items)
    one_kind = len({type(item) for item in items}) == 1 < len(items)
    return isinstance(module, (nn.Sequential, nn.ModuleDict)) and one_kind and all(_is_block(item) for item in items)


def _unused(name: str, taken: Mapping[str, int]) -> str:
    """A name that no stack has yet."""
    return (
        name
        if name not in taken
        else next(f"{name}_{c}" for c in "bcdefghijklmnopqrstuvwxyz" if f"{name}_{c}" not in taken)
    )


def _is_block(module: nn.Module) -> bool:
    """Whether a module holds two matrices or more (a Linear, a convolution, whatever class it has)."""
    return sum(p.ndim >= 2 for p in module.parameters()) >= 2


def _short(path: str) -> str:
    """A stack's name from its attribute alone, the whole path where that is no name (a number)."""
    name = path.rpartition(".")[2]
    name = re.sub(r"^transformer_blocks?$", "blocks", name)
    name = re.sub(r"(?:_transformer)?_blocks?$", "", name)
    return _name(name if name[:1].isalpha() else path)


def _name(path: str) -> str:
    """A path as block syntax can write it: no dots, and no number at the end that would read as a block's."""
    name = re.sub(r"_blocks?$", "", re.sub(r"\W", "_", path))
    name = name if name[:1].isalpha() else f"stack{name}"
    return re.sub(r"_(\d+)$", r"\1", name)
