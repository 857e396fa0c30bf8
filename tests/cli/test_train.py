"""`s2s train`, `resume`, `evaluate` and `compare` as a user runs them."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from s2s.registry.store import Registry


def settings(tiny: list[str]) -> list[str]:
    return [part for setting in tiny for part in ("--set", setting)]


def test_train_ends_by_naming_the_model_and_the_next_command(
    run: Callable, tiny: list[str], trained_home: Path
) -> None:
    done = run("train", "numbers/attention", *settings(tiny), "--name", "mine")
    assert done.code == 0
    assert done.out == ""
    assert "model mine:1. Next: s2s translate mine" in done.err
    assert "validation" in done.err
    again = run("train", "numbers/attention", *settings(tiny), "--name", "mine")
    assert again.code == 0
    assert "mine:1" in again.err
    assert run("models", "show", "mine:2").code == 2


def test_a_worse_version_is_named(run: Callable, tiny: list[str], trained_home: Path) -> None:
    registry = Registry.default()
    version = registry.resolve("numbers-attention")
    first, *others = version.card.scores
    for value, corpus in ((99.0, version.card.test_digest), (99.5, "0" * 64)):
        card = version.card.model_copy(
            update={"scores": [first.model_copy(update={"value": value}), *others], "test_digest": corpus}
        )
        registry.publish("numbers-attention", {name: version.path(name) for name in version.files}, card)
    done = run("train", "numbers/attention", *settings([*tiny, "training.seed=2"]))
    score = f"{registry.resolve('numbers-attention:4').card.scores[0].value:.1f}"
    assert f"numbers-attention:4: BLEU {score}; numbers-attention:2 has 99.0 and is no longer the newest" in done.err
    assert f"BLEU {score} (:2 99.0)" in run("models", "list").out


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["numbers/atention"], 2, "did you mean numbers/attention"),
        (["numbers/attention", "--set", "training.batch_token=3"], 2, "did you mean batch_tokens"),
        (["numbers/attention", "--set", "tokenizer.vocab_size=20000"], 2, "tokenizer.vocab_size"),
        (["numbers/attention", "--name", "Not A Name"], 2, "name"),
        (["multi30k/attention", "--set", "data.root=nowhere"], 2, "data.root"),
        (["nowhere.toml"], 2, "nowhere.toml"),
    ],
)
def test_bad_recipes_leave_nothing_behind(
    arguments: list[str], code: int, message: str, run: Callable, own_home: Path, in_directory: Path
) -> None:
    small = ["--set", "data.generator.train=200"] if "numbers" in arguments[0] else []
    done = run("train", *arguments, *small)
    assert done.code == code
    assert message in done.err
    assert not (own_home / "runs").exists()


def test_two_files_of_ones_own(run: Callable, in_directory: Path) -> None:
    make = ["data", "make", "numbers", "--count", "400", "--seed", "3", "-o", "pairs.tsv"]
    assert run(*make).code == 0
    rows = [line.split("\t") for line in (in_directory / "pairs.tsv").read_text().splitlines()]
    for side, name in enumerate(("a.de", "a.en")):
        (in_directory / name).write_text("".join(f"{row[side]}\n" for row in rows))
    assert run("init", "--source", "a.de", "--target", "a.en", "--name", "mine", "-o", "mine.toml").code == 0
    small = [
        "training.stop_after=2 updates",
        "training.validate_every=1 updates",
        "model.embedding_size=8",
        "decoding.max_ratio=0.2",
    ]
    small += ["model.encoder.hidden_size=8", "model.decoder.hidden_size=8"]
    done = run("train", "mine.toml", *settings(small))
    assert done.code == 0, done.err
    assert run("translate", "mine", "a.de", "-o", "out.en", "--beam-size", "1").code == 0
    assert (in_directory / "out.en").read_text().count("\n") == 400


def test_unequal_files_are_refused_with_both_counts(run: Callable, in_directory: Path, trained_home: Path) -> None:
    (in_directory / "a.de").write_text("eins\nzwei\n")
    (in_directory / "a.en").write_text("one\n")
    done = run("evaluate", "numbers-attention", "a.de", "a.en")
    assert done.code == 3
    assert "line counts differ: a.de has 2, a.en has 1" in done.err


def test_evaluate_prints_scores_with_signatures(run: Callable, in_directory: Path, trained_home: Path) -> None:
    (in_directory / "a.de").write_text("drei\nvier\n")
    (in_directory / "a.en").write_text("three\nfour\n")
    done = run("evaluate", "numbers-attention", "a.de", "a.en", "--json", "-o", "out.en")
    assert done.code == 0
    found = json.loads(done.out)
    assert found["scores"].keys() == {"bleu", "chrf", "ter", "exact", "bits_per_byte"}
    assert found["scores"]["bleu"]["signature"].startswith("BLEU|nrefs:1|case:mixed")
    assert found["perplexity"] > 1
    assert (in_directory / "out.en").read_text().count("\n") == 2
    assert "BLEU|nrefs:1" in run("evaluate", "numbers-attention", "a.de", "a.en").out


def test_compare_prints_figures_and_writes_page_table_results_and_picture(
    run: Callable, in_directory: Path, trained_home: Path, tiny: list[str]
) -> None:
    done = run(
        "compare",
        "numbers/bottleneck",
        "numbers/attention",
        *settings(tiny),
        "--out",
        "out",
    )
    assert done.code == 0, done.err
    for shown in ("numbers-bottleneck", "numbers-attention", "BLEU", "perplexity", "BLEU|nrefs:1|case:mixed"):
        assert shown in done.out
    page = (in_directory / "out" / "report.html").read_text()
    assert "numbers-attention" in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert (in_directory / "out" / "results" / "numbers-attention.json").exists()
    assert (in_directory / "out" / "result.svg").read_text().startswith("<svg")
    refused = run("compare", "numbers/bottleneck", "numbers/attention", *settings(tiny), "--out", "out")
    assert refused.code == 2
    assert "report.html exists" in refused.err
    file = run("compare", "numbers/bottleneck", "numbers/attention", *settings(tiny), "--out", "out/result.svg")
    assert file.code == 2
    assert "out/result.svg is not a directory" in file.err
    [as_json] = json.loads(run("compare", "numbers-bottleneck", "numbers-attention", "--json").out)
    assert (in_directory / "comparison" / "RESULTS.md").exists()
    assert run("compare", "numbers-bottleneck", "numbers-attention").code == 0
    assert [system["name"] for system in as_json["systems"]] == ["numbers-bottleneck", "numbers-attention"]
    assert all("signature" in system["scores"]["bleu"] for system in as_json["systems"])
