import random

import pytest
from parallel_text import LINES, parallel_text

from s2s.data.diagnosis import Diagnosis
from s2s.data.diagnosis.unequal_files import last_parallel_line
from s2s.data.ledger import Finding
from s2s.data.readers import Pair


def diagnose(
    sources: list[str], targets: list[str], languages: tuple[str, str] = ("de", "en"), file: str = "train.de"
) -> list[Finding]:
    diagnosis = Diagnosis(*languages)
    texts = enumerate(zip(sources, targets, strict=True), 1)
    diagnosis.add(Pair(source, target, line, file) for line, (source, target) in texts)
    return diagnosis.findings()


def only(findings: list[Finding], kind: str) -> Finding:
    assert [finding.kind for finding in findings] == [kind], findings
    return findings[0]


def test_clean_text_has_no_findings():
    assert diagnose(*parallel_text()) == []


@pytest.mark.parametrize(("first", "shift"), [(1, 1), (1, -3), (431, -1), (600, 5), (LINES - 49, 1), (LINES - 49, -2)])
def test_shifted_block_is_located(first, shift):
    sources, targets = parallel_text(seed=first)
    block = targets[first - 1 : first + 49]
    targets[first - 1 : first + 49] = block[shift:] + block[:shift]
    found = only(diagnose(sources, targets), "misaligned")
    (extent,) = found.extents
    assert extent.shift == shift
    assert abs(extent.first - first) <= 10
    assert abs(extent.last - (first + 49)) <= 10
    assert found.examples[0].line == f"train.de:{extent.first}"


def test_several_blocks_in_a_long_file():
    sources, targets = parallel_text(20_000)
    places = [300, 9_200, 15_000, 16_000, 19_950]
    for place in places:
        targets[place : place + 50] = targets[place + 1 : place + 50] + targets[place : place + 1]
    found = only(diagnose(sources, targets), "misaligned")
    assert len(found.extents) == len(places)
    assert all(abs(extent.first - 1 - place) <= 10 for extent, place in zip(found.extents, places, strict=True))
    assert "4 other blocks" in found.message


def test_missing_line_shifts_the_rest():
    sources, targets = parallel_text(10_000)
    del targets[2000], sources[-1]
    found = only(diagnose(sources, targets), "misaligned")
    assert "to the end, each target belongs to the source 1 line later" in found.message
    assert abs(found.extents[0].first - 2001) <= 10
    assert found.extents[0].last == 9_999


def test_shuffled_block_and_whole():
    sources, targets = parallel_text()
    block = targets[1000:1400]
    random.Random(2).shuffle(block)
    found = only(diagnose(sources, targets[:1000] + block + targets[1400:]), "misaligned")
    assert "do not belong together" in found.message
    assert abs(found.extents[0].first - 1001) <= 10
    assert abs(found.extents[0].last - 1400) <= 10
    random.Random(2).shuffle(targets)
    assert "hardly agree" in only(diagnose(sources, targets), "misaligned").message


def test_text_of_another_kind_is_not_misaligned():
    sources, targets = parallel_text()
    for line in range(1000, 1300):
        targets[line] = " ".join([targets[line]] * 3)
    assert diagnose(sources, targets) == []


def test_files_are_aligned_one_by_one():
    sources, targets = parallel_text()
    diagnosis = Diagnosis("de", "en")
    for row, (source, target) in enumerate(zip(sources[1:] + sources[:1], targets, strict=True)):
        shifted = row >= LINES // 2
        pair = Pair(source if shifted else sources[row], target, row % (LINES // 2) + 1, "b" if shifted else "a")
        diagnosis.add([pair])
    (extent,) = only(diagnosis.findings(), "misaligned").extents
    assert (extent.file, extent.first, extent.last, extent.shift) == ("b", 1, LINES // 2, -1)


def test_swapped_block():
    sources, targets = parallel_text()
    sources[700:800], targets[700:800] = targets[700:800], sources[700:800]
    found = only(diagnose(sources, targets), "swapped")
    assert 95 <= found.count <= 100
    assert (found.extents[0].first, found.extents[0].last) == pytest.approx((701, 800), abs=5)


def test_stretches_go_on_in_the_next_window():
    sources, targets = parallel_text(4000)
    for first, end in ((1700, 3300), (3500, 3530)):
        targets[first:end] = sources[first:end]
    found = only(diagnose(sources, targets), "copies")
    assert [(extent.first, extent.last) for extent in found.extents] == [pytest.approx((1701, 3300), abs=5)]


def test_copies_and_untranslated_targets():
    sources, targets = parallel_text()
    rows = range(0, LINES, 20)
    copies = [sources[row] if row in rows else target for row, target in enumerate(targets)]
    assert only(diagnose(sources, copies), "copies").count > 50
    others = [sources[row - 300] if row in rows else target for row, target in enumerate(targets)]
    found = only(diagnose(sources, others), "untranslated")
    assert "source's language" in found.message
    assert found.count > 70
    others = [targets[row - 300] if row in rows else source for row, source in enumerate(sources)]
    assert "target's language" in only(diagnose(others, targets), "untranslated").message


def test_pairs_of_one_language_may_differ():
    sources, targets = parallel_text()
    assert diagnose(sources, sources, ("de_DE", "de")) == []
    assert only(diagnose(sources, sources), "copies").extents == []
    random.Random(2).shuffle(targets)
    assert diagnose([f"{text} 17 %s" for text in sources], targets, ("de", "de_AT")) == []


@pytest.mark.parametrize(
    ("character", "encoding"), [("ä", "latin-1"), ("’", "latin-1"), ("’", "cp1252"), ("ш", "cp1252"), ("日", "cp1252")]
)
def test_mojibake(character, encoding):
    sources, targets = parallel_text()
    garbled = "".join(
        bytes([byte]).decode(encoding) if encoding == "latin-1" or byte not in b"\x81\x8d\x8f\x90\x9d" else chr(byte)
        for byte in character.encode()
    )
    for row in range(100, 200):
        sources[row] += garbled
    found = only(diagnose(sources, targets), "mojibake")
    assert found.count == 100
    assert (found.extents[0].first, found.extents[0].last) == (101, 200)


@pytest.mark.parametrize(
    "text",
    [
        "Ämter über Öl: „ähm“ – naïve café",
        "«À l'été, ça ira…»",
        "ÇA ET LÀ’, DÉCIDÉ\u00a0: «\u00a0privé\u00a0»",
        "東京「日本」",
        "Ünïcödé ½ ¾",
    ],
)
def test_accents_and_quotes_are_not_mojibake(text):
    sources, targets = parallel_text()
    assert diagnose([f"{source} {text}" for source in sources], [f"{target} {text}" for target in targets]) == []


@pytest.mark.parametrize(
    ("kind", "source", "kept", "lost"),
    [
        ("placeholders", "%(name)s und {count}", "%(name)s and {count}", "name and {count}"),
        ("tags", "<b>fett</b>&nbsp;oder", "<b>bold</b>&nbsp;or", "bold or"),
        ("numbers", "1.000 von 12", "12 out of 1,000", "12 out of 1,001"),
    ],
)
def test_lost_marks(kind, source, kept, lost):
    sources, targets = parallel_text()
    sources = [f"{text} {source}" for text in sources]
    rows = set(range(0, LINES, 5))
    found = diagnose(sources, [f"{text} {lost if row in rows else kept}" for row, text in enumerate(targets)])
    assert only(found, kind).count == len(rows)
    assert diagnose(sources, [f"{text} {kept}" for text in targets]) == []


def test_percent_signs_are_no_placeholders():
    sources, targets = parallel_text()
    assert (
        diagnose([f"{text} 100 % sicher, 7%ig" for text in sources], [f"{text} 100% sure, 7%" for text in targets])
        == []
    )


CYRILLIC = str.maketrans("abcdefghijklmnopqrstuvwxyz", "абцдефгхийклмнопярстувщхыз")


def test_wrong_script_and_swapped_scripts():
    sources, targets = parallel_text()
    russian = [source.translate(CYRILLIC) for source in sources]
    assert diagnose(russian, targets, ("ru", "en")) == []
    found = only(diagnose(russian, targets, ("de", "en")), "script")
    assert "source that is not in Latin script (de)" in found.message
    assert "Cyrillic" in only(diagnose(russian, targets, ("en", "ru")), "swapped").message


def test_little_evidence_is_silent():
    sources, targets = parallel_text(45)
    assert diagnose(sources, targets[1:] + targets[:1]) == []
    sources, targets = parallel_text()
    for row in range(100, 115):
        targets[row] = sources[row] + "Ã¤ %s <b>"
    assert diagnose(sources, targets) == []


def test_blank_and_very_long_lines():
    sources, targets = parallel_text()
    sources[5], targets[6], targets[7], sources[8] = "", "", "y\u2028" * 10, "x" * 900
    assert diagnose(sources, targets) == []
    assert diagnose([], []) == []
    assert diagnose([""] * 300, ["", " "] * 150) == []
    assert diagnose([""] * 10_000 + sources, ["x"] * 10_000 + targets) == []
    assert diagnose(["ab"] * 300, ["cd"] * 300) == []


def test_lines_far_longer_than_the_rest_are_named():
    sources, targets = parallel_text()
    sources[7], targets[900], sources[1400] = "x" * 5_000_000, f"{targets[900]} " * 200, "x" * 1100
    found = only(diagnose(sources, targets), "long")
    length = len(targets[900])
    assert f"5,000,000 in train.de:8, {length:,} in train.de:901, 1,100 in train.de:1401" in found.message
    assert [example.line for example in found.examples] == ["train.de:8", "train.de:901", "train.de:1401"]


def test_paragraphs_are_not_far_longer():
    sources, targets = parallel_text()
    sources[7], targets[7] = f"{sources[7]} " * 200, f"{targets[7]} " * 200
    assert diagnose(sources, targets) == []
    sources, targets = ([f"{text} " * 30 for text in side] for side in parallel_text(100))
    sources[7] *= 4
    assert diagnose(sources, targets) == []


@pytest.mark.parametrize("one_language", [False, True])
def test_headings_among_sentences_are_named(one_language):
    sources, targets = parallel_text()
    rows = range(10, LINES, 25)
    for row in rows:
        sources[row], targets[row] = f"krazen {row}", "owly"
    found = only(diagnose(sources, targets, ("en", "en") if one_language else ("de", "en")), "headings")
    assert (found.count, found.examples[0].line) == (len(rows), "train.de:11")


def test_fragments_of_usual_length_or_finished_on_one_side_are_no_headings():
    for fragment in (lambda source, target: (source[:-1], target[:-1]), lambda *_: ("krazen", "owly.")):
        sources, targets = parallel_text()
        for row in range(10, LINES, 25):
            sources[row], targets[row] = fragment(sources[row], targets[row])
        assert diagnose(sources, targets) == []


def test_text_without_punctuation_has_no_headings():
    sources, targets = ([text.removesuffix(".") for text in side] for side in parallel_text())
    assert diagnose(sources, targets) == []


@pytest.mark.parametrize("lines", [1, 3, 200])
def test_last_parallel_line_of_unequal_files(lines):
    sources, targets = ([text.encode() for text in side] for side in parallel_text())
    assert last_parallel_line(sources, targets[:700] + targets[700 + lines :]) == pytest.approx(700, abs=10)
    assert last_parallel_line(sources, targets[:-lines]) == LINES - lines
    assert last_parallel_line(sources[:20], targets[:21]) is None
