"""The vocabulary every room shares."""

COMPONENTS = ("self_attn", "cross_attn", "ffn", "norm", "mod", "fused", "embed", "other")
"""What a module of a block is. ``mod`` is modulation (adaLN, time projection); ``fused`` is one Linear that holds
attention and feed-forward at once; ``embed`` is an embedder; ``other`` is everything no rule names."""

Shape = tuple[int, ...]
"""Of a tensor."""

MAIN_PART = "unet"
"""The part that holds the U-Net or DiT; the others are te1, te2, te3."""
