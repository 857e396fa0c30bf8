"""`s2s caption` as a user runs it."""

import io
import json
import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from tiny_scenes import RECURRENT, TINY_SCENES

from s2s.decoding import captioning
from s2s.errors import DataError
from s2s.recipe.load import load_recipe
from s2s.training.runs.lifecycle import train


@pytest.fixture(scope="module")
def home_of_captioners(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with tiny models `scenes-attention:1` and `scenes-bottleneck:1`."""
    directory = tmp_path_factory.mktemp("captioners")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("S2S_HOME", str(directory))
        patch.setenv("S2S_LEASES", str(directory / "leases"))
        for name in ("scenes/attention", "scenes/bottleneck"):
            train(load_recipe(name, [*TINY_SCENES, *RECURRENT]), device="cpu", wait=0)
    return directory


@pytest.fixture(autouse=True)
def pictures(home_of_captioners: Path, own_home: Path, in_directory: Path, run: Callable) -> Path:
    """Three pictures in `pictures/`, in a home with the tiny captioners."""
    shutil.copytree(home_of_captioners, own_home, dirs_exist_ok=True)
    assert run("data", "make", "scenes", "pictures", "--count", "12").code == 0
    return in_directory / "pictures"


def test_one_line_per_image_in_the_order_given(pictures: Path, run: Callable, shell: Callable) -> None:
    whole = run("caption", "scenes-attention", "pictures")
    assert (whole.code, whole.out.count("\n")) == (0, 12)
    names = [f"pictures/{number:02}.png" for number in (11, 2, 7)]
    some = run("caption", "scenes-attention", *names)
    lines = whole.out.splitlines()
    assert some.out.splitlines() == [lines[10], lines[1], lines[6]]
    listed = shell(f"printf '%s\\n' {' '.join(names)} | s2s caption scenes-attention - -o out.txt")
    assert (listed.code, Path("out.txt").read_text()) == (0, some.out)
    assert "wrote out.txt: 3 captions" in listed.err


def test_neither_windows_nor_broken_pictures_change_others(
    pictures: Path, run: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ("caption", "scenes-attention", "pictures", "--sample", "--seed", "3", "--nbest", "2")
    whole = run(*arguments).out.splitlines()
    assert len(whole) == 24
    (pictures / "03.png").write_bytes(b"no picture")
    broken = run(*arguments).out.splitlines()
    assert [line for line in broken if not line.startswith("3\t")] == whole[:4] + whole[6:]
    monkeypatch.setattr(captioning, "WINDOW", 5)
    assert run(*arguments).out.splitlines() == broken


def test_an_image_that_cannot_be_read_gets_an_empty_line(pictures: Path, run: Callable) -> None:
    whole = run("caption", "scenes-attention", "pictures").out.splitlines()
    (pictures / "03.png").write_bytes(b"no picture")
    found = run("caption", "scenes-attention", "pictures")
    assert found.code == 0
    assert found.out.split("\n")[:12] == [*whole[:2], "", *whole[3:]]
    assert "1 of 12 images: cannot be read, captions left empty; first: pictures/03.png" in found.err
    assert run("caption", "scenes-attention", "pictures", "--strict").code == 3
    lines = run("caption", "scenes-attention", "pictures", "--json").out.splitlines()
    assert [json.loads(line)["image"] for line in lines][2] == "pictures/03.png"


def test_terminated_it_reads_no_more_images(run: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = []

    def read(path: str, _: object) -> None:
        begun.append(path)
        time.sleep(0.3)  # until all are to be read, and the first is waited for
        if len(begun) == 1:
            os.kill(os.getpid(), signal.SIGTERM)
        raise DataError(f"{path}: no picture")

    monkeypatch.setattr(captioning, "SMALL_FILE", 0)  # all are read in a thread
    monkeypatch.setattr(captioning, "usable_threads", lambda: 1)
    monkeypatch.setattr(captioning, "read_input", read)
    assert run("caption", "scenes-attention", "pictures") == (143, "", "s2s: terminated\n")
    assert len(begun) < 12


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("scenes-attention", "nothing.png"), "cannot read nothing.png: no such file or directory"),
        (("scenes-attention", "pictures/captions.tsv", "-o", "pictures/captions.tsv"), "is both input and output"),
        (("scenes-bottleneck", "pictures", "--show-attention"), "has no attention"),
        (("scenes-attention", "-", "-"), "standard input can only be read once"),
        (("scenes-attention", "pictures/01.png", "pictures/02.png", "empty"), "has no image files"),
    ],
    ids=["missing", "input is output", "no attention", "twice", "empty directory"],
)
def test_refusals(arguments: tuple[str, ...], said: str, run: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("empty").mkdir()
    monkeypatch.setattr(captioning, "WINDOW", 1)  # refused before the first image is captioned
    done = run("caption", *arguments)
    assert done.code == 2
    assert said in done.err
    assert done.out == ""


def test_names_separated_by_nul_bytes_are_refused(run: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"pictures/01.png\0pictures/02.png\0")))
    done = run("caption", "scenes-attention", "-")
    assert done.code == 3
    assert "file names are separated by NUL bytes" in done.err


def test_each_command_names_the_other(trained: Path, own_home: Path, run: Callable) -> None:
    shutil.copytree(trained / "registry", own_home / "registry", dirs_exist_ok=True)
    Path("in.de").write_text("drei\n")
    for command in (("translate",), ("score",)):
        done = run(*command, "scenes-attention", "in.de", *(["in.de"] if command != ("translate",) else []))
        assert done.code == 2
        assert "scenes-attention captions images" in done.err
        assert "s2s caption scenes-attention IMAGE" in done.err
    done = run("compare", "scenes-attention", "numbers-attention")
    assert done.code == 2
    assert "scenes-attention captions images, but numbers-attention translates text" in done.err
    done = run("compare", "scenes-attention", "--test", "x=in.de:in.de")
    assert done.code == 2
    assert "scenes-attention captions images" in done.err
    done = run("caption", "numbers-attention", "pictures")
    assert done.code == 2
    assert "numbers-attention translates text" in done.err
    assert "s2s translate numbers-attention FILE" in done.err


def test_json_has_the_image_and_nbest(run: Callable) -> None:
    done = run("caption", "scenes-attention", "pictures/01.png", "--json", "--nbest", "2", "--beam-size", "2")
    (line,) = map(json.loads, done.out.splitlines())
    assert line["image"] == "pictures/01.png"
    assert line["text"] == line["nbest"][0]["text"]
    assert len(line["nbest"]) == 2


def test_maps_are_written_for_each_word(run: Callable) -> None:
    assert (
        run("caption", "scenes-attention", "pictures/01.png", "pictures/02.png", "--attention", "maps.html").code == 0
    )
    page = Path("maps.html").read_text()
    assert page.count("<h2>") == page.count("<svg ") == 2
    assert page.startswith("<!doctype html>")
    assert page.rstrip().endswith("</html>")
    assert "http" not in page.replace("http-equiv", "").replace("http://www.w3.org/2000/svg", "")
    assert run("caption", "scenes-attention", "pictures", "--attention", "maps.svg").code == 0
    words = len(run("caption", "scenes-attention", "pictures/01.png").out.split())
    assert Path("maps.svg").read_text().count("<image ") == 1 + words
    assert run("caption", "scenes-attention", "pictures", "--attention", "maps.jsonl").code == 0
    line = json.loads(Path("maps.jsonl").read_text().splitlines()[0])
    assert (line["source"], line["grid"]) == ("pictures/01.png", [4, 8])
    assert all(sum(row) == pytest.approx(1, abs=1e-3) and len(row) == 32 for row in line["attention"])


def test_maps_in_the_terminal_fit_its_width(shell: Callable) -> None:
    done = shell("s2s caption scenes-attention pictures/01.png --show-attention", COLUMNS="60")
    lines = [line for line in done.err.splitlines() if not line.startswith("warning")]
    assert len(lines) >= 5
    assert max(map(len, lines)) <= 60


def test_generated_pictures_have_captions(pictures: Path, run: Callable) -> None:
    rows = [line.split("\t") for line in (pictures / "captions.tsv").read_text().splitlines()]
    assert [row[0] for row in rows] == sorted(path.name for path in pictures.glob("*.png"))
    with Image.open(pictures / rows[0][0]) as image:
        assert image.size == (64, 64)
    done = run("data", "make", "scenes", "pictures")
    assert done.code == 2
    assert "pictures exists" in done.err
    assert os.listdir(pictures)  # noqa: PTH208
