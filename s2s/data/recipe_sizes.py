"""Sizes that suit the amount of text: of the vocabulary, the network and the training of a recipe."""

from collections.abc import Sequence
from typing import Any, Literal

from s2s.errors import S2SError
from s2s.recipe.model import SIZES
from s2s.recipe.tokenizer import TokenizerOptions
from s2s.text.lines import Texts
from s2s.text.tokenizer_training import (
    BYTES,
    BYTES_FROM,
    MAX_TEXT_BYTES,
    MIN_SIZE,
    VocabularySizeError,
    train_tokenizer,
)

Family = Literal["rnn", "transformer"]
Size = Literal["tiny", "small", "base", "big"]
Tables = dict[str, dict[str, Any]]

SPECIAL = 5  # tokens besides words and characters: padding, unknown, BOS, EOS and the word-boundary mark
SMALL_CORPUS, SMALL_VOCABULARY = 5_000, 2_000  # pairs and tokens
GROWTH = 0.56  # exponent that leads from there to 14,000 tokens at 160,000 pairs
LARGEST_VOCABULARY = 32_000
TRIALS = 5  # of a vocabulary size
MARGIN = 0.9  # of what SentencePiece accepts in a trial, whose text is not quite that of training


def held_out(pairs: int) -> int:
    """Return the pairs to hold out for each of validation and test: a twentieth or 50, at most a tenth or 1,000."""
    return min(1000, max(1, min(max(50, pairs // 20), pairs // 10)))


def vocab_size(pairs: int, words: int, characters: int) -> int:
    """Return a size for a vocabulary of both sides, given the numbers of different pairs, words and characters.

    The best size grows with the corpus, as every token must be frequent enough to be learned: about 2,000 for 5,000
    pairs and 14,000 for 160,000 (Sennrich and Zhang 2019), 32,000 for millions (Gowda and May 2020). Transformers, too,
    do best with small vocabularies on little data (Ding et al. 2019). There is room for every character, and for at
    most a quarter of the words.
    """
    wanted = min(LARGEST_VOCABULARY, SMALL_VOCABULARY * (pairs / SMALL_CORPUS) ** GROWTH)
    return _rounded(int(min(wanted, characters + SPECIAL + words // 4)), characters)


def accepted_vocab_size(size: int, repeated: int, characters: int, sample: Sequence[Texts]) -> int:
    """Return `size`, or less if SentencePiece refuses it for these pairs: short texts that repeat little.

    A word that is repeated can be a token; a tokenizer is trained only if `size` needs more than half of them.
    """
    lowest = characters + SPECIAL
    if lowest < size <= lowest + repeated // 2:
        return size
    kept = sample[: len(sample) - 2 * held_out(len(sample))]
    texts = [text for pair in kept for text in pair if len(text.encode()) <= MAX_TEXT_BYTES]
    for _ in range(TRIALS):
        try:
            train_tokenizer(texts, TokenizerOptions(vocab_size=size))
        except VocabularySizeError as error:
            size = max(int(MARGIN * error.accepted), min(error.accepted, lowest))
        except S2SError:  # too little text for any tokenizer, or a full disk, which training will tell
            break
        else:
            break
    return size


def _rounded(size: int, characters: int) -> int:
    """Return a size rounded down, with room for every character and, where they are used, for bytes."""
    size -= size % (100 if size >= 1000 else 10)
    lowest = max(characters + SPECIAL, MIN_SIZE)
    return max(size, lowest + BYTES if max(size, lowest) >= BYTES_FROM else lowest)


def network(pairs: int, family: Family, size: Size | None = None) -> Tables:
    """Return model options of a preset size, else of one that suits this many pairs."""
    smallest: dict[str, Any] = {"embedding_size": 64, "transformer": {"layers": 2, "heads": 4}, "rnn": {"layers": 1}}
    chosen = SIZES[size or ("tiny" if pairs < 15_000 else "small")] if size or pairs >= 2_000 else smallest
    width = chosen["embedding_size"]
    tables: Tables = {"model": {"embedding_size": width, "dropout": 0.3 if pairs < 200_000 else 0.1}}
    for side, hidden in (("encoder", width), ("decoder", 2 * width)):
        states = {"hidden_size": hidden} if family == "rnn" else {}
        tables[f"model.{side}"] = {"family": family, **chosen[family], **states}
    if family == "rnn":
        tables["model.decoder"]["context"] = "attention"
    return tables


def training(pairs: int, family: Family, width: int) -> dict[str, Any]:
    """Return training options: 2 to 40 epochs, about 400,000 pairs in total; small batches for small corpora.

    Transformers take larger batches and a longer warm-up; networks wider than 256 a lower learning rate.
    """
    transformer = family == "transformer"
    batch = 512 if pairs < 2_000 else 1024 if pairs < 15_000 else 2048 if pairs < 200_000 else 4096
    return {
        "stop_after": f"{min(40, max(2, round((500_000 if transformer else 400_000) / pairs)))} epochs",
        "batch_tokens": 2 * batch if transformer else batch,
        "lr": 2e-3 * min(1.0, 256 / width),
        "warmup": 400 if transformer and pairs >= 15_000 else 100,
        "label_smoothing": 0.1,
        "validate_every": "1 epoch" if pairs < 200_000 else "2000 updates",
        "patience": 0,
        "seed": 1,
    }


def fine_tuning(pairs: int, lr: float) -> dict[str, Any]:
    """Return training options to start from a model that was trained with `lr`: fewer epochs and a quarter of it."""
    shorter = {"stop_after": f"{min(10, max(1, round(100_000 / pairs)))} epochs", "lr": lr / 4}
    return training(pairs, "rnn", 256) | shorter
