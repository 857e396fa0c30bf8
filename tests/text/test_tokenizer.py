import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s2s.data.generators.numbers import english_number, german_number
from s2s.errors import ArtefactError, DataError, ResourceError, S2SError, UsageError
from s2s.recipe.tokenizer import TokenizerOptions
from s2s.text import tokenizer_training as module
from s2s.text.lines import normalize
from s2s.text.tokenizer import BOS, EOS, PAD, UNK, Tokenizer
from s2s.text.tokenizer_training import sample_texts, train_tokenizer

TEXTS = [words(number) for number in range(1, 20_000, 137) for words in (german_number, english_number)]
ALPHABET = {*"".join(TEXTS), "▁"} - {" "}
SPECIAL = {PAD, UNK, BOS, EOS}
WORDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters=" ▁"), min_size=1)
SENTENCES = st.lists(WORDS).map(lambda words: normalize(" ".join(words), "nfc"))


def options(vocabulary: int, **values: Any) -> TokenizerOptions:
    return TokenizerOptions(vocab_size=vocabulary, **values)


@pytest.fixture(scope="module")
def plain() -> Tokenizer:
    """A tokenizer without byte fallback."""
    return Tokenizer(train_tokenizer(TEXTS, options(120)))


@pytest.fixture(scope="module")
def spelling() -> Tokenizer:
    """A tokenizer that spells unknown characters in bytes."""
    return Tokenizer(train_tokenizer(TEXTS, options(380, byte_fallback="on")))


def test_size_and_digest(plain: Tokenizer, spelling: Tokenizer):
    assert (plain.size, spelling.size) == (120, 380)
    assert plain.digest == Tokenizer(plain.model).digest != spelling.digest


def test_decoding_gives_back_the_texts_of_training(plain: Tokenizer):
    encoded = plain.encode(TEXTS)
    assert plain.decode(encoded) == TEXTS
    assert sum(map(len, encoded)) < sum(map(len, TEXTS)) / 2


@given(SENTENCES)
def test_decoding_gives_back_any_normalised_text_of_single_spaces(spelling: Tokenizer, text: str):
    ids = spelling.encode([text])
    assert spelling.decode(ids) == [text]
    assert not SPECIAL & set(ids[0])


@pytest.mark.parametrize(
    ("text", "back"),
    [
        ("  ein  zwei   drei ", "ein zwei drei"),
        (" ", ""),
        ("", ""),
        ("ein▁zwei▁", "ein zwei"),
        ("ein\t zwei\u00a0\u3000drei\u2028", "ein\t zwei\u00a0\u3000drei\u2028"),
    ],
)
def test_what_decoding_gives_back_of_white_space(spelling: Tokenizer, text: str, back: str):
    assert spelling.decode(spelling.encode([text])) == [back]


@pytest.mark.parametrize("text", ["<s>", "</s>", "<pad>", "<unk>", "ein </s> zwei", "<s>ein</s><pad>", "<0x41>"])
def test_text_that_spells_special_tokens_stays_text(plain: Tokenizer, spelling: Tokenizer, text: str):
    assert spelling.decode(spelling.encode([text])) == [text]
    assert not {PAD, BOS, EOS} & set(plain.encode([text])[0])


def test_unknown_characters_show_where_there_are_no_bytes_for_them(plain: Tokenizer):
    ids = plain.encode(["ein ☃ zwei"])
    assert ids[0].count(UNK) == 1
    assert plain.decode(ids) == ["ein ⁇ zwei"]


def test_special_tokens_are_not_decoded(plain: Tokenizer):
    ids = plain.encode(["ein", "zwei"])
    assert plain.decode([[BOS, *ids[0], EOS, PAD, PAD], [], ids[1], [EOS]]) == ["ein", "", "zwei", ""]
    assert plain.decode([]) == plain.encode([]) == []


def test_tokens_are_those_of_the_text(plain: Tokenizer):
    ids = plain.encode(["ein zwei"])[0]
    assert "".join(plain.tokens(ids)) == "▁ein▁zwei"
    assert plain.tokens([PAD, UNK, BOS, EOS]) == ["<pad>", "<unk>", "<s>", "</s>"]


def test_many_texts_are_encoded_like_each_alone(plain: Tokenizer):
    assert plain.encode(TEXTS * 99) == [plain.encode([text])[0] for text in TEXTS] * 99


@pytest.mark.parametrize("algorithm", ["unigram", "bpe", "char"])
def test_the_same_texts_give_the_same_file(algorithm: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    size = {"unigram": 40, "bpe": 50, "char": len(SPECIAL) + len(ALPHABET)}[algorithm]
    first = train_tokenizer(TEXTS, options(size, algorithm=algorithm))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert train_tokenizer(iter(TEXTS), options(size, algorithm=algorithm)) == first
    assert train_tokenizer([*TEXTS, *["one"] * 500], options(size, algorithm=algorithm)) != first


def test_training_says_nothing_and_leaves_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    train_tokenizer(TEXTS, options(40))
    with pytest.raises(UsageError):
        train_tokenizer(TEXTS, options(400))
    assert capfd.readouterr() == ("", "")
    assert list(tmp_path.iterdir()) == []


def test_no_text_is_left_out_for_its_length_or_its_characters():
    long, marked = "ein " * 2000 + "Ü", "zwei ▅ Ä"
    trained = Tokenizer(train_tokenizer([*TEXTS, long, marked], options(50)))
    assert UNK not in trained.encode(["Ü Ä"])[0]


def children(process: int) -> list[int]:
    """The processes that a process started and has not seen end; none where there is no /proc to tell."""
    path = Path(f"/proc/{process}/task/{process}/children")
    return [int(child) for child in path.read_text().split()] if path.exists() else []


def suggested(texts: list[str], wrong: TokenizerOptions, message: str) -> TokenizerOptions:
    """The options with the vocabulary that the error says would do."""
    with pytest.raises(UsageError, match=message) as caught:
        train_tokenizer(texts, wrong)
    size = str(caught.value.hint).removeprefix("--set tokenizer.vocab_size=")
    assert size in caught.value.message
    return wrong.model_copy(update={"vocab_size": int(size)})


@pytest.mark.parametrize(
    ("algorithm", "byte_fallback"), [("unigram", "auto"), ("unigram", "on"), ("bpe", "auto"), ("char", "auto")]
)
def test_a_vocabulary_larger_than_the_text_gives_names_the_largest(algorithm: str, byte_fallback: str):
    # with "auto" the size that does has no room for bytes, though the one asked for has
    wrong = options(8000, algorithm=algorithm, byte_fallback=byte_fallback)
    right = suggested(TEXTS, wrong, "tokenizer.vocab_size is 8000, but")
    assert Tokenizer(train_tokenizer(TEXTS, right)).size == right.vocab_size
    suggested(TEXTS, right.model_copy(update={"vocab_size": right.vocab_size + 1}), f"{right.vocab_size}")


@pytest.mark.parametrize("algorithm", ["unigram", "bpe", "char"])
def test_a_vocabulary_smaller_than_the_alphabet_names_the_smallest(algorithm: str):
    right = suggested(TEXTS, options(9, algorithm=algorithm), "tokenizer.vocab_size is 9, but")
    assert Tokenizer(train_tokenizer(TEXTS, right)).size == right.vocab_size
    suggested(TEXTS, right.model_copy(update={"vocab_size": right.vocab_size - 1}), f"{right.vocab_size}")


def test_the_smallest_vocabulary_of_a_large_alphabet_has_room_for_bytes():
    texts = [chr(code) + chr(code + 1) for code in range(0x4E00, 0x4E00 + 2050)]
    right = suggested(texts, options(1000), "at least")
    assert Tokenizer(train_tokenizer(texts, right)).size == 4 + 256 + 2051 + 1  # the last is ▁


@pytest.mark.parametrize("texts", [[], ["", "  "]])
def test_no_text_is_bad_data(texts: list[str]):
    with pytest.raises(DataError, match="no text"):
        train_tokenizer(texts, options(40))


def test_an_error_in_the_texts_comes_through():
    def texts() -> Iterator[str]:
        yield from TEXTS
        raise DataError("a.de:3: invalid UTF-8")

    before = children(os.getpid())
    with pytest.raises(DataError, match=r"a\.de:3"):
        train_tokenizer(texts(), options(40))
    assert children(os.getpid()) == before


def test_a_child_that_is_killed_or_fails_is_reported(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "CHILD", "import os; os.kill(os.getpid(), 9)")
    with pytest.raises(ResourceError, match="Killed"):
        train_tokenizer(TEXTS * 999, options(40))
    monkeypatch.setattr(module, "CHILD", "raise SystemExit('no such library')")
    with pytest.raises(S2SError, match="no such library"):
        train_tokenizer(TEXTS, options(40))


@pytest.mark.parametrize("content", [b"", b"something else", b"\xff" * 99])
def test_what_is_no_model_is_refused(content: bytes):
    with pytest.raises(ArtefactError, match="not a SentencePiece model"):
        Tokenizer(content)


def test_a_damaged_model_is_refused(plain: Tokenizer):
    with pytest.raises(ArtefactError):
        Tokenizer(plain.model[:-7])


def test_a_model_that_numbers_special_tokens_otherwise_is_refused():
    from sentencepiece import SentencePieceTrainer

    model = io.BytesIO()
    SentencePieceTrainer.train(sentence_iterator=iter(TEXTS), model_writer=model, vocab_size=40, minloglevel=2)
    with pytest.raises(ArtefactError, match="ids of padding"):
        Tokenizer(model.getvalue())


def test_of_too_many_texts_some_are_drawn_from_all_of_them():
    texts = [str(number) for number in range(1000)]
    assert sample_texts(iter(texts), 1000) == (texts, 1000)
    some, seen = sample_texts(iter(texts), 100)
    assert (some, seen) == sample_texts(texts, 100) == (some, 1000)
    assert len(set(some) & set(texts)) == 100
    for start in range(0, 1000, 250):
        assert 10 < len(set(some) & set(texts[start : start + 250])) < 40


TRAINING = """
import sys
from s2s.recipe.tokenizer import TokenizerOptions
from s2s.text.tokenizer_training import sample_texts, train_tokenizer

def texts():
    number = 0
    while number < 150_000 or sys.argv[1] == "feeding":
        number += 1
        yield f"{number * 2654435761 % 2**32:x} {number * 40503 % 65536:o}"
        if number == 20_000:
            print("feeding", flush=True)
    print("training", flush=True)

train_tokenizer(texts(), TokenizerOptions(vocab_size=1000))
"""


def gone(process: int) -> bool:
    """Whether a process has ended, within a while; a zombie that nobody asked after has."""
    for _ in range(200):
        try:
            if Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.05)
    return False


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks for processes in /proc")
@pytest.mark.parametrize(
    ("phase", "number"), [("feeding", signal.SIGINT), ("training", signal.SIGINT), ("training", signal.SIGKILL)]
)
def test_training_ends_with_the_process_that_wants_it(phase: str, number: signal.Signals):
    with subprocess.Popen([sys.executable, "-c", TRAINING, phase], stdout=-1, stderr=-1) as parent:
        assert parent.stdout
        while parent.stdout.readline() != f"{phase}\n".encode():
            assert parent.poll() is None
        (child,) = children(parent.pid)
        os.kill(parent.pid, number)
        assert parent.wait(30) == -number
    assert gone(child)
