"""Texts that are odd or broken, and what must come out of the commands that read them.

What other tests already say stays there: unequal counts, empty files, invalid bytes in single lines (test_data.py,
test_init.py, test_translate.py), a full disk and two preparations at once (tests/data/test_prepare.py).
"""

import bz2
import gzip
import io
import json
import lzma
import os
import resource
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from backports import zstd

from s2s.data.corpus import Corpus
from s2s.text.tokenizer import Tokenizer

WORDS = ["eins", "zwei", "drei", "vier", "fünf", "sechs", "sieben"]
SOURCES = [f"{one} und {other}" for one in WORDS for other in WORDS]
TARGETS = [f"{number} and more" for number in range(len(SOURCES))]
RECIPE = """
name = "odd"
[data]
train = { source = "a.de", target = "a.en" }
validation = { source = "dev.de", target = "dev.en" }
test = { source = "dev.de", target = "dev.en" }
[tokenizer]
vocab_size = 60
algorithm = "bpe"
"""


def text(lines: list[str], end: str = "\n") -> bytes:
    return "".join(f"{line}{end}" for line in lines).encode()


@pytest.fixture
def write(in_directory: Path) -> Callable[..., None]:
    """Write a recipe, validation files and these training files."""
    (in_directory / "odd.toml").write_text(RECIPE)
    (in_directory / "dev.de").write_text("acht\nneun\n")
    (in_directory / "dev.en").write_text("eight\nnine\n")

    def written(source: bytes, target: bytes) -> None:
        (in_directory / "a.de").write_bytes(source)
        (in_directory / "a.en").write_bytes(target)

    return written


@pytest.fixture
def give(monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes], None]:
    """Give something short to the next command on standard input, through a pipe."""

    def given(content: bytes) -> None:
        reading, writing = os.pipe()
        os.write(writing, content)
        os.close(writing)
        monkeypatch.setattr(sys, "stdin", os.fdopen(reading))

    return given


class Prepared(NamedTuple):
    pairs: list[tuple[str, str]]
    dropped: dict[str, int]
    tokenizer: Tokenizer


@pytest.fixture
def prepare(run: Callable) -> Callable[..., Prepared]:
    """Prepare the corpus, and return its training pairs, the number of pairs dropped by reason, and the tokenizer."""

    def prepared(*options: str) -> Prepared:
        assert run("data", "prepare", "odd.toml", *options).code == 0
        found = json.loads(run("data", "inspect", "odd.toml", *options, "--json").out)
        corpus = Corpus.open(Path(found["path"]))
        train = corpus.split("train")
        ledger = found["splits"]["train"]
        dropped = {reason: tally["count"] for reason, tally in ledger["dropped"].items()}
        dropped |= {one["name"]: one["dropped"]["count"] for one in ledger["filters"]}
        pairs = list(zip(*train.texts(range(len(train))), strict=True))
        return Prepared(
            pairs, {reason: count for reason, count in dropped.items() if count}, Tokenizer(corpus.tokenizer)
        )

    return prepared


def test_odd_characters_stay_in_their_line_and_survive_the_tokenizer(write: Callable, prepare: Callable):
    odd = [
        "ein\0s",
        "a\u2028b\u2029c\x85d\x0be\x0cf",
        "a\rb",
        "c\td",
        "\ufeffeins",
        "שָׁלוֹם עוֹלָם \u202bRTL\u202c",
        "👩‍👩‍👧 👍🏽 🇩🇪 1️⃣ 🏴󠁧󠁢󠁳󠁣󠁴󠁿",
        "e\u0301 o\u0308 \u1112\u1161\u11ab",
        "\ufffd \ufdd0 \U0010ffff",
    ]
    composed = ["é ö 한" if line.startswith("e\u0301") else line for line in odd]
    write(text([*SOURCES, *odd]), text([*TARGETS, *odd]))
    prepared = prepare("--set", "tokenizer.vocab_size=310")
    assert prepared.pairs == [*zip(SOURCES, TARGETS, strict=True), *zip(composed, composed, strict=True)]
    shown = [line for line in composed if "\0" not in line]  # SentencePiece has no token for NUL
    assert prepared.tokenizer.decode(prepared.tokenizer.encode(shown)) == shown


@pytest.mark.parametrize(
    ("before", "end", "rest"), [("", "\r\n", ""), ("\ufeff", "\n", ""), ("\ufeff", "\r\n", "eins"), ("", "\n", "eins")]
)
def test_line_ends_and_marks_of_other_systems_do_not_matter(
    write: Callable, prepare: Callable, before: str, end: str, rest: str
):
    write(before.encode() + text(SOURCES, end) + rest.encode(), text(TARGETS, end) + rest.encode())
    assert prepare().pairs == [*zip(SOURCES, TARGETS, strict=True), *([(rest, rest)] if rest else [])]


def test_compressed_files_are_the_same_corpus(write: Callable, run: Callable):
    write(text(SOURCES), text(TARGETS))
    plain = json.loads(run("data", "inspect", "odd.toml", "--json").out)["path"]
    write(bz2.compress(text(SOURCES)), zstd.compress(text(TARGETS)))
    assert json.loads(run("data", "inspect", "odd.toml", "--json").out)["path"] == plain


def test_one_pair_often_is_one_pair(write: Callable, prepare: Callable):
    write(text(SOURCES[:1] * 500), text(TARGETS[:1] * 500))
    prepared = prepare("--set", "tokenizer.vocab_size=30")
    assert (prepared.pairs, prepared.dropped) == ([(SOURCES[0], TARGETS[0])], {"duplicates": 499})


def test_a_line_of_ten_megabytes_is_dropped_by_its_length(write: Callable, prepare: Callable):
    write(text([*SOURCES, "eins " * 2_000_000]), text([*TARGETS, "one"]))
    prepared = prepare()
    assert prepared.pairs == list(zip(SOURCES, TARGETS, strict=True))
    assert prepared.dropped == {"length": 1}


@pytest.mark.parametrize(
    ("dropping", "reason"),
    [
        ("{name='length', min=50}", "length: a side does not have 50 to 200 tokens"),
        ("{name='length', max=1}", "length: a side does not have 1 to 1 tokens"),
        ("{name='ratio', max=1}", "ratio: a side has more than 1 times as many tokens as the other"),
        ("{name='copies'}, {name='letters', min_share=1}", "letters: less than 100% of a side are letters"),
    ],
)
def test_where_all_pairs_are_dropped_the_message_says_by_what(
    write: Callable, run: Callable, dropping: str, reason: str
):
    write(text([f"{line} {line} !" for line in SOURCES]), text(["x"] * len(SOURCES)))
    done = run("data", "prepare", "odd.toml", "--set", f"data.filters=[{dropping}]")
    assert done.code == 3
    assert f"all training pairs were dropped ({len(SOURCES)}: {reason})" in done.err.replace("\n", " ")


def zipped(name: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(name, text(SOURCES))
    return file.getvalue()


def tarred(name: str) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:xz") as archive:
        archive.addfile(tarfile.TarInfo(name))
    return file.getvalue()


REFUSED = {
    "UTF-16": (text(SOURCES).decode().encode("UTF-16"), "is UTF-16 text", "iconv -f UTF-16 -t UTF-8"),
    "UTF-16 without a mark": (text(SOURCES).decode().encode("UTF-16LE"), "is UTF-16LE text", "iconv -f UTF-16LE -t"),
    "Latin-1": (text(SOURCES).decode().encode("latin-1"), "invalid UTF-8: byte 0xfc", "iconv -f WINDOWS-1252 -t"),
    "old Mac": (text(SOURCES, "\r"), "its lines end in carriage returns", r"tr '\r' '\n' <"),
    "zip": (zipped("../../etc/passwd"), "is a zip archive", "unzip -p"),
    "tar": (tarred("../../etc/passwd"), "is a tar archive", "tar -xf"),
    "truncated": (lzma.compress(text(SOURCES))[:-20], "cannot unpack the xz file: it is truncated", "again"),
    "damaged": (bz2.compress(text(SOURCES))[:30] + bytes(60), "cannot unpack the bzip2 file", "again"),
    "zeros without end": (zstd.compress(bytes(1 << 26)), "is longer than 16 MiB", "is it text?"),
    "an archive in an archive": (gzip.compress(lzma.compress(text(SOURCES))), "is compressed twice", "unpack it once"),
}
each_refused = pytest.mark.parametrize(("content", "message", "hint"), REFUSED.values(), ids=REFUSED)


@each_refused
def test_what_is_no_text_is_refused_with_the_way_out(
    write: Callable, run: Callable, own_home: Path, content: bytes, message: str, hint: str
):
    write(content, text(TARGETS))
    prepared = run("data", "prepare", "odd.toml")
    begun = run("init", "--source", "a.de", "--target", "a.en")
    for done in (prepared, begun):
        said = done.err.replace("\n", " ")
        assert (done.code, done.out) == (3, "")
        assert "a.de" in said
        assert message in said
        assert hint in said
    assert not list((own_home / "corpora").glob("[!.]*[!.lock]/"))
    assert not Path("a-de-en.toml").exists()


def test_the_conversion_that_the_hint_names_is_enough(write: Callable, run: Callable, shell: Callable):
    write(text(SOURCES).decode().encode("latin-1"), text(TARGETS))
    refused = run("data", "prepare", "odd.toml")
    command = refused.err.partition("convert it: ")[2].replace("\n", " ")
    assert shell(command).code == 0
    assert run("data", "prepare", "odd.toml", "--set", "data.train.source=a.de.utf8").code == 0


def test_init_says_what_is_lost_where_invalid_lines_are_dropped(write: Callable, run: Callable):
    write(text(SOURCES).decode().encode("latin-1"), text(TARGETS))
    done = run("init", "--source", "a.de", "--target", "a.en", "--on-invalid", "drop")
    lost = [number for number, line in enumerate(SOURCES, 1) if "ü" in line]
    first = ", ".join(f"a.de:{number}" for number in lost[:5])
    assert done.code == 0
    said = done.err.replace("\n", " ")
    assert f"{len(lost)} of {len(SOURCES)} pairs, invalid UTF-8 or incomplete, are dropped (first: {first})" in said
    write(text(SOURCES), text(TARGETS))
    assert "invalid" not in run("init", "--source", "a.de", "--target", "a.en", "--on-invalid", "drop", "--force").err


def test_a_full_disk_leaves_no_part_of_a_recipe(write: Callable, run: Callable):
    write(text(SOURCES), text(TARGETS))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
        done = run("init", "--source", "a.de", "--target", "a.en")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert (done.code, "a-de-en.toml" in done.err) == (5, True)
    assert {path.name for path in Path().iterdir()} == {"a.de", "a.en", "dev.de", "dev.en", "odd.toml"}


@pytest.mark.usefixtures("trained_home")
def test_translate_reads_the_same_from_files_and_pipes(in_directory: Path, run: Callable, give: Callable):
    lines = b"drei\n\nvierzig\r\n"
    (in_directory / "in.de").write_bytes(b"\xef\xbb\xbf" + lines)
    packed = zstd.compress(lines[:6]) + zstd.compress(lines[6:])
    (in_directory / "packed").write_bytes(packed)
    plain = run("translate", "numbers-attention", "in.de")
    assert (plain.code, plain.out.count("\n")) == (0, 3)
    assert run("translate", "numbers-attention", "packed").out == plain.out
    give(packed)
    assert run("translate", "numbers-attention").out == plain.out
    give(lines.decode().encode("UTF-16LE"))
    refused = run("translate", "numbers-attention")
    assert (refused.code, refused.out) == (3, "")
    assert "standard input is UTF-16LE text, not UTF-8" in refused.err
    assert "convert it: … | iconv -f UTF-16LE -t UTF-8 | …" in refused.err


@pytest.mark.usefixtures("trained_home")
@pytest.mark.parametrize("name", ["UTF-16", "old Mac", "zip", "tar", "truncated", "zeros without end"])
def test_translate_refuses_what_is_no_text(in_directory: Path, run: Callable, name: str):
    content, message, hint = REFUSED[name]
    (in_directory / "in.de").write_bytes(content)
    done = run("translate", "numbers-attention", "in.de", "-o", "out.en")
    assert done.code == 3
    assert message in done.err
    assert hint in done.err
    assert not (in_directory / "out.en").exists()


@pytest.mark.usefixtures("trained_home")
def test_translate_names_latin_1_and_the_command_that_converts(in_directory: Path, run: Callable):
    (in_directory / "in.de").write_bytes("fünf\neins\nzwölf\n".encode("latin-1"))
    done = run("translate", "numbers-attention", "in.de")
    assert (done.code, done.out.count("\n")) == (0, 3)
    said = done.err.replace("\n", " ")
    assert "2 of 3 lines: not valid UTF-8, invalid bytes replaced; first: in.de:1" in said
    assert "iconv -f WINDOWS-1252 -t UTF-8 < in.de > in.de.utf8" in said


def test_a_tokenizer_is_trained_from_any_of_them(write: Callable, run: Callable):
    write(text(SOURCES), zstd.compress(text(SOURCES)))
    for name in ("a.de", "a.en"):
        assert run("tokenizer", "train", name, "--vocab-size", 25, "-o", f"{name}.model").code == 0
    assert Path("a.de.model").read_bytes() == Path("a.en.model").read_bytes()
    write(text(SOURCES).decode().encode("UTF-16"), text(SOURCES))
    refused = run("tokenizer", "train", "a.de", "--vocab-size", 25, "-o", "b.model")
    assert (refused.code, "a.de is UTF-16 text" in refused.err) == (3, True)
