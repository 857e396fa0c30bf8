import json
from pathlib import Path

import pytest


@pytest.fixture
def files(in_directory: Path) -> Path:
    for language, word in (("de", "Öl"), ("en", "oil"), ("fr", "huile")):
        (in_directory / f"a.{language}").write_text("".join(f"{word} {line} {word}\n" for line in range(500)))
    return in_directory


def corrupt(run, *arguments: object):
    return run("data", "corrupt", "--source", "a.de", "--target", "a.en", "-o", "bad", *arguments)


def test_two_files_and_where_their_faults_are(run, files: Path):
    faults = ("--fault", "shifted=20%", "--fault", "wrong_language=2%", "--other", "a.fr", "--block-lines", "50")
    done = corrupt(run, *faults, "-o", "bad texts")
    assert (done.code, done.out) == (0, "")
    assert "shifted: 100 of 500 lines" in done.err
    assert "Next: s2s init --source 'bad texts/a.de' --target 'bad texts/a.en'" in done.err
    found = [json.loads(line) for line in (files / "bad texts" / "faults.jsonl").read_text().splitlines()]
    assert [one["last"] - one["first"] for one in found if one["fault"] == "shifted"] == [49, 49]
    targets = (files / "bad texts" / "a.en").read_text().splitlines()
    french = [line for line, text in enumerate(targets, 1) if text.startswith("huile")]
    assert french == [one["first"] for one in found if one["fault"] == "wrong_language"]
    assert (files / "bad texts" / "a.de").read_bytes() == (files / "a.de").read_bytes()


def test_training_pairs_of_a_recipe(run, in_directory: Path):
    done = run(
        "data",
        "corrupt",
        "numbers/attention",
        "--set",
        "data.generator.train=60",
        "--fault",
        "swapped=50%",
        "-o",
        "bad",
    )
    assert done.code == 0
    assert len((in_directory / "bad" / "train.de").read_text().splitlines()) == 60
    (fault,) = map(json.loads, (in_directory / "bad" / "faults.jsonl").read_text().splitlines())
    assert (fault["fault"], fault["side"], fault["last"] - fault["first"] + 1) == ("swapped", "both", 30)


def test_what_is_refused(run, files: Path):
    assert "did you mean shifted" in corrupt(run, "--fault", "shiftd=1%").err
    assert "shifted=10%" in corrupt(run, "--fault", "shifted=1").err
    assert "--other" in corrupt(run, "--fault", "wrong_language=1%").err
    assert "--source and --target" in run("data", "corrupt", "--fault", "shifted=1%", "-o", "bad").err
    assert "two --fault" in corrupt(run, "--fault", "shifted=1%", "--fault", "shifted=2%").err
    assert "--source and --target" in corrupt(run, "numbers/attention", "--fault", "shifted=1%").err
    assert "--set" in corrupt(run, "--set", "training.seed=3", "--fault", "shifted=1%").err
    (files / "empty").touch()
    held = "hold_out_validation = 1\nhold_out_test = 1\n"
    (files / "empty.toml").write_text(f"name = 'empty'\n[data]\n{held}train = {{source = 'empty', target = 'empty'}}\n")
    refused = run("data", "corrupt", "empty.toml", "--fault", "shifted=1%", "-o", "bad")
    assert (refused.code, "recipe empty.toml has no training pairs" in refused.err) == (3, True)
    assert "images" in run("data", "corrupt", "scenes/attention", "--fault", "shifted=1%", "-o", "bad").err
    for sides in (("empty", "empty"), ("a.de", "a.en", "--other", "empty")):
        flags = "--source", sides[0], "--target", sides[1], *sides[2:], "--fault", "wrong_language=10%"
        refused = run("data", "corrupt", *flags, *([] if sides[2:] else ["--other", "a.de"]), "-o", "bad")
        assert (refused.code, "empty has no lines" in refused.err) == (3, True)
    assert not (files / "bad").exists()
    assert corrupt(run, "--fault", "shifted=50%").code == 0
    assert corrupt(run, "--fault", "shifted=50%").code == 2
