"""Captions have the same scores in `s2s train`, `evaluate` and `compare`, and in what these write."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_scenes import OWN_PICTURES, RECURRENT, TINY_SCENES

from s2s.cli.app import main
from s2s.metrics.scores import CAPTION_SCORES, SCENE_SCORES, TEXT_SCORES, score_corpus

BITS = "bits_per_byte"
POINTING = ("pointing_near", "pointing_inside")
CIDER = "CIDEr-D|nrefs:2|case:lc|tok:13a|n:4|sigma:6|df:refs|scale:100|"


def settings(values: list[str]) -> list[str]:
    return [part for value in [*values, *RECURRENT] for part in ("--set", value)]


def second_caption(number: int, caption: str) -> str:
    return f"{caption} in picture {number}"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with tiny captioners of scenes and of pictures with two captions each, and these pictures."""
    directory = tmp_path_factory.mktemp("captioners")
    work = directory / "work"
    work.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("S2S_HOME", str(directory / "home"))
        patch.setenv("S2S_LEASES", str(directory / "leases"))
        patch.chdir(work)
        assert main(["data", "make", "scenes", "pictures", "--count", "40"]) == 0
        rows = [line.split("\t") for line in Path("pictures/captions.tsv").read_text().splitlines()]
        table = [f"{name}\t{text}\n" for i, (name, one) in enumerate(rows) for text in (one, second_caption(i, one))]
        Path("pictures/several.tsv").write_text("".join(table))
        for name in ("attention", "bottleneck"):
            assert main(["train", f"scenes/{name}", *settings(TINY_SCENES)]) == 0
            root = [*OWN_PICTURES, f"data.root={work}"]
            assert main(["train", f"scenes/{name}", *settings([*root, f'name="own-{name}"'])]) == 0
    return directory


@pytest.fixture(autouse=True)
def own_copy(made: Path, own_home: Path, in_directory: Path) -> None:
    shutil.copytree(made / "home", own_home, dirs_exist_ok=True)
    shutil.copytree(made / "work", in_directory, dirs_exist_ok=True)


def evaluated(run: Callable, *arguments: str) -> dict[str, dict]:
    done = run("evaluate", *arguments, "--json")
    assert done.code == 0, done.err
    scores: dict[str, dict] = json.loads(done.out)["scores"]
    return scores


@pytest.mark.parametrize(
    ("model", "metrics"),
    [
        ("scenes-attention", (*SCENE_SCORES, BITS, *POINTING)),
        ("scenes-bottleneck", (*SCENE_SCORES, BITS)),
        ("own-attention", (*CAPTION_SCORES, BITS)),
    ],
)
def test_evaluation_on_the_own_test_split_repeats_the_card(model: str, metrics: tuple[str, ...], run: Callable) -> None:
    found = evaluated(run, model, "-o", "out.txt")
    assert tuple(found) == metrics
    assert evaluated(run, model, "--hyp", "out.txt") == {
        name: found[name] for name in metrics if name not in {BITS, *POINTING}
    }
    card = json.loads(run("models", "show", model, "--json").out)["card"]["scores"]
    recorded = {one["metric"]: one for one in card if one["metric"] != "perplexity"}
    assert {name: one["value"] for name, one in found.items()} == pytest.approx(
        {name: one["value"] for name, one in recorded.items()}
    )
    assert {name: one["signature"] for name, one in found.items()} == {
        name: one["signature"] for name, one in recorded.items()
    }


def test_a_translator_is_evaluated_on_its_own_test_split(trained: Path, own_home: Path, run: Callable) -> None:
    shutil.copytree(trained, own_home, dirs_exist_ok=True)
    assert tuple(evaluated(run, "numbers-attention")) == (*TEXT_SCORES, BITS)


def test_cider_comes_with_its_signature_and_a_warning(run: Callable) -> None:
    done = run("evaluate", "own-attention")
    lines = {line.split()[0]: line for line in done.out.splitlines()}
    assert CIDER in lines["cider"]
    assert "BLEU|nrefs:2|" in lines["bleu"]
    assert lines["distinct"].split()[1].isdigit()
    assert "on fewer than 100 images" in done.err
    assert "fewer than 100 images" not in run("evaluate", "scenes-attention").err
    assert "CIDEr-D" in run("models", "list", "--sort", "cider").out
    shown = run("models", "show", "own-attention").out
    assert "distinct words" in shown
    assert CIDER in shown


def test_a_table_of_captions_is_scored_as_its_captions_are(run: Callable) -> None:
    found = evaluated(run, "own-attention", "pictures", "pictures/several.tsv", "-o", "out.txt")
    outputs = Path("out.txt").read_text().splitlines()
    captioned = run("caption", "own-attention", "pictures", "--precision", "fp32").out.splitlines()
    assert outputs == captioned
    rows = [line.split("\t") for line in Path("pictures/captions.tsv").read_text().splitlines()]
    references = [(one, second_caption(number, one)) for number, (_, one) in enumerate(rows)]
    expected = score_corpus(outputs, references, CAPTION_SCORES)
    values = {name: one["value"] for name, one in found.items() if name != BITS}
    assert values == {name: one.value for name, one in expected.items()}
    lines = [{"image": name, "captions": list(texts)} for (name, _), texts in zip(rows, references, strict=True)]
    Path("table.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    assert evaluated(run, "own-attention", "pictures", "table.jsonl") == found
    assert evaluated(run, "own-attention", "pictures", "table.jsonl", "--hyp", "out.txt") == {
        name: score for name, score in found.items() if name != BITS
    }


def test_own_pictures_of_scenes_have_objects_but_no_pointing(run: Callable) -> None:
    assert tuple(evaluated(run, "scenes-attention", "pictures", "pictures/captions.tsv")) == (*SCENE_SCORES, BITS)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["pictures"], 2, "no references are named"),
        (["pictures/captions.tsv", "pictures"], 2, "pictures/captions.tsv is not a directory"),
        (["pictures", "no.tsv"], 2, "no.tsv"),
        (["pictures", "empty.tsv"], 3, "empty.tsv has no captions"),
        (["pictures", "absent.tsv"], 2, "pictures/absent.png"),
        (["pictures", "damaged.tsv"], 3, "pictures/damaged.png"),
        (["pictures", "pictures/captions.txt"], 2, "ends in .tsv, .jsonl or .json"),
        (["pictures", "pictures/captions.tsv", "--engine", "ctranslate2"], 2, "does not support"),
    ],
)
def test_bad_input_is_one_clear_message(arguments: list[str], code: int, message: str, run: Callable) -> None:
    Path("empty.tsv").write_text("")
    Path("absent.tsv").write_text("absent.png\ta ring\n")
    Path("damaged.tsv").write_text("damaged.png\ta ring\n")
    Path("pictures/damaged.png").write_bytes(b"no picture")
    done = run("evaluate", "own-attention", *arguments)
    assert (done.code, done.out) == (code, "")
    assert message in done.err
    assert "--set" not in done.err  # an option that this command does not have


def test_a_corpus_of_files_must_be_prepared_here(own_home: Path, run: Callable) -> None:
    before = evaluated(run, "scenes-attention")
    shutil.rmtree(own_home / "corpora")
    assert evaluated(run, "scenes-attention") == before
    done = run("evaluate", "own-attention")
    assert done.code == 2
    assert "the corpus of own-attention:1 is not in" in done.err
    assert "s2s evaluate own-attention:1 IMAGES CAPTIONS" in done.err


def test_training_ends_with_all_scores(run: Callable) -> None:
    done = run("train", "scenes/bottleneck", *settings([*OWN_PICTURES, f'data.root="{Path.cwd()}"']), "--fresh")
    (line,) = [line for line in done.err.splitlines() if line.startswith("test ")]
    for name in ("BLEU", "chrF2"):
        assert name in done.err
    assert "distinct words" in line
    assert f"({CIDER}" in line
    assert "on fewer than 100 images" in done.err


def test_a_comparison_holds_all_scores(
    run: Callable, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = run(
        "compare", "own-bottleneck", "own-attention", "--set", f"data.root={Path.cwd()}", "--out", ".", "--json",
    )  # fmt: skip
    assert done.code == 0, done.err
    [comparison] = json.loads(done.out)
    for system in comparison["systems"]:
        found = evaluated(run, system["name"])
        assert {name: score["value"] for name, score in system["scores"].items()} == pytest.approx(
            {name: score["value"] for name, score in found.items()}
        )
        stored = json.loads(Path(f"results/{system['name']}.json").read_text())
        assert stored["scores"] == system["scores"]
    notes = " ".join(comparison["notes"])
    assert "over resamples of the images, each with all its captions; other scores are not tested" in notes
    assert "on fewer than 100 images" in notes
    signature = comparison["systems"][1]["difference"]["bootstrap"]["signature"]
    assert "|nrefs:2|bs:1000|" in signature
    page, table = Path("report.html").read_text(), Path("RESULTS.md").read_text()
    for text in ("CIDEr-D", "distinct words", CIDER):
        assert text in page
        assert text in table.replace("\\", "")
    (by_length,) = comparison["breakdowns"]
    assert (by_length["by"], by_length["counted"]) == ("reference length", "images")
    root = Path.cwd()
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    files = [root / "results/own-bottleneck.json", root / "results/own-attention.json"]
    again = run("compare", *files, "--set", f"data.root={root}", "--json")
    assert json.loads(again.out)[0]["systems"] == comparison["systems"]


def test_the_page_shows_pictures_with_captions_and_maps_of_all_systems(run: Callable) -> None:
    assert run("compare", "scenes-attention", "scenes-bottleneck").code == 0
    page = Path("comparison/report.html").read_text()
    examples = page.split("<article>")[1:]
    assert 1 <= len(examples) <= 6
    for example in examples:
        assert example.count('<img class="picture" src="data:image/png;base64,') == 1
        first, second = example.split("<h4>")[1:]
        assert "scenes-attention" in first
        assert first.count("<svg ") == 1
        assert "scenes-bottleneck" in second
        assert "<svg " not in second
    assert len(page) < 60_000 * len(examples)
    for part in ("attention near objects", "F1 of objects", "% of captions exact by number of objects"):
        assert part in page
    assert "CIDEr-D" not in page
    assert "http" not in page.replace("http-equiv", "").replace("http://www.w3.org/2000/svg", "")
