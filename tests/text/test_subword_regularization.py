"""Segmentations drawn at random: by the probabilities of the model, and the same ones in every process."""

import subprocess
import sys
from collections import Counter
from itertools import pairwise
from math import exp
from pathlib import Path

import pytest
from num2words import num2words

from s2s.recipe.tokenizer import TokenizerOptions
from s2s.text import subword_regularization
from s2s.text.subword_regularization import NBEST, SubwordSampler
from s2s.text.tokenizer import Tokenizer
from s2s.text.tokenizer_training import train_tokenizer

TEXTS = [num2words(number, lang="de") for number in range(1, 300)]


@pytest.fixture(scope="module")
def model() -> bytes:
    return train_tokenizer(TEXTS, TokenizerOptions(vocab_size=70))


def segmentations(word: str, scores: dict[str, float]) -> list[list[str]]:
    """All ways to write a word in tokens."""
    if not word:
        return [[]]
    heads = [word[:end] for end in range(1, len(word) + 1) if word[:end] in scores]
    return [[head, *rest] for head in heads for rest in segmentations(word[len(head) :], scores)]


@pytest.mark.parametrize("alpha", [0.1, 0.7])
def test_drawn_by_the_probabilities_of_the_model(model: bytes, alpha: float) -> None:
    from sentencepiece import SentencePieceProcessor

    processor = SentencePieceProcessor(model_proto=model)
    tokens = [processor.id_to_piece(number) for number in range(4, processor.vocab_size())]
    scores = {token: processor.get_score(number) for number, token in enumerate(tokens, 4)}
    found = {text: segmentations(f"▁{text}", scores) for text in TEXTS[:30]}
    word, ways = max(((word, ways) for word, ways in found.items() if len(ways) <= NBEST), key=lambda one: len(one[1]))
    weights = [exp(alpha * sum(scores[token] for token in way)) for way in ways]
    assert len(ways) > 5
    tokenizer, draws = Tokenizer(model), 4000
    rows = tokenizer.unigram_sampler(alpha).sample([word] * draws, seed=3)
    drawn = Counter(tuple(tokenizer.tokens(row)) for row in rows)
    for way, weight in zip(ways, weights, strict=True):
        share = weight / sum(weights)
        assert drawn[tuple(way)] / draws == pytest.approx(share, abs=4 * (share * (1 - share) / draws) ** 0.5)
    assert sum(drawn.values()) == sum(drawn[tuple(way)] for way in ways)


@pytest.fixture(scope="module", params=[("off", 80), ("on", 340)], ids=["unknown", "bytes"])
def bpe(request: pytest.FixtureRequest) -> Tokenizer:
    fallback, size = request.param
    options = TokenizerOptions(algorithm="bpe", vocab_size=size, byte_fallback=fallback)
    return Tokenizer(train_tokenizer(TEXTS, options))


def all_samplers(model: bytes) -> list[tuple[Tokenizer, SubwordSampler]]:
    unigram = Tokenizer(model)
    merged = Tokenizer(train_tokenizer(TEXTS, TokenizerOptions(algorithm="bpe", vocab_size=80)))
    return [(unigram, unigram.unigram_sampler(0.1)), (merged, merged.bpe_sampler(0.3))]


def test_the_text_stays(model: bytes) -> None:
    long = "".join(TEXTS[40:60])
    texts = [*TEXTS, "", "  zwei  drei ", "日本 ein", "a▁b", long, f"{long}日本{long}日"]
    for tokenizer, sampler in all_samplers(model):
        rows = sampler.sample(texts, seed=1)
        assert tokenizer.decode(rows) == tokenizer.decode(tokenizer.encode(texts))
        assert rows != tokenizer.encode(texts)


def test_a_long_word_is_sampled_from_all_its_segmentations(model: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    from sentencepiece import SentencePieceProcessor

    monkeypatch.setattr(subword_regularization, "LONG_WORD", 1)
    processor = SentencePieceProcessor(model_proto=model)
    scores = {processor.id_to_piece(number): processor.get_score(number) for number in range(4, processor.vocab_size())}
    tokenizer, alpha, draws = Tokenizer(model), 0.05, 4000
    word, ways = next(
        (text, ways) for text in TEXTS if NBEST < len(ways := segmentations(f"▁{text}", scores)) < 10 * NBEST
    )
    weights = [exp(alpha * sum(scores[token] for token in way)) for way in ways]
    expected_length = sum(len(way) * weight for way, weight in zip(ways, weights, strict=True)) / sum(weights)
    rows = tokenizer.unigram_sampler(alpha).sample([word] * draws, seed=3)
    assert sum(map(len, rows)) / draws == pytest.approx(expected_length, abs=0.1)
    drawn = Counter(tuple(tokenizer.tokens(row)) for row in rows)
    assert len(drawn) > NBEST
    for way, weight in zip(ways, weights, strict=True):
        share = weight / sum(weights)
        assert drawn[tuple(way)] / draws == pytest.approx(share, abs=5 * (share * (1 - share) / draws) ** 0.5 + 1e-9)


def test_without_dropout_bpe_is_sentencepieces(bpe: Tokenizer) -> None:
    texts = [*TEXTS, "zwei drei", "日本 ein", "ein日本ein", "Žižek"]
    assert bpe.bpe_sampler(0.0).sample(texts, seed=1) == bpe.encode(texts)


def dropped_out(symbols: tuple[str, ...], ranks: dict[str, float], p: float) -> Counter[tuple[str, ...]]:
    """The probability of each segmentation: the best merge that is not left out is made, until all are left out."""
    pairs = [one + other for one, other in pairwise(symbols)]
    possible = sorted(
        (index for index, pair in enumerate(pairs) if pair in ranks), key=lambda index: ranks[pairs[index]]
    )
    found = Counter({symbols: p ** len(possible)})
    for skipped, index in enumerate(possible):
        merged = (*symbols[:index], pairs[index], *symbols[index + 2 :])
        for way, share in dropped_out(merged, ranks, p).items():
            found[way] += p**skipped * (1 - p) * share
    return found


def test_bpe_dropout_leaves_out_merges() -> None:
    from sentencepiece import SentencePieceProcessor

    model = train_tokenizer(TEXTS, TokenizerOptions(algorithm="bpe", vocab_size=80))
    processor = SentencePieceProcessor(model_proto=model)
    ranks = {processor.id_to_piece(number): -processor.get_score(number) for number in range(4, 80)}
    tokenizer, draws, p = Tokenizer(model), 4000, 0.3
    expected = dropped_out(tuple("▁drei"), ranks, p)
    assert len(expected) > 3
    assert sum(expected.values()) == pytest.approx(1)
    rows = tokenizer.bpe_sampler(p).sample(["drei"] * draws, seed=2)
    drawn = Counter(tuple(tokenizer.tokens(row)) for row in rows)
    assert set(drawn) <= set(expected)
    for way, share in expected.items():
        assert drawn[way] / draws == pytest.approx(share, abs=4 * (share * (1 - share) / draws) ** 0.5 + 1e-9)


def test_a_seed_draws_the_same_in_every_process(model: bytes, tmp_path: Path) -> None:
    (tmp_path / "model").write_bytes(model)
    program = (
        "import sys; from pathlib import Path; from s2s.text.tokenizer import Tokenizer; "
        "print(Tokenizer(Path(sys.argv[1]).read_bytes()).unigram_sampler(0.1).sample(eval(sys.argv[2]), seed=5))"
    )
    run = [sys.executable, "-c", program, str(tmp_path / "model"), repr(TEXTS)]
    one, other = (subprocess.run(run, capture_output=True, text=True, check=True).stdout for _ in range(2))
    sampler = Tokenizer(model).unigram_sampler(0.1)
    assert one == other == f"{sampler.sample(TEXTS, seed=5)}\n"
    assert sampler.sample(TEXTS, seed=6) != sampler.sample(TEXTS, seed=5)
