"""A sentence model small enough to be made for a test: a vocabulary, and a vector of halves for each word."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

WORDS = ["[UNK]", "buy", "cheap", "pills", "now", "good", "morning", "dear", "friend"]
STATIC = "sentence_transformers.sentence_transformer.modules.static_embedding.StaticEmbedding"
N_DIMENSIONS = 8


def make_model(folder: Path, seed: int = 0) -> NDArray[np.float32]:
    """Write the folder of a model whose vectors are the means of its words'; returns those, in the order of WORDS."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace

    folder.mkdir(parents=True)
    vectors = np.random.default_rng(seed).normal(size=(len(WORDS), N_DIMENSIONS)).astype(np.float16)
    tokenizer = Tokenizer(WordLevel({word: number for number, word in enumerate(WORDS)}, unk_token=WORDS[0]))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.save(str(folder / "tokenizer.json"))
    save_file({"embedding.weight": vectors}, folder / "model.safetensors")
    write_modules(folder, STATIC)
    return vectors.astype(np.float32)


def write_modules(folder: Path, kind: str, path: str = "") -> None:
    """Say in `modules.json` that the model is one part."""
    (folder / "modules.json").write_text(json.dumps([{"idx": 0, "name": "0", "path": path, "type": kind}]))
