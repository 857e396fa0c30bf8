"""Segmentations drawn at random: by the probabilities of the model, and the same ones in every process."""

import subprocess
import sys
from collections import Counter
from math import exp
from pathlib import Path

import pytest
from num2words import num2words

from s2s.recipe.tokenizer import TokenizerOptions
from s2s.text.subword_regularization import NBEST
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
    rows = tokenizer.sampler(alpha).sample([word] * draws, seed=3)
    drawn = Counter(tuple(tokenizer.tokens(row)) for row in rows)
    for way, weight in zip(ways, weights, strict=True):
        share = weight / sum(weights)
        assert drawn[tuple(way)] / draws == pytest.approx(share, abs=4 * (share * (1 - share) / draws) ** 0.5)
    assert sum(drawn.values()) == sum(drawn[tuple(way)] for way in ways)


def test_the_text_stays(model: bytes) -> None:
    tokenizer = Tokenizer(model)
    texts = [*TEXTS, "", "  zwei  drei ", "日本 ein", "a▁b"]
    rows = tokenizer.sampler(0.1).sample(texts, seed=1)
    assert tokenizer.decode(rows) == tokenizer.decode(tokenizer.encode(texts))
    assert rows != tokenizer.encode(texts)


def test_a_seed_draws_the_same_in_every_process(model: bytes, tmp_path: Path) -> None:
    (tmp_path / "model").write_bytes(model)
    program = (
        "import sys; from pathlib import Path; from s2s.text.tokenizer import Tokenizer; "
        "print(Tokenizer(Path(sys.argv[1]).read_bytes()).sampler(0.1).sample(eval(sys.argv[2]), seed=5))"
    )
    run = [sys.executable, "-c", program, str(tmp_path / "model"), repr(TEXTS)]
    one, other = (subprocess.run(run, capture_output=True, text=True, check=True).stdout for _ in range(2))
    sampler = Tokenizer(model).sampler(0.1)
    assert one == other == f"{sampler.sample(TEXTS, seed=5)}\n"
    assert sampler.sample(TEXTS, seed=6) != sampler.sample(TEXTS, seed=5)
