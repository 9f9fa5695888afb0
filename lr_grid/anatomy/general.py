"""Rules for a model no table describes: stacks from its ModuleLists, components from the field's common names."""

from __future__ import annotations

from torch import nn

from lr_grid.anatomy.layout import Rule
from lr_grid.blocks import Block

_WORD = r"(?:^|[._])"

MODULATION: Rule = (
    rf"(?i){_WORD}ada_?(?:ln|norm)|modulation|{_WORD}(?:img_|txt_)?mod(?:[._]|$)|time_emb_proj|emb_layers"
    r"|time_projection|norm\d*(?:_context|_out)?\.linear(?:\.|$)|scale_shift",
    "mod",
)
CROSS: Rule = (
    rf"(?i)attn2(?:\.|$)|cross_?attn|cross_?attention|EncDecAttention|add_[qkv]_proj|to_add_out|ff_context"
    rf"|{_WORD}txt_(?:attn|mlp)",
    "cross_attn",
)
SELF: Rule = (
    rf"(?i){_WORD}attn\d*(?:[._]|$)|self_?attn|self_?attention|{_WORD}(?:img_attn|attention)(?:[._]|$)"
    rf"|{_WORD}to_(?:q|k|v|qkv|out)(?:\.|$)|{_WORD}[qkv]_proj(?:\.|$)|{_WORD}qkv(?:\.|$)",
    "self_attn",
)
FFN: Rule = (
    rf"(?i){_WORD}ffn?(?:[._]|$)|{_WORD}(?:img_)?mlp|feed_?forward|{_WORD}fc\d(?:\.|$)|DenseReluDense|{_WORD}experts(?:\.|$)",
    "ffn",
)
EMBED: Rule = (
    rf"(?i)embed|{_WORD}(?:conv|img|txt|time|vector|guidance|x|t|y)_in(?:\.|$)|patchify|caption_projection",
    "embed",
)

INSIDE_RULES: tuple[Rule, ...] = (MODULATION, CROSS, SELF, FFN, EMBED)
# Outside the blocks an embedder's own feed-forward or attention is still the embedder's.
OUTSIDE_RULES: tuple[Rule, ...] = (MODULATION, EMBED, (r"", "other"))


def find_stacks(model: nn.Module) -> tuple[dict[str, int], dict[str, Block]]:
    """(stack sizes, dotted path -> block): the outermost ModuleLists whose items hold weights.

    A stack is named after its attribute, ``_blocks`` left out (``noise_refiner``, ``layers``, ``double_blocks`` ->
    ``double``); where two lists share a name, both take their whole path.
    """
    lists: list[tuple[str, nn.ModuleList]] = []

    def walk(path: str, module: nn.Module) -> None:
        for name, child in module.named_children():
            child_path = f"{path}.{name}" if path else name
            if isinstance(child, nn.ModuleList) and len(child) and any(True for _ in child.parameters()):
                lists.append((child_path, child))
            else:
                walk(child_path, child)

    walk("", model)
    names = [path.rpartition(".")[2].removesuffix("_blocks") or path for path, _ in lists]
    stacks: dict[str, int] = {}
    blocks: dict[str, Block] = {}
    for (path, children), name in zip(lists, names, strict=True):
        stack = name if names.count(name) == 1 else path.replace(".", "_")
        stacks[stack] = len(children)
        blocks.update({f"{path}.{i}": (stack, i) for i in range(len(children))})
    return stacks, blocks
