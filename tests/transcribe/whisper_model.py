"""A Whisper model that knows nothing: the real format, every part of it tiny, its weights drawn from a seed.

Its words are rubbish, but they go through all of faster-whisper and CTranslate2: the features, the encoder, language
detection, beam search, word times.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

N_MELS, WIDTH, HEADS, LAYERS = 80, 16, 2, 1
CONTEXT, TEXT_CONTEXT = 1500, 448
WORDS, LANGUAGES, TIMES = 40, 99, 1501
# What makes it speak in short sentences, as sure of itself as Whisper must be lest it is asked again.
SURENESS, END_BIAS, TIME_BIAS = 1.5, 3.0, -11.0


def vocabulary() -> list[str]:
    from faster_whisper.tokenizer import _LANGUAGE_CODES
    from tokenizers.pre_tokenizers import ByteLevel

    letters = sorted(ByteLevel.alphabet())
    words = [f"Ġw{n}" for n in range(WORDS)]
    languages = [f"<|{code}|>" for code in _LANGUAGE_CODES[:LANGUAGES]]
    special = ["<|endoftext|>", "<|startoftranscript|>", *languages, "<|translate|>", "<|transcribe|>",
               "<|startoflm|>", "<|startofprev|>", "<|nospeech|>", "<|notimestamps|>"]  # fmt: skip
    times = [f"<|{n * 0.02:.2f}|>" for n in range(TIMES)]
    # CTranslate2 takes a vocabulary with the empty token for the multilingual one.
    return [*letters, *words, "", *special, *times]


def make_model(folder: Path, seed: int = 1, time_bias: float = TIME_BIAS) -> Path:
    """Write a model and return its folder; at a bias of -1e4 it says times only when it must."""
    from ctranslate2.specs import WhisperSpec
    from ctranslate2.specs.whisper_spec import WhisperConfig
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    random = np.random.default_rng(seed)
    tokens = vocabulary()

    at = {token: n for n, token in enumerate(tokens)}
    ordinary = at["<|endoftext|>"]
    bias = np.full(len(tokens), -1e4, np.float32)
    bias[at["Ġw0"] : at[""]] = 0
    bias[ordinary] = END_BIAS
    bias[ordinary + 2 : ordinary + 2 + LANGUAGES] = -50  # low in the text, equal among themselves
    bias[-TIMES:] = time_bias

    def matrix(*shape: int, scale: float = 0.3) -> np.ndarray:
        return random.normal(0, scale, shape).astype(np.float32)

    def linear(spec, out: int, into: int) -> None:
        spec.weight, spec.bias = matrix(out, into), matrix(out)

    def norm(spec) -> None:
        spec.gamma, spec.beta = np.ones(WIDTH, np.float32), np.zeros(WIDTH, np.float32)

    def attention(spec, *, across: bool) -> None:
        norm(spec.layer_norm)
        sizes = (1, 2, 1) if across else (3, 1)
        for part, size in zip(spec.linear, sizes, strict=True):
            linear(part, size * WIDTH, WIDTH)

    def forward(spec) -> None:
        norm(spec.layer_norm)
        linear(spec.linear_0, 4 * WIDTH, WIDTH)
        linear(spec.linear_1, WIDTH, 4 * WIDTH)

    spec = WhisperSpec(LAYERS, HEADS, LAYERS, HEADS)
    spec.encoder.conv1.weight, spec.encoder.conv1.bias = matrix(WIDTH, N_MELS, 3), matrix(WIDTH)
    spec.encoder.conv2.weight, spec.encoder.conv2.bias = matrix(WIDTH, WIDTH, 3), matrix(WIDTH)
    spec.encoder.position_encodings.encodings = matrix(CONTEXT, WIDTH)
    norm(spec.encoder.layer_norm)
    for layer in spec.encoder.layer:
        attention(layer.self_attention, across=False)
        forward(layer.ffn)
    spec.decoder.embeddings.weight = matrix(len(tokens), WIDTH, scale=1.0)
    spec.decoder.projection.weight = matrix(len(tokens), WIDTH, scale=SURENESS)  # not tied: it would repeat itself
    spec.decoder.projection.bias = bias
    spec.decoder.position_encodings.encodings = matrix(TEXT_CONTEXT, WIDTH, scale=1.0)
    norm(spec.decoder.layer_norm)
    for layer in spec.decoder.layer:
        attention(layer.self_attention, across=False)
        attention(layer.attention, across=True)
        forward(layer.ffn)
    spec._config = WhisperConfig(
        suppress_ids=[], suppress_ids_begin=[at["<|endoftext|>"]],
        lang_ids=list(range(ordinary + 2, ordinary + 2 + LANGUAGES)),
        alignment_heads=[[0, 0]],
    )  # fmt: skip
    spec.register_vocabulary(tokens)
    spec.validate()
    folder.mkdir(parents=True)
    spec.optimize(quantization=None)
    spec.save(str(folder))

    tokenizer = Tokenizer(models.BPE(vocab={t: n for n, t in enumerate(tokens[:ordinary])}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(t, special=True) for t in tokens[ordinary:]])
    assert tokenizer.token_to_id("<|notimestamps|>") == at["<|notimestamps|>"]
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "preprocessor_config.json").write_text(json.dumps({"feature_size": N_MELS}))
    return folder
