"""Scoring raw lines of two files: word alignment, scores, grouping of line pairs."""

import gzip
import math
import os
import threading
from pathlib import Path

import numpy as np
import pytest
import torch

from s2s.decoding import scoring
from s2s.decoding.loading import reference_translator
from s2s.decoding.pytorch_engine import PyTorchEngine
from s2s.decoding.scoring import ScoredLine, Totals, align_words, score_files, score_lines
from s2s.decoding.translator import Translator
from s2s.errors import DataError, UsageError
from s2s.registry.store import Registry

SOURCES = ["einundzwanzig", "", "12. März 1999", " \t ", "neunhundertachtundachtzig ; 3. Mai 2020", "x\u2028y"]
TARGETS = ["twenty-one", "three", "", "  ", "nine hundred and eighty-eight ; 3 May 2020", "x\u2028y <s> ▁"]


@pytest.fixture
def translator(trained_home: Path) -> Translator[PyTorchEngine]:
    return reference_translator(Registry.default().resolve("numbers-attention"), torch.device("cpu"))


# words


def test_words_align_by_attention_summed_over_tokens() -> None:
    source, target = ["▁ein", "und", "▁", "zwan", "zig", "▁x"], ["▁twen", "ty", "▁", "one"]
    of_source, of_target = [0, 0, 1, 1, 1, 2], [0, 0, 1, 1]
    for seed in range(20):
        attention = np.random.default_rng(seed).dirichlet(np.full(7, 0.3), size=5).astype(np.float32)
        attention[-1], attention[:, -1] = 99, 99  # of EOS, which is ignored
        sums = [[0.0] * 3 for _ in range(2)]
        for t, word in enumerate(of_target):
            for s, source_word in enumerate(of_source):
                sums[word][source_word] += float(attention[t, s])
        assert align_words(attention, source, target) == tuple((row.index(max(row)), j) for j, row in enumerate(sums))


def test_empty_side_has_no_alignment() -> None:
    one = np.ones((1, 1), dtype=np.float32)
    assert align_words(one, [], []) == ()
    assert align_words(one.repeat(2, 0), [], ["▁x"]) == ()
    assert align_words(one.repeat(2, 1), ["▁x"], []) == ()


def test_words_are_separated_by_spaces(translator: Translator[PyTorchEngine]) -> None:
    texts = ["zwei drei", "  a  b ", "vierzig ; 3. Mai", "▁a", "a▁▁b", "a ▁ ", "a\tb c", "x\u2028y z"]
    for text, line in zip(
        texts, score_lines(translator, ["drei vier"] * len(texts), texts, need_attention=True), strict=True
    ):
        words = [word for word in text.replace("▁", " ").split(" ") if word]
        assert [target for _, target in line.alignment] == list(range(len(words)))
        assert {source for source, _ in line.alignment} <= {0, 1}


# lines


def test_text_format_can_be_parsed() -> None:
    tokens = ("▁a", "\t", "\u2028", "▁", "<unk>", "</s>")
    line = ScoredLine(tokens, (-0.25, -1e-7, -2.0, -3.5, -10.0, -0.0), 9)
    total, _, text = line.as_text(tokens=True).partition("\t")
    fields = text.split(" ")
    assert tuple(fields[::2]) == tokens
    assert fields[1::2] == ["-0.2500", "0.0000", "-2.0000", "-3.5000", "-10.0000", "0.0000"]
    assert total == line.as_text(tokens=False) == "-15.7500"


def test_totals() -> None:
    totals = Totals()
    assert totals.describe() == "0 lines"
    totals.add([ScoredLine(("▁a", "</s>"), (-math.log(2), -math.log(4)), 3), ScoredLine(("</s>",), (-math.log(8),), 0)])
    bits = math.log(2 * 4 * 8)
    assert totals.describe() == (
        f"2 lines, 3 tokens: log-probability {-bits:.4f}, perplexity 4.0000, 2.0000 bits per byte"
    )
    nothing = Totals()
    nothing.add([ScoredLine(("</s>",), (-1.0,), 0)])
    assert "bits" not in nothing.describe()


def test_lines_are_scored_independently(translator: Translator[PyTorchEngine]) -> None:
    together = score_lines(translator, SOURCES, TARGETS, need_attention=True)
    for source, target, line in zip(SOURCES, TARGETS, together, strict=True):
        (alone,) = score_lines(translator, [source], [target], need_attention=True)
        assert (line.tokens, line.target_bytes, line.alignment) == (alone.tokens, len(target.encode()), alone.alignment)
        assert line.log_probabilities == pytest.approx(alone.log_probabilities, abs=1e-5)
        assert line.tokens[-1] == "</s>"
    assert [len(line.tokens) for line in together][2:4] == [1, 1]
    assert all(-math.inf < line.log_probability < 0 for line in together)
    assert score_lines(translator, [], []) == []


def test_very_long_pair(translator: Translator[PyTorchEngine]) -> None:
    source, target = "drei hundert " * 600, "three hundred " * 800
    line, short = score_lines(translator, [source, "vier"], [target, "four"], need_attention=True)
    assert len(line.tokens) > 2000
    assert len(line.alignment) == 1600
    assert math.isfinite(line.log_probability)
    assert short.log_probability == pytest.approx(
        score_lines(translator, ["vier"], ["four"])[0].log_probability, abs=1e-5
    )


# files


def write(path: Path, lines: list[str]) -> str:
    text = "".join(f"{line}\n" for line in lines).encode()
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
    return str(path)


def scored(translator: Translator[PyTorchEngine], source: str, target: str) -> tuple[list[ScoredLine], Totals]:
    found: list[ScoredLine] = []
    return found, score_files(translator, source, target, found.extend)


def test_windows_and_compression_change_nothing(
    translator: Translator[PyTorchEngine], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = write(tmp_path / "s", SOURCES), write(tmp_path / "t.gz", TARGETS)
    whole, totals = scored(translator, source, target)
    monkeypatch.setattr(scoring, "WINDOW", 2)
    parts, same = scored(translator, source, target)
    assert (totals.lines, totals.tokens, totals.target_bytes) == (same.lines, same.tokens, same.target_bytes)
    counted = [target for source, target in zip(SOURCES, TARGETS, strict=True) if source.strip() and target.strip()]
    assert len(counted) < len(TARGETS)
    assert totals.target_bytes == sum(len(target.encode()) for target in counted)
    for one, two in zip(whole, parts, strict=True):
        assert one.tokens == two.tokens
        assert one.log_probability == pytest.approx(two.log_probability, abs=1e-4)


@pytest.mark.parametrize("piped", [(), ("s",), ("t",), ("s", "t")])
@pytest.mark.parametrize("lengths", [(5, 7), (7, 5), (6, 7), (4, 0), (0, 4)])
def test_unequal_line_counts_name_both(
    translator: Translator[PyTorchEngine],
    lengths: tuple[int, int],
    piped: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(scoring, "WINDOW", 3)
    names = []
    for side, length in zip("st", lengths, strict=True):
        names.append(path := tmp_path / side)
        if side in piped:
            os.mkfifo(path)
            threading.Thread(target=path.write_text, args=("drei\n" * length,), daemon=True).start()
        else:
            write(path, ["drei"] * length)
    with pytest.raises(DataError, match=f"line counts differ: .*s has {lengths[0]}, .*t has {lengths[1]}$"):
        scored(translator, *map(str, names))


def test_errors_at_the_end_are_found_before_scoring(
    translator: Translator[PyTorchEngine], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scoring, "WINDOW", 2)
    source = write(tmp_path / "s", SOURCES)
    (tmp_path / "t").write_bytes(b"one\n" * 5 + b"\xff\n")
    with pytest.raises(DataError, match="t:6: invalid UTF-8"):
        score_files(translator, source, str(tmp_path / "t"), lambda _: pytest.fail("scored"))


def test_standard_input_for_both_sides_is_refused(translator: Translator[PyTorchEngine]) -> None:
    with pytest.raises(UsageError, match="standard input"):
        scored(translator, "-", "-")
