import gzip
import io
import os
import shlex
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest

from s2s.errors import DataError
from s2s.io.encodings import LATIN, UNKNOWN, guess_encoding, wide_encoding
from s2s.io.inputs import open_input, read_lines

TEXTS = {
    "English": "The cat sat on the mat.\nIt slept.\n",
    "German": "Grüße aus München\n\nÜber den Wolken\n",
    "Polish": "Zażółć gęślą jaźń\nźdźbło trawy\n",
    "Russian": "Привет, мир\nКак дела?\n",
    "Arabic": "مرحبا بالعالم\nكيف حالك؟\n",
    "Hebrew": "שלום עולם\nמה שלומך\n",
    "Hindi": "नमस्ते दुनिया\nआप कैसे हैं\n",
    "Chinese": "上海的天气很好。\n他们一起去看电影了\n她喜欢喝茶\n",
    "Korean": "안녕하세요 세계\n잘 지내세요\n",
    "emoji": "👍🏽 ok\n👩‍👩‍👧 yes\n",
}
each_text = pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)


def refused(content: bytes, name: str = "a.de") -> DataError:
    with pytest.raises(DataError) as caught:
        list(read_lines(io.BytesIO(content), name))
    return caught.value


@each_text
@pytest.mark.parametrize("encoding", ["UTF-16LE", "UTF-16BE", "UTF-32LE", "UTF-32BE"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_text_of_wide_characters_is_refused_with_its_encoding(text: str, encoding: str, line_end: str):
    text = text.replace("\n", line_end)
    assert f"a.de is {encoding} text" in refused(text.encode(encoding)).message
    assert f"a.de is {encoding[:6]} text" in refused(f"\ufeff{text}".encode(encoding)).message


@each_text
def test_utf_8_with_nul_bytes_is_text(text: str):
    content = text.replace("\n", "\0\n", 1).replace(" ", "\0").encode()
    assert list(read_lines(io.BytesIO(content))) == content.removesuffix(b"\n").split(b"\n")
    assert wide_encoding(content) is None


@pytest.mark.parametrize("content", [b"\0", b"a\0", b"\0\0\0\0\0\0\0\0", b"a\0b\n", b"\0a\n\0b\n", b"1\0002\0003\n"])
def test_a_few_nul_bytes_are_no_encoding(content: bytes):
    assert len(list(read_lines(io.BytesIO(content)))) == max(1, content.count(b"\n"))


@pytest.mark.parametrize("packed", ["", "xz"])
def test_the_hint_converts_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, packed: str):
    monkeypatch.chdir(tmp_path)
    name = "it's odd.de"
    Path(name).write_bytes(TEXTS["German"].encode("UTF-16LE"))
    if packed:
        subprocess.run([packed, name], check=True)
        name += f".{packed}"
    with open_input(name) as file, pytest.raises(DataError) as caught:
        list(read_lines(file, name))
    assert caught.value.hint
    command = caught.value.hint.removeprefix("convert it: ")
    subprocess.run(command, shell=True, check=True)
    with open_input(f"{name}.utf8") as file:
        assert [line.decode() for line in read_lines(file)] == TEXTS["German"].splitlines()
    assert os.fsencode(shlex.quote(name)) in command.encode()


def test_the_hint_converts_line_ends_of_compressed_files_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    Path("a.de").write_bytes(gzip.compress(b"one\rtwo\rthree\r"))
    with open_input("a.de") as file, pytest.raises(DataError) as caught:
        list(read_lines(file, "a.de"))
    assert caught.value.hint
    subprocess.run(caught.value.hint.removeprefix("convert it: "), shell=True, check=True)
    assert Path("a.de.txt").read_bytes() == b"one\ntwo\nthree\n"


def test_archives_and_tables_are_refused_with_what_reads_them(tmp_path: Path):
    import pyarrow as pa
    from pyarrow import parquet

    content = io.BytesIO(b"one\ntwo\n")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a.de", content.getvalue())
    with tarfile.open(tmp_path / "a.tgz", "w:gz") as tar:
        entry = tarfile.TarInfo("a.de")
        entry.size = 8
        tar.addfile(entry, content)
    parquet.write_table(pa.table({"a": ["one"]}), tmp_path / "a.parquet")
    hints = {"zip": "unpack it: unzip -p", "tgz": "unpack it: tar -xf", "parquet": "s2s data prepare reads it"}
    for suffix, hint in hints.items():
        name = str(tmp_path / f"a.{suffix}")
        with open_input(name) as file, pytest.raises(DataError, match=f"{name} is a .* not text") as caught:
            list(read_lines(file, name))
        assert hint in (caught.value.hint or "")
        with open_input(name) as file, pytest.raises(DataError, match="standard input is a") as piped:
            list(read_lines(file, "standard input"))
        assert "standard input" not in (piped.value.hint or "")


@pytest.mark.parametrize(
    ("encoding", "text", "guessed"),
    [
        ("cp1252", "Grüße aus München\nein Wort\n„Über den Wolken“ – 5 €\n", LATIN),
        ("latin-1", "où est l'été\nici\nça va très bien\n", LATIN),
        ("cp1251", "Привет, мир\nКак дела?\n", UNKNOWN),
        ("gb18030", "今天天气很好\n我们去公园\n", UNKNOWN),
        ("shift_jis", "今日はいい天気です\n公園に行きます\n", UNKNOWN),
    ],
)
def test_encodings_of_bytes_are_guessed_from_the_lines(encoding: str, text: str, guessed: str):
    lines = text.encode(encoding).split(b"\n")
    assert guess_encoding(lines) == guessed
    assert guess_encoding(["Grüße".encode(), *lines]) is None  # UTF-8 with some invalid lines
    assert guess_encoding(lines[:1]) is None  # a single line
