"""Files through a translator: lines in, as many lines out, in order; and test sets scored."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import BinaryIO

import torch

from s2s.decoding.evaluation import Evaluation, evaluate, perplexity
from s2s.decoding.translator import Translation, Translator
from s2s.devices import device_named, keep_freed_memory, threads_for
from s2s.errors import DataError
from s2s.files import open_input, read_lines
from s2s.recipe.schema import DecodingOptions
from s2s.registry.leases import lease
from s2s.registry.store import Registry
from s2s.text.lines import decode_line, read_ahead

WINDOW = 2048  # lines read ahead, within which sentences are sorted by length


@dataclass(slots=True)
class Counts:
    """What a user should know of a translation when it is over."""

    lines: int = 0
    invalid: list[str] = field(default_factory=list)
    cut: int = 0
    split: int = 0

    def warnings(self) -> list[str]:
        """A line for each thing that was not as it should be."""
        found = []
        if self.invalid:
            count, first = len(self.invalid), self.invalid[0]
            found.append(f"{count:,} lines were not valid UTF-8, their bad bytes replaced; the first: {first}")
        if self.cut:
            found.append(f"{self.cut:,} outputs were cut at the length limit (decoding.max_ratio)")
        if self.split:
            found.append(f"{self.split:,} over-long lines were split, translated in parts and joined again")
        return found


@contextmanager
def loaded_translator(
    model: str, device: str, wait: bool, command: str, notify: Callable[[str], None]
) -> Iterator[Translator]:
    """The translator of a model in the registry, on a leased device."""
    version = Registry.default().resolve(model)
    with lease(device, wait=wait, command=command, notify=notify) as name:
        keep_freed_memory()
        torch.set_num_threads(threads_for(version.card.parameters))
        yield Translator.load(version, device_named(name))


def decoding_options(translator: Translator, beam: int | None, length_penalty: float | None) -> DecodingOptions:
    """The model's own options, changed where something is given."""
    given = {"beam": beam, "length_penalty": length_penalty}
    return translator.recipe.decoding.model_copy(
        update={key: value for key, value in given.items() if value is not None}
    )


def translate_files(
    translator: Translator,
    inputs: Sequence[str],
    write: Callable[[Sequence[tuple[str, Translation]]], None],
    *,
    options: DecodingOptions,
    weights: bool = False,
    strict: bool = False,
) -> Counts:
    """Translate files one after the other; `write` gets (source, translation) pairs in order, as soon as they are
    there.

    Invalid UTF-8 is replaced and counted. Raises: DataError for it where `strict`, and where a gzip file is damaged.
    """
    counts = Counts()
    for name in inputs:
        with _opened(name) as file:
            for first, lines in _windows(file, name):
                sources = [
                    _decoded(line, f"{name}:{first + index}", strict, counts) for index, line in enumerate(lines)
                ]
                translations = translator.translate(sources, options, weights=weights)
                counts.lines += len(lines)
                counts.cut += sum(translation.cut for translation in translations)
                counts.split += sum(translation.split for translation in translations)
                write(list(zip(sources, translations, strict=True)))
    return counts


@contextmanager
def _opened(name: str) -> Iterator[BinaryIO]:
    """The input of a name; standard input is left open."""
    file = open_input(name)
    try:
        yield file
    finally:
        if name != "-":
            file.close()


def _windows(file: BinaryIO, name: str) -> Iterator[tuple[int, list[bytes]]]:
    """Groups of lines, each with the number of its first, from 1."""
    first = 1
    for lines in read_ahead(file, WINDOW, name):
        yield first, lines
        first += len(lines)


def _decoded(line: bytes, where: str, strict: bool, counts: Counts) -> str:
    text = decode_line(line, where, "refuse" if strict else "replace")
    if not strict and "\ufffd" in text and text.encode() != line:
        counts.invalid.append(where)
    return text


def evaluate_files(
    model: str,
    source: str,
    reference: str,
    *,
    beam: int | None,
    length_penalty: float | None,
    device: str,
    wait: bool,
    notify: Callable[[str], None],
) -> tuple[Evaluation, float]:
    """Translate and score a test set in two files: the evaluation, and the teacher-forced perplexity.

    Raises: DataError where the files differ in their number of lines, or hold none.
    """
    sources, references = _texts(source), _texts(reference)
    if len(sources) != len(references):
        raise DataError(
            f"{source} has {len(sources):,} lines and {reference} has {len(references):,}: they must be the same"
        )
    if not sources:
        raise DataError(f"{source} holds no lines")
    with loaded_translator(model, device, wait, f"s2s evaluate {model}", notify) as translator:
        options = decoding_options(translator, beam, length_penalty)
        found = evaluate(translator, sources, references, decoding=options)
        return found, perplexity(translator, sources, references)


def _texts(name: str) -> list[str]:
    with _opened(name) as file:
        return [
            decode_line(line, f"{name}:{number}", "refuse") for number, line in enumerate(read_lines(file, name), 1)
        ]
