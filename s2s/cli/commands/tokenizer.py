"""`s2s tokenizer`: train one, turn lines of text into tokens and back, look into one and compare several."""

from collections.abc import Callable, Iterator
from pathlib import Path
from shlex import join
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from s2s.cli.console import note, print_json
from s2s.cli.options import AsJson, Force
from s2s.cli.tokenizer_format import print_comparison, print_fit, print_vocabulary

if TYPE_CHECKING:
    from s2s.text.tokenizer import Tokenizer

app = typer.Typer(help="Train, inspect and compare tokenizers; encode and decode text line by line.")

LINES_AT_ONCE = 1000  # lines in memory while encoding and decoding
Form = Literal["nfc", "nfkc", "none"]
Model = Annotated[str, typer.Argument(metavar="MODEL", help="A tokenizer file, or a model in the registry.")]
Input = Annotated[str, typer.Argument(metavar="[FILE]", help="Plain or compressed; - is standard input.")]


@app.command()
def train(
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE...", help="Text files of both languages, one sentence per line, plain or compressed."
        ),
    ],
    vocab_size: Annotated[int, typer.Option(min=8, max=1_000_000, help="Vocabulary size, special tokens included.")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FILE", help="File to write.")],
    algorithm: Annotated[Literal["unigram", "bpe", "char"], typer.Option(help="SentencePiece algorithm.")] = "unigram",
    normalization: Annotated[Form, typer.Option(help="Unicode normalization of the text.")] = "nfc",
    force: Force = False,
) -> None:
    """Train a tokenizer to inspect it or use it elsewhere. `s2s train` trains its own.

    Examples:
        s2s tokenizer train train.de train.en --vocab-size 8000 -o tokenizer.model
        s2s tokenizer train train.de.gz --vocab-size 500 --algorithm bpe -o small.model --force
    """
    from s2s.errors import UsageError
    from s2s.io.atomic import refuse_existing, write_output
    from s2s.recipe.tokenizer import TokenizerOptions
    from s2s.text.tokenizer_training import train_tokenizer, without_long_texts

    refuse_existing(output, force)
    texts = ((place, text) for name in files for place, text in _texts(name, normalization) if text.strip())
    options = TokenizerOptions(vocab_size=vocab_size, algorithm=algorithm)
    try:
        content = train_tokenizer(without_long_texts(texts), options)
    except UsageError as error:
        raise UsageError(
            error.message, (error.hint or "").replace("--set tokenizer.vocab_size=", "--vocab-size ")
        ) from error
    write_output(output, content)
    note(f"wrote {output}: {vocab_size:,} tokens")
    note(f"Next: {join(['s2s', 'tokenizer', 'inspect', str(output), files[0]])}")


@app.command()
def encode(
    model: Model,
    file: Input = "-",
    ids: Annotated[bool, typer.Option("--ids", help="Print token ids instead of tokens.")] = False,
) -> None:
    """Split each line into tokens, separated by spaces.

    Text is normalized as in the training of the model (NFC if MODEL is a file).

    Examples:
        echo einundzwanzig | s2s tokenizer encode numbers-attention
        s2s tokenizer encode tokenizer.model train.de --ids
    """
    from s2s.text.lines import normalize

    tokenizer, form = _tokenizer(model)

    def tokens(texts: list[str], _places: list[str]) -> list[str]:
        encoded = tokenizer.encode([normalize(text, form) for text in texts])
        return [" ".join(map(str, line) if ids else tokenizer.tokens(line)) for line in encoded]

    _convert(file, tokens)


@app.command()
def decode(
    model: Model,
    file: Input = "-",
    ids: Annotated[bool, typer.Option("--ids", help="Read token ids instead of tokens.")] = False,
) -> None:
    """Join lines of tokens, as `encode` writes them, into text.

    Examples:
        echo einundzwanzig | s2s tokenizer encode numbers-attention | s2s tokenizer decode numbers-attention
        s2s tokenizer decode tokenizer.model train.ids --ids
    """
    tokenizer, _ = _tokenizer(model)
    known = _numbers(tokenizer) if ids else _tokens(tokenizer)

    def text(lines: list[str], places: list[str]) -> list[str]:
        return tokenizer.decode([_ids(line, known, place) for line, place in zip(lines, places, strict=True)])

    _convert(file, text)


@app.command()
def inspect(
    model: Model,
    files: Annotated[
        list[str] | None, typer.Argument(metavar="[FILE...]", help="Text to count tokens of, plain or compressed.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show a tokenizer: its size, its kinds of tokens and the longest ones.

    With text files, also how it fits their text: tokens per word and character (fertility), unknown characters per
    script, and the tokens that are used least.

    Examples:
        s2s tokenizer inspect numbers-attention
        s2s tokenizer inspect tokenizer.model test.de test.en
        s2s tokenizer inspect tokenizer.model test.de --json
    """
    from dataclasses import asdict
    from itertools import chain

    from s2s.text.lines import normalize
    from s2s.text.vocabulary import describe_vocabulary, fit_texts

    tokenizer, form = _tokenizer(model)
    found = describe_vocabulary(tokenizer)
    lines = chain.from_iterable(_texts(name, "none") for name in files or [])
    texts = (normalize(text, form) for _, text in lines if text.strip())
    fit = fit_texts(tokenizer, texts) if files else None
    if as_json:
        print_json({"tokenizer": model, **asdict(found), "text": fit and fit.as_dict()})
        return
    print_vocabulary(model, found)
    if fit:
        print_fit(fit)


@app.command()
def compare(
    files: Annotated[list[str], typer.Argument(metavar="FILE...", help="Text files, plain or compressed.")],
    models: Annotated[
        str, typer.Option("--models", metavar="A,B", help="Tokenizer files and models in the registry.")
    ] = "",
    vocab_sizes: Annotated[
        str, typer.Option("--vocab-sizes", metavar="N,N", help="Sizes of vocabularies to train on the text itself.")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Compare vocabularies on one text: tokens per word and character, unknown and unused tokens.

    Texts of more than a million lines are sampled.

    Examples:
        s2s tokenizer compare train.de --vocab-sizes 1000,4000
        s2s tokenizer compare test.de --models tokenizer.model,numbers-attention --json
    """
    from itertools import chain

    from s2s.errors import UsageError
    from s2s.text.lines import normalize
    from s2s.text.tokenizer_training import MAX_TEXTS, sample_texts, without_long_texts
    from s2s.text.vocabulary import fit_texts

    names, sizes = [name for name in models.split(",") if name], _sizes(vocab_sizes)
    if not (names or sizes):
        raise UsageError("nothing to compare", "name tokenizers with --models A,B or sizes with --vocab-sizes N,N")
    found = [(name, *_tokenizer(name)) for name in names]
    lines = chain.from_iterable(_texts(name, "none") for name in files)
    sample, seen = sample_texts(without_long_texts((place, text) for place, text in lines if text.strip()), MAX_TEXTS)
    if seen > len(sample):
        note(f"figures from a sample of {len(sample):,} of {seen:,} texts")
    texts = {form: [normalize(text, form) for text in sample] for form in {"nfc", *(form for *_, form in found)}}
    found += _trained(sizes, texts["nfc"])
    fits = [(name, fit_texts(tokenizer, texts[form])) for name, tokenizer, form in found]
    if as_json:
        print_json([{"tokenizer": name, "size": fit.vocabulary.size, **fit.as_dict()} for name, fit in fits])
    else:
        print_comparison(fits)


def _trained(sizes: list[int], texts: list[str]) -> "Iterator[tuple[str, Tokenizer, Form]]":
    """Train tokenizers of several sizes on normalized texts, and yield them with their names."""
    from s2s.errors import UsageError
    from s2s.recipe.tokenizer import TokenizerOptions
    from s2s.text.tokenizer import Tokenizer
    from s2s.text.tokenizer_training import train_tokenizer

    for size in sizes:
        note(f"training a tokenizer of {size:,} tokens")
        try:
            content = train_tokenizer(texts, TokenizerOptions(vocab_size=size))
        except UsageError as error:
            wanted = [(error.hint or "").rpartition("=")[2] if one == size else str(one) for one in sizes]
            raise UsageError(error.message, f"--vocab-sizes {','.join(wanted)}") from error
        yield f"trained here: {size:,}", Tokenizer(content), "nfc"


def _sizes(text: str) -> list[int]:
    """Return the sizes in a list such as `1000,4000`."""
    from s2s.errors import UsageError

    try:
        sizes = [int(size) for size in text.split(",") if size.strip()]
    except ValueError as error:
        raise UsageError(f"--vocab-sizes {text}: expected numbers", "--vocab-sizes 1000,4000,8000") from error
    if wrong := [size for size in sizes if not 8 <= size <= 1_000_000]:
        raise UsageError(f"--vocab-sizes: {wrong[0]:,}: expected 8 to 1,000,000 tokens")
    return sizes


def _convert(name: str, convert: Callable[[list[str], list[str]], list[str]]) -> None:
    """Write what `convert` makes of the lines of a file, given some of them and their places, `file:line`."""
    import sys

    from s2s.io.inputs import open_input, shown_name
    from s2s.text.lines import decode_line, read_ahead, single_line

    number, shown = 1, shown_name(name)
    with open_input(name) as file:
        for lines in read_ahead(file, LINES_AT_ONCE, shown):
            places = [f"{shown}:{at}" for at in range(number, number + len(lines))]
            texts = [decode_line(line, place, "refuse") for line, place in zip(lines, places, strict=True)]
            for text in convert(texts, places):
                sys.stdout.buffer.write(single_line(text).encode() + b"\n")
            sys.stdout.buffer.flush()
            number += len(lines)


def _texts(name: str, form: Form) -> Iterator[tuple[str, str]]:
    """Yield the normalized lines of a file with their places, `file:line`."""
    from s2s.io.inputs import open_input, read_lines, shown_name
    from s2s.text.lines import decode_line, normalize

    shown = shown_name(name)
    with open_input(name) as file:
        for number, line in enumerate(read_lines(file, shown), 1):
            place = f"{shown}:{number}"
            yield place, normalize(decode_line(line, place, "refuse"), form)


def _tokenizer(model: str) -> tuple["Tokenizer", Form]:
    """Load a tokenizer from a file or a model in the registry, with the normalization it expects."""
    from s2s.errors import wrap_os_errors
    from s2s.text.tokenizer import Tokenizer

    path = Path(model)
    if path.suffix == ".model" or path.is_file():
        with wrap_os_errors(path, "read"):
            return Tokenizer(path.read_bytes()), "nfc"

    from s2s.registry.store import Registry

    version = Registry.default().resolve(model)
    recipe = version.recipe()
    return Tokenizer(version.read("tokenizer.model")), recipe.data.normalization


def _tokens(tokenizer: "Tokenizer") -> dict[str, int]:
    return {token: number for number, token in enumerate(tokenizer.tokens(list(range(tokenizer.size))))}


def _numbers(tokenizer: "Tokenizer") -> dict[str, int]:
    return {str(number): number for number in range(tokenizer.size)}


def _ids(line: str, known: dict[str, int], where: str) -> list[int]:
    """Return the ids of a line of tokens. Raises DataError for an unknown token."""
    from s2s.errors import DataError

    found = []
    for token in filter(None, line.split(" ")):
        if token not in known:
            raise DataError(
                f"{where}: {token} is not a token of this tokenizer", "--ids reads numbers; without it, tokens"
            )
        found.append(known[token])
    return found
