"""Makes the tiny dataset and the offline tokenizers, in the layouts sd-scripts reads. Runs in the trainer's venv."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import CLIPTokenizer, T5TokenizerFast
from transformers.models.clip.tokenization_clip import bytes_to_unicode

CAPTIONS = ("a red cat on a mat", "a blue dog, best quality", "green bird in the sky", "a photo of a hat")
SIZE = 64
CLIP_TOKENIZERS = {"openai_clip-vit-large-patch14": "<|endoftext|>", "laion_CLIP-ViT-bigG-14-laion2B-39B-b160k": "!"}
T5_TOKENIZER = "google_t5-v1_1-xxl"


def make_dataset(folder: Path) -> None:
    random = np.random.default_rng(0)
    images = folder / "images"
    images.mkdir(parents=True)
    for number, caption in enumerate(CAPTIONS):
        Image.fromarray(random.integers(0, 255, (SIZE, SIZE, 3), dtype=np.uint8)).save(images / f"{number}.png")
        (images / f"{number}.txt").write_text(caption, encoding="utf-8")


def make_tokenizers(folder: Path) -> None:
    """``folder`` is a ``--tokenizer_cache_dir``: one subfolder per model id, with "/" written as "_"."""
    for name, pad in CLIP_TOKENIZERS.items():
        _make_clip_tokenizer(folder / name, pad)
    _make_t5_tokenizer(folder / T5_TOKENIZER)


def _make_clip_tokenizer(folder: Path, pad: str) -> None:
    """CLIP's own layout of ids (bytes, bytes that end a word, merges, the two specials), with two merges only."""
    folder.mkdir(parents=True)
    letters = list(bytes_to_unicode().values())
    merges = [("a", "t</w>"), ("r", "e")]
    vocabulary = [*letters, *(f"{letter}</w>" for letter in letters), *map("".join, merges)]
    # the end must have the highest id: the pooled output is taken at the maximum
    vocabulary += ["<|startoftext|>", "<|endoftext|>"]
    words, pairs = folder / "vocab.json", folder / "merges.txt"
    words.write_text(json.dumps({word: number for number, word in enumerate(vocabulary)}), encoding="utf-8")
    pairs.write_text("\n".join(["#version: 0.2", *map(" ".join, merges)]) + "\n", encoding="utf-8")
    CLIPTokenizer(str(words), str(pairs), model_max_length=77, pad_token=pad).save_pretrained(folder)


def _make_t5_tokenizer(folder: Path) -> None:
    """A fast unigram tokenizer over ASCII: no sentencepiece model has to be trained."""
    folder.mkdir(parents=True)
    space = "\N{LOWER ONE EIGHTH BLOCK}"  # sentencepiece's sign for a space
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", -10.0), (space, -2.0)]
    pieces += [(chr(code), -3.0) for code in range(33, 127)]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=2))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement=space, prepend_scheme="always")
    tokenizer.decoder = decoders.Metaspace(replacement=space, prepend_scheme="always")
    tokenizer.post_processor = processors.TemplateProcessing(
        single=["$A", "</s>"], pair=["$A", "</s>", "$B", "</s>"], special_tokens=[("</s>", 1)]
    )
    file = folder / "tokenizer.json"
    tokenizer.save(str(file))
    T5TokenizerFast(tokenizer_file=str(file), extra_ids=0, model_max_length=512).save_pretrained(folder)
