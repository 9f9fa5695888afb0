"""The printed grid, to the letter."""

from small_models import Flux, TextEncoder, make_network, start

from lr_grid.report.text import render


def printed(text_encoder=None, model=None, args=None, **grid) -> str:
    model = model or Flux()
    network = make_network(model, text_encoder, **grid)
    groups, _ = start(network, model, text_encoder, **(args or {}))
    return render(network.grid_plan, len(groups), sum(len(g["params"]) for g in groups))


def test_blocks_down_components_across_stack_by_stack():
    text = printed(
        [TextEncoder()],
        args={"text_encoder_lr": 5e-6},
        depth_strategy="linear",
        min_depth_factor="0.5",
        self_attn_lr="2x",
        ffn_lr="0.5x",
        block_lr_weight="single_1-2:0",
        loraplus_unet_lr_ratio="16",
    )
    assert text == (
        "[lr_grid] model=flux strategy=linear min_depth_factor=0.5 base_lr=0.0001"
        " groups=15 params=88 modules=44 frozen_modules=6\n"
        "[lr_grid] LoRA+ is on: LRs are down side/up side\n"
        "double  self_attn             cross_attn            ffn                   mod\n"
        "0       2.00e-04/3.20e-03 x2  1.00e-04/1.60e-03 x4  5.00e-05/8.00e-04 x2  1.00e-04/1.60e-03 x2\n"
        "1       1.50e-04/2.40e-03 x2  7.50e-05/1.20e-03 x4  3.75e-05/6.00e-04 x2  7.50e-05/1.20e-03 x2\n"
        "2       1.00e-04/1.60e-03 x2  5.00e-05/8.00e-04 x4  2.50e-05/4.00e-04 x2  5.00e-05/8.00e-04 x2\n"
        "single  mod                   fused\n"
        "0       1.00e-04/1.60e-03 x1  1.00e-04/1.60e-03 x2\n"
        "1-2     frozen x1             frozen x2\n"
        "3       5.00e-05/8.00e-04 x1  5.00e-05/8.00e-04 x2\n"
        "te1 (text encoder)  5.00e-06 x8\n"
        "[lr_grid] rank/alpha (alpha/rank): 2/1 (0.5)\n"
        "[lr_grid] 1,408 parameters train; LoRA file 17.9 kB in fp16 or bf16, 20.8 kB in fp32; optimizer state:"
        " AdamW 11.3 kB, AdamW8bit 11.3 kB, Lion 5.63 kB, Adafactor 3.52 kB\n"
        "[lr_grid] note: fused: geometric mean of self_attn 0.0002 and ffn 5e-05"
    )


def test_a_cell_of_several_lrs_shows_their_range_and_what_is_frozen():
    text = printed(module_lr=r"double_blocks\.0\.img_attn\.qkv:1e-5,double_blocks\.1\.img_attn\.qkv:0")
    assert "1.00e-05..1.00e-04 x2" in text
    assert "1.00e-04 x1 (frozen x1)" in text
    assert "note: module_lr sets 2 modules; component, depth and block settings do not reach them" in text


def test_equal_rows_are_one_line():
    assert "\n0-18    1.00e-04 x2  1.00e-04 x4" in printed(model=Flux(19, 38), depth_strategy="flat")
