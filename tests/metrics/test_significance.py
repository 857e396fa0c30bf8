"""Significance tests: those of sacrebleu's command line, on lines with one or several references."""

import multiprocessing
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from s2s.errors import DataError
from s2s.metrics import significance
from s2s.metrics.scores import Headline, score_corpus
from s2s.metrics.significance import Significance, paired_test, show_p_value

REFERENCES = [f"line {i} says {i * i} and then {i % 7} more words" for i in range(60)]
WORSE = [line.replace("and then", "or") if i % 2 else line for i, line in enumerate(REFERENCES)]
NEARLY = [line.replace("more", "many") if i == 3 else line for i, line in enumerate(REFERENCES)]


def bootstrap(baseline: list[str], systems: list[list[str]], references: Any, **options: Any) -> list[Significance]:
    return paired_test("bs", baseline, systems, references, **options)


def test_outcomes_are_in_the_order_of_the_systems() -> None:
    worse, same = bootstrap(NEARLY, [WORSE, NEARLY], REFERENCES, samples=200)
    assert worse.p_value == pytest.approx(1 / 201)
    assert same.p_value == 1


def test_a_difference_of_one_line_is_not_significant() -> None:
    [found] = bootstrap(NEARLY, [REFERENCES], REFERENCES, samples=200)
    assert found.p_value > 0.05


@pytest.mark.parametrize(("kind", "option"), [("bs", "--paired-bs"), ("ar", "--paired-ar")])
@pytest.mark.parametrize("metric", ["bleu", "chrf"])
def test_p_values_and_signatures_are_those_of_the_command_line(
    tmp_path: Path, kind: Any, option: str, metric: Headline
) -> None:
    """A mixed output, so that p is neither 1/(samples + 1) nor 1."""
    rest = [line.replace("words", "word") if i % 3 == 0 else line for i, line in enumerate(REFERENCES)]
    mixed = [line.replace("words", "word") if i % 5 < 2 else line for i, line in enumerate(REFERENCES)]
    for name, lines in [("reference", REFERENCES), ("baseline", rest), ("system", mixed)]:
        (tmp_path / name).write_text("".join(f"{line}\n" for line in lines))
    arguments = ["reference", "-i", "baseline", "system", "-m", metric, option, "--paired-bs-n", "300"]
    arguments += ["--paired-ar-n", "300", "--format", "text"]
    command = [sys.executable, "-m", "sacrebleu", *arguments]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    [told] = re.findall(r"p = ([\d.]+)", done.stdout)
    [found] = paired_test(kind, rest, [mixed], REFERENCES, samples=300, metric=metric)
    assert found.p_value == pytest.approx(float(told), abs=1e-4)
    assert 0.01 < found.p_value < 0.99
    assert f"|{kind}:300|seed:12345|" in found.signature


def test_the_signature_names_test_samples_and_seed_and_results_repeat() -> None:
    [first] = bootstrap(WORSE, [NEARLY], REFERENCES, samples=150)
    assert bootstrap(WORSE, [NEARLY], REFERENCES, samples=150) == [first]
    assert first.signature.startswith("BLEU|nrefs:1|bs:150|seed:12345|case:mixed|")
    [other] = paired_test("ar", WORSE, [NEARLY], REFERENCES)
    assert other.signature.startswith("BLEU|nrefs:1|ar:10000|seed:12345|case:mixed|")


def test_samples_shrink_with_many_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(significance, "MAX_CELLS", 60 * 120)
    [found] = bootstrap(WORSE, [NEARLY], REFERENCES)
    assert "|bs:120|" in found.signature


def test_no_process_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a process was started")

    monkeypatch.setattr(multiprocessing, "get_context", refuse)
    assert len(bootstrap(WORSE, [NEARLY, REFERENCES], REFERENCES, samples=100)) == 2


def test_probability_is_never_shown_as_zero() -> None:
    assert show_p_value(1 / 1001) == "p < 0.001"
    assert show_p_value(0.0344) == "p = 0.034"


def test_unequal_counts_and_no_lines_are_refused() -> None:
    with pytest.raises(DataError, match="1 hypotheses for 2 references"):
        bootstrap(["a", "b"], [["a"]], ["a", "b"])
    with pytest.raises(DataError, match="no lines"):
        bootstrap([], [[]], [])


def test_a_list_of_one_reference_is_tested_as_the_reference() -> None:
    one = [[line] for line in REFERENCES]
    of_lists = bootstrap(WORSE, [NEARLY], one, samples=150)
    assert of_lists == bootstrap(WORSE, [NEARLY], REFERENCES, samples=150)


@pytest.mark.parametrize("metric", ["bleu", "chrf"])
def test_a_resampled_line_takes_all_its_references_along(metric: Headline) -> None:
    """The p-value is that of scoring every resample anew (Koehn 2004), with sacrebleu's seed."""
    several = [[line, line.replace("says", "tells")] if i % 3 else line for i, line in enumerate(REFERENCES[:20])]
    systems = [
        [line.replace("more", "many") if i % 3 == 1 else line for i, line in enumerate(REFERENCES[:20])],
        [
            line.replace("says", "tells").replace("then", "so" if i % 5 == 1 else "then")
            for i, line in enumerate(REFERENCES[:20])
        ],
    ]
    [found] = bootstrap(systems[0], [systems[1]], several, samples=100, metric=metric)
    assert "|nrefs:var|bs:100|" in found.signature

    def gap(rows: Any) -> float:
        one, other = (
            score_corpus([lines[row] for row in rows], [several[row] for row in rows], [metric])[metric].value
            for lines in systems
        )
        return other - one

    rows = np.random.default_rng(12345).choice(20, size=(100, 20), replace=True)
    gaps = np.abs([gap(resample) for resample in rows])
    exceeding = np.sum(gaps - gaps.mean() > abs(gap(range(20))))
    assert found.p_value == pytest.approx((exceeding + 1) / 101)
    assert 0 < exceeding < 90
