"""Makes the tiny dataset and the offline tokenizers, in the layouts sd-scripts reads. Runs in the trainer's venv."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import ByT5Tokenizer, CLIPTokenizer, PreTrainedTokenizerFast, Qwen2Tokenizer, T5TokenizerFast
from transformers.models.clip.tokenization_clip import bytes_to_unicode

CAPTIONS = ("a red cat on a mat", "a blue dog, best quality", "green bird in the sky", "a photo of a hat")
SIZE = 64
CLIP_TOKENIZERS = {"openai_clip-vit-large-patch14": "<|endoftext|>", "laion_CLIP-ViT-bigG-14-laion2B-39B-b160k": "!"}
T5_TOKENIZER = "google_t5-v1_1-xxl"
QWEN_TOKENIZER = "Qwen_Qwen2.5-VL-7B-Instruct"
BYT5_TOKENIZER = "google_byt5-small"
GEMMA_TOKENIZER = "models--google--gemma-2-2b"


def make_dataset(folder: Path) -> None:
    random = np.random.default_rng(0)
    images = folder / "images"
    images.mkdir(parents=True)
    for number, caption in enumerate(CAPTIONS):
        Image.fromarray(random.integers(0, 255, (SIZE, SIZE, 3), dtype=np.uint8)).save(images / f"{number}.png")
        (images / f"{number}.txt").write_text(caption, encoding="utf-8")


def make_tokenizers(folder: Path) -> None:
    """``folder`` is a ``--tokenizer_cache_dir``: one subfolder per model id, with "/" written as "_".

    (Lumina's script takes it for a cache of the Hugging Face Hub, which has another layout.)
    """
    for name, pad in CLIP_TOKENIZERS.items():
        _make_clip_tokenizer(folder / name, pad)
    _make_t5_tokenizer(folder / T5_TOKENIZER)
    make_qwen_tokenizer(folder / QWEN_TOKENIZER)
    ByT5Tokenizer().save_pretrained(folder / BYT5_TOKENIZER)
    _make_gemma_tokenizer(folder / GEMMA_TOKENIZER)


def make_qwen_tokenizer(folder: Path) -> None:
    """Qwen's byte-level vocabulary, with one merge only."""
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = [*bytes_to_unicode().values(), "at"]
    words, pairs = folder / "vocab.json", folder / "merges.txt"
    words.write_text(json.dumps({word: number for number, word in enumerate(vocabulary)}), encoding="utf-8")
    pairs.write_text("#version: 0.2\na t\n", encoding="utf-8")
    specials = ["<|im_start|>", "<|im_end|>"]
    Qwen2Tokenizer(str(words), str(pairs), additional_special_tokens=specials).save_pretrained(folder)


def _make_gemma_tokenizer(folder: Path) -> None:
    commit = "0" * 40
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text(commit, encoding="utf-8")
    tokenizer = _unigram([("<pad>", 0.0), ("<eos>", 0.0), ("<bos>", 0.0), ("<unk>", -10.0)], unknown=3)
    tokenizer.post_processor = processors.TemplateProcessing(single=["<bos>", "$A"], special_tokens=[("<bos>", 2)])
    names = {f"{name}_token": f"<{name}>" for name in ("pad", "eos", "bos", "unk")}
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names)
    fast.save_pretrained(folder / "snapshots" / commit)


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
    folder.mkdir(parents=True)
    tokenizer = _unigram([("<pad>", 0.0), ("</s>", 0.0), ("<unk>", -10.0)], unknown=2)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=["$A", "</s>"], pair=["$A", "</s>", "$B", "</s>"], special_tokens=[("</s>", 1)]
    )
    file = folder / "tokenizer.json"
    tokenizer.save(str(file))
    T5TokenizerFast(tokenizer_file=str(file), extra_ids=0, model_max_length=512).save_pretrained(folder)


def _unigram(specials: list[tuple[str, float]], unknown: int) -> Tokenizer:
    """A fast unigram tokenizer over ASCII: no sentencepiece model has to be trained."""
    space = "\N{LOWER ONE EIGHTH BLOCK}"  # sentencepiece's sign for a space
    pieces = [*specials, (space, -2.0), *((chr(code), -3.0) for code in range(33, 127))]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=unknown))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement=space, prepend_scheme="always")
    tokenizer.decoder = decoders.Metaspace(replacement=space, prepend_scheme="always")
    return tokenizer
