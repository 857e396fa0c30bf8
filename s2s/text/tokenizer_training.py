"""Train tokenizers with SentencePiece in a child process."""

import contextlib
import io
import json
import logging
import re
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from random import Random
from typing import IO, TYPE_CHECKING, Any

from s2s.errors import DataError, ResourceError, S2SError, UsageError
from s2s.io.processes import die_with_parent
from s2s.recipe.user_symbols import MAX_PLACEHOLDERS, MIN_PLACEHOLDERS, symbol_problem
from s2s.text.placeholders import placeholders
from s2s.text.tokenizer import BOS, EOS, PAD, UNK, Tokenizer

if TYPE_CHECKING:  # the child starts faster without it
    from s2s.recipe.tokenizer import TokenizerOptions

log = logging.getLogger(__name__)

MAX_TEXT_BYTES = 5000
MAX_TEXTS = 800_000  # texts used; a sample if there are more: of 85 characters each, they take 1.6 GB
MIN_SIZE = 8  # tokens, special ones included
BYTES = 256  # tokens of the byte fallback
BYTES_FROM = 2000  # minimum vocabulary size for byte fallback with `byte_fallback = "auto"`
REFUSED = 3  # exit code of the child if SentencePiece raises an error; its message is on standard output
RESERVED = "\u2585"  # SentencePiece silently drops texts with this character
CHILD = """
import json, sys
sys.path[:], options = json.loads(sys.argv[1])
from s2s.text.tokenizer_training import train_in_child
train_in_child(options)
"""


class VocabularySizeError(UsageError):
    """A vocabulary size that does not suit the text, and one that does."""

    def __init__(self, message: str, hint: str, accepted: int) -> None:
        super().__init__(message, hint)
        self.accepted = accepted


def train_tokenizer(texts: Iterable[str], options: "TokenizerOptions") -> bytes:
    """Train a tokenizer and return its serialized model: the same bytes for the same texts and options.

    SentencePiece cannot be interrupted, so it runs in a child process, which ends with this one.
    Raises: VocabularySizeError if the vocabulary size does not suit the text, DataError if there is no text,
    ResourceError if the child is killed.
    """
    arguments = json.dumps([sys.path, _trainer_options(options)])
    with (
        tempfile.TemporaryFile() as errors,
        subprocess.Popen(
            [sys.executable, "-c", CHILD, arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors
        ) as child,
    ):
        assert child.stdin
        assert child.stdout
        try:
            count = _write_texts(child.stdin, texts)
            content = child.stdout.read()  # the child reads all texts before it writes
            code = child.wait()
        finally:
            child.kill()
        if code == REFUSED:
            raise _refusal(content.decode(errors="replace"), options)
        if code:
            errors.seek(0)
            raise _failure(code, errors.read().decode(errors="replace"))
    if count > MAX_TEXTS:
        log.info(f"trained the tokenizer from a sample of {MAX_TEXTS:,} of {count:,} texts")
    size = Tokenizer(content).size
    if size != options.vocab_size:  # algorithm char uses all characters it finds
        raise _wrong_size(size, options, "the text gives {} characters and special tokens")
    return content


def without_long_texts(texts: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Yield texts, given with their places `file:line`, except those longer than MAX_TEXT_BYTES, such as encoded files.

    Their characters would fill the vocabulary, and SentencePiece fails on some. Logs a warning with their number.
    """
    count, first = 0, ""
    for place, text in texts:
        if len(text.encode()) <= MAX_TEXT_BYTES:
            yield text
            continue
        count += 1
        first = first or place
    if count:
        message = "texts longer than %s bytes, left out of tokenizer training: %s (first: %s)"
        log.warning(message, f"{MAX_TEXT_BYTES:,}", f"{count:,}", first)


def _trainer_options(options: "TokenizerOptions") -> dict[str, Any]:
    return {
        "vocab_size": options.vocab_size,
        "model_type": options.algorithm,
        "character_coverage": options.character_coverage,
        "byte_fallback": _has_bytes(options, options.vocab_size),
        "use_all_vocab": options.algorithm == "char",  # else rare characters are dropped silently
        "max_texts": MAX_TEXTS,
        "user_symbols": options.user_symbols,
        "max_placeholders": int(MAX_PLACEHOLDERS * options.vocab_size) if options.keep_placeholders else 0,
        "normalization_rule_name": "identity",
        "max_sentence_length": 2**30,  # bytes; longer ones are dropped silently
        "unk_surface": "⁇",
        "pad_id": PAD,
        "unk_id": UNK,
        "bos_id": BOS,
        "eos_id": EOS,
        "num_threads": 1,  # fixed: results depend on it, and a second thread does not pay off
        "minloglevel": 2,
    }


def _has_bytes(options: "TokenizerOptions", vocab_size: int) -> bool:
    return options.byte_fallback == "on" or (options.byte_fallback == "auto" and vocab_size >= BYTES_FROM)


def _write_texts(pipe: IO[bytes], texts: Iterable[str]) -> int:
    """Write one text per line and return their number; if the child has died, its exit code is checked later."""
    count = 0
    with contextlib.suppress(BrokenPipeError), pipe:
        for count, text in enumerate(texts, 1):  # noqa: B007
            pipe.write(text.replace("\n", " ").encode() + b"\n")
    return count


def _refusal(message: str, options: "TokenizerOptions") -> S2SError:
    """Convert SentencePiece's message to an error."""
    if found := re.search(r"Vocabulary size too high .* <= (\d+)", message):
        return _wrong_size(int(found[1]), options, "the text gives at most {} tokens")
    if found := re.search(r"smaller than required_chars\. \d+ vs (\d+)", message):
        return _wrong_size(int(found[1]), options, "the characters of the text need at least {} tokens")
    if "sentences_.empty()" in message or "all_chars_count" in message:
        return DataError("there is no text to train a tokenizer from")
    return DataError(
        f"SentencePiece cannot train a tokenizer from this text: {message.strip().splitlines()[-1]}",
        "look for lines that are not sentences, or choose another tokenizer.algorithm",
    )


def _wrong_size(size: int, options: "TokenizerOptions", why: str) -> S2SError:
    """Return an error that suggests `size`, adjusted for byte tokens, which `auto` may add or omit at that size."""
    if size < MIN_SIZE:
        return DataError(f"{why.format(size)}, too few to train a tokenizer", "give it more text")
    size += BYTES * (_has_bytes(options, size) - _has_bytes(options, options.vocab_size))
    return VocabularySizeError(
        f"tokenizer.vocab_size is {options.vocab_size}, but {why.format(size)}",
        f"--set tokenizer.vocab_size={size}",
        size,
    )


def _failure(code: int, errors: str) -> S2SError:
    if code < 0:
        reason = signal.strsignal(-code) or f"signal {-code}"
        return ResourceError(f"training the tokenizer was killed: {reason}", "memory may have run out")
    return S2SError(f"training the tokenizer failed: {(errors.strip().splitlines() or ['no reason given'])[-1]}")


def train_in_child(options: dict[str, Any]) -> None:
    """Train in the child process: read texts from standard input, write the model to standard output."""
    from sentencepiece import SentencePieceTrainer

    die_with_parent()
    lines = (line.decode().removesuffix("\n").replace(RESERVED, " ") for line in sys.stdin.buffer)
    texts, _ = sample_texts(lines, options.pop("max_texts"))
    symbols = options.pop("user_symbols")
    symbols += frequent_placeholders(texts, options.pop("max_placeholders"), except_for=symbols)
    if symbols:
        # SentencePiece leaves symbols out of the text; their characters are required so that rare ones can be spelled.
        letters = {letter for symbol in symbols for letter in symbol} - {*symbols}
        options |= {"user_defined_symbols": symbols, "required_chars": "".join(sorted(letters))}
    if options["model_type"] == "char":  # it takes all characters, but fails if the size is below that of the rest
        options["vocab_size"] = max(options["vocab_size"], 4 + BYTES * options["byte_fallback"] + len(symbols))
    model = io.BytesIO()
    try:
        SentencePieceTrainer.train(sentence_iterator=iter(texts), model_writer=model, **options)
    except RuntimeError as error:
        sys.stdout.buffer.write(str(error).encode())
        sys.exit(REFUSED)
    sys.stdout.buffer.write(model.getvalue())


def frequent_placeholders(texts: Iterable[str], limit: int, *, except_for: Collection[str] = ()) -> list[str]:
    """Return up to `limit` placeholders that occur MIN_PLACEHOLDERS times or more, the most frequent ones first.

    Those with spaces, and tags that are spelled like special tokens (`<s>`), are left out.
    """
    if not limit:
        return []
    counts = Counter(found for text in texts for found in placeholders(text))
    kept = [
        (-count, found)
        for found, count in counts.items()
        if count >= MIN_PLACEHOLDERS and found not in except_for and not symbol_problem(found)
    ]
    return [found for _, found in sorted(kept)[:limit]]


def sample_texts(texts: Iterable[str], count: int) -> tuple[list[str], int]:
    """Return `count` texts drawn uniformly by reservoir sampling with a fixed seed, and how many there were.

    All texts, in their order, if there are fewer.
    """
    random = Random(1)
    sample: list[str] = []
    seen = 0
    for seen, text in enumerate(texts, 1):
        if seen <= count:
            sample.append(text)
        elif (position := random.randrange(seen)) < count:
            sample[position] = text
    return sample, seen
