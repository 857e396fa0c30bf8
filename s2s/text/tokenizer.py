"""The tokenizer: raw text to tokens and back, by SentencePiece.

It is trained without a normaliser of its own (`lines.normalize` is the one), so that decoding what was encoded gives
the text back, with these exceptions: spaces at both ends are dropped and several spaces become one (U+0020; other white
space stays), `▁` (U+2581, by which SentencePiece writes a space) becomes a space, and, where there is no byte fallback,
a run of characters without a token becomes `⁇`. Text never gives the special tokens, though it spell them: `</s>`.
"""

import contextlib
import ctypes
import io
import json
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from random import Random
from typing import IO, TYPE_CHECKING, Any

from s2s.errors import ArtefactError, DataError, ResourceError, S2SError, UsageError
from s2s.io.digests import digest_bytes

if TYPE_CHECKING:  # the child starts sooner without it
    from s2s.recipe.tokenizer import TokenizerOptions
    from s2s.text.subword_regularization import SubwordSampler

PAD, UNK, BOS, EOS = 0, 1, 2, 3
MOST_TEXTS = (
    1_000_000  # texts a tokenizer is trained from; drawn from all where there are more, so that memory stays flat
)
BYTES = 256  # tokens of the byte fallback
BYTES_FROM = 2000  # vocabulary from which `byte_fallback = "auto"` has room for them
REFUSED = 3  # exit code of the child where SentencePiece refuses; standard output then holds its message
RESERVED = "\u2585"  # SentencePiece silently leaves out texts that hold its mark of the unknown
CHILD = """
import json, sys
sys.path[:], options = json.loads(sys.argv[1])
from s2s.text.tokenizer import train_in_child
train_in_child(options)
"""


class Tokenizer:
    """A trained SentencePiece model. Raises ArtefactError where `model` is none, or numbers its special tokens
    otherwise.

    model: its bytes; digest: their sha256; size: V, the special tokens included.
    """

    def __init__(self, model: bytes) -> None:
        from sentencepiece import SentencePieceProcessor

        self._processor: Any = SentencePieceProcessor()
        try:
            self._processor.LoadFromSerializedProto(model)
        except RuntimeError as error:
            raise ArtefactError("the tokenizer is damaged: not a SentencePiece model") from error
        specials = tuple(getattr(self._processor, name)() for name in ("pad_id", "unk_id", "bos_id", "eos_id"))
        if specials != (PAD, UNK, BOS, EOS):
            raise ArtefactError(
                f"the tokenizer numbers padding, unknown, begin and end {specials}, not {(PAD, UNK, BOS, EOS)}",
                "train one with s2s tokenizer train",
            )
        self.model = model
        self.digest = digest_bytes(model)
        self.size: int = self._processor.vocab_size()
        self._tokens: list[str] = [self._processor.id_to_piece(token) for token in range(self.size)]
        self._makeshift = {UNK, *(token for token in range(self.size) if self._processor.is_byte(token))}

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the token ids of each text, without BOS and EOS. Callers normalize the texts."""
        return self._processor.encode(list(texts), num_threads=1)

    def sampler(self, alpha: float) -> "SubwordSampler":
        """Return a sampler of segmentations; unigram models only."""
        from s2s.text.subword_regularization import SubwordSampler

        return SubwordSampler(self._processor, alpha)

    def decode(self, ids: Sequence[Sequence[int]]) -> list[str]:
        """Decode each row of token ids; PAD, BOS and EOS are left out, UNK becomes `⁇`."""
        rows = [list(row) for row in ids]
        return self._processor.decode(rows, num_threads=1) if rows else []  # of no rows it makes one text

    def unknown(self, ids: Sequence[int]) -> int:
        """How many tokens stand for what the tokenizer knows no better: UNK, and bytes."""
        return sum(token in self._makeshift for token in ids)

    def tokens(self, ids: Sequence[int]) -> list[str]:
        """Return the tokens as strings; `▁` stands for a space."""
        return [self._tokens[token] for token in ids]


def train_tokenizer(texts: Iterable[str], options: "TokenizerOptions") -> bytes:
    """Train a tokenizer and return its serialized model: the same bytes for the same texts and options.

    SentencePiece cannot be interrupted, so it works in a child process, which dies with this one.
    Raises: UsageError where the text gives fewer tokens than wanted or needs more, DataError where there is no text,
    ResourceError where the child is killed.
    """
    arguments = json.dumps([sys.path, _trainer_options(options)])
    with tempfile.TemporaryFile() as answer, tempfile.TemporaryFile() as log:
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD, arguments], stdin=subprocess.PIPE, stdout=answer, stderr=log
        )
        try:
            if child.stdin:
                _feed(child.stdin, texts)
            code = child.wait()
        finally:
            child.kill()
            child.wait()
        answer.seek(0)
        content = answer.read()
        if code == REFUSED:
            raise _refusal(content.decode(errors="replace"), options)
        if code:
            log.seek(0)
            raise _failure(code, log.read().decode(errors="replace"))
    size = Tokenizer(content).size
    if size != options.vocab_size:  # the algorithm char takes what it finds
        raise _wrong_size(size, options, "the text gives {} characters and special tokens")
    return content


def _trainer_options(options: "TokenizerOptions") -> dict[str, Any]:
    return {
        "vocab_size": options.vocab_size,
        "model_type": options.algorithm,
        "character_coverage": options.character_coverage,
        "byte_fallback": _has_bytes(options, options.vocab_size),
        "use_all_vocab": options.algorithm == "char",  # or rare characters are left out silently
        "normalization_rule_name": "identity",
        "max_sentence_length": 2**30,  # bytes; longer ones are left out silently
        "unk_surface": "⁇",
        "pad_id": PAD,
        "unk_id": UNK,
        "bos_id": BOS,
        "eos_id": EOS,
        "num_threads": 1,  # fixed, as sums differ with it; a second one costs more than it brings
        "minloglevel": 2,
    }


def _has_bytes(options: "TokenizerOptions", vocabulary: int) -> bool:
    return options.byte_fallback == "on" or (options.byte_fallback == "auto" and vocabulary >= BYTES_FROM)


def _feed(pipe: IO[bytes], texts: Iterable[str]) -> None:
    """Write a text a line; a child that has died is dealt with by its exit code."""
    with contextlib.suppress(BrokenPipeError), pipe:
        for text in texts:
            pipe.write(text.replace("\n", " ").encode() + b"\n")


def _refusal(message: str, options: "TokenizerOptions") -> S2SError:
    """Translate SentencePiece's message into an error."""
    if found := re.search(r"Vocabulary size too high .* <= (\d+)", message):
        return _wrong_size(int(found[1]), options, "the text gives at most {} tokens")
    if found := re.search(r"smaller than required_chars\. \d+ vs (\d+)", message):
        return _wrong_size(int(found[1]), options, "the characters of the text need at least {} tokens")
    if "sentences_.empty()" in message or "all_chars_count" in message:
        return DataError("there is no text to train a tokenizer from")
    return S2SError(f"the tokenizer cannot be trained: {message.strip()}")


def _wrong_size(size: int, options: "TokenizerOptions", why: str) -> UsageError:
    """`size` is what would do, with or without the byte tokens as now; `auto` may decide otherwise for that size."""
    size += BYTES * (_has_bytes(options, size) - _has_bytes(options, options.vocab_size))
    return UsageError(
        f"tokenizer.vocab_size is {options.vocab_size}, but {why.format(size)}", f"--set tokenizer.vocab_size={size}"
    )


def _failure(code: int, log: str) -> S2SError:
    if code < 0:
        reason = signal.strsignal(-code) or f"signal {-code}"
        return ResourceError(f"the training of the tokenizer was ended from outside: {reason}", "was memory full?")
    return S2SError(f"the training of the tokenizer failed: {(log.strip().splitlines() or ['no reason given'])[-1]}")


def train_in_child(options: dict[str, Any]) -> None:
    """Run the child's part of `train_tokenizer`: texts from standard input, the model to standard output."""
    from sentencepiece import SentencePieceTrainer

    _die_with_parent()
    texts = (line.decode().removesuffix("\n").replace(RESERVED, " ") for line in sys.stdin.buffer)
    model = io.BytesIO()
    try:
        SentencePieceTrainer.train(sentence_iterator=iter(drawn(texts, MOST_TEXTS)), model_writer=model, **options)
    except RuntimeError as error:
        sys.stdout.buffer.write(str(error).encode())
        sys.exit(REFUSED)
    sys.stdout.buffer.write(model.getvalue())


def drawn(texts: Iterable[str], most: int) -> list[str]:
    """All texts, or `most` of them where there are more, each as likely as any other; the same ones every time."""
    random = Random(1)
    kept: list[str] = []
    for count, text in enumerate(texts):
        if count < most:
            kept.append(text)
        elif (place := random.randrange(count + 1)) < most:
            kept[place] = text
    return kept


def _die_with_parent() -> None:
    """Have Linux kill this process when its parent is gone, however that ended."""
    set_death_signal = 1  # PR_SET_PDEATHSIG of prctl.h
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(set_death_signal, signal.SIGKILL)
