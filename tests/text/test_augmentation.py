"""Changes to the texts of a pair: what they do, and what they leave alone."""

from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from s2s.recipe.augmentation import AugmentationOptions
from s2s.text.augmentation import DRAWS, TextAugmenter, with_typos
from s2s.text.placeholders import placeholders


def augment(source: str, target: str, languages: tuple[str, str] = ("de", "en"), **options: float) -> tuple[str, str]:
    augmenter = TextAugmenter(AugmentationOptions.model_validate(options), languages, ["<2en>", "abc"])
    return augmenter((source, target), [0.0, 0.0, 0.0, 0.25])


@pytest.mark.parametrize(
    ("text", "language", "upper", "title"),
    [
        ("Der Fuß, dass er's geht", "de", "DER FUSS, DASS ER'S GEHT", "Der Fuß, Dass Er's Geht"),
        ("iyi ılık", "tr", "İYİ ILIK", "İyi Ilık"),
        ("iyi ılık", "en", "IYI ILIK", "Iyi Ilık"),
        ("der 3rd iPhone (nicht „du“)", "de", "DER 3RD IPHONE (NICHT „DU“)", "Der 3rd IPhone (Nicht „Du“)"),
        ("მე ვარ a", "ka", "მე ვარ A", "მე ვარ A"),
        ("他走了。", "zh", "他走了。", "他走了。"),
        ("%d Äpfel, %ss {name}s <b>fett</b>x abcd", "de", "%d ÄPFEL, %sS {name}S <b>FETT</b>X abcD",
         "%d Äpfel, %ss {name}s <b>Fett</b>X abcd"),
        ("&auml; <a x='x'>y</a> <2en> é", "de", "&auml; <a x='x'>Y</a> <2en> É", "&auml; <a x='x'>Y</a> <2en> É"),
    ],
)  # fmt: skip
def test_case(text: str, language: str, upper: str, title: str) -> None:
    assert augment(text, "all in <i>", (language, "en"), upper_case=1) == (upper, "ALL IN <i>")
    assert augment("so %s", text, ("de", language), title_case=1) == ("So %s", title)


@pytest.mark.parametrize(
    ("source", "target", "expected"),
    [
        ("Ja.", "Yes!", ("Ja", "Yes")),
        ("Vraiment ?", "Really?! ", ("Vraiment", "Really")),
        ("他走了。", "He left...", ("他走了", "He left")),
        ("Ja", "Yes.", ("Ja", "Yes.")),
        ("Ja.", "Yes", ("Ja.", "Yes")),
        ("...", "Yes.", ("...", "Yes.")),
        ("Nr. {n}", "No. {n}", ("Nr. {n}", "No. {n}")),
    ],
)
def test_final_punctuation_is_left_out_where_both_sides_have_some(
    source: str, target: str, expected: tuple[str, str]
) -> None:
    assert augment(source, target, no_final_punctuation=1) == expected


def edits(text: str, other: str) -> int:
    """Levenshtein distance."""
    row = list(range(len(other) + 1))
    for index, letter in enumerate(text, 1):
        before, row[0] = row[0], index
        for at, found in enumerate(other, 1):
            before, row[at] = row[at], min(row[at] + 1, row[at - 1] + 1, before + (letter != found))
    return row[-1]


TEXT = 'Der Ärzte %s <a href="x">ein</a> {name} schönes Büro 20 км вниз, abc &amp; fertig!'


def test_typos_are_few_and_spare_the_target_and_placeholders() -> None:
    options = AugmentationOptions(typos=1, typo_rate=0.05)
    augmenter = TextAugmenter(options, ("de", "en"), ["abc"])
    counts, kept = [], placeholders(TEXT)
    for seed in np.linspace(0, 0.999, 200):
        source, target = augmenter((TEXT, TEXT), [0, 0, 0, float(seed)])
        assert target == TEXT
        assert placeholders(source) == kept
        assert "abc" in source
        assert "20" in source
        assert source == augmenter((TEXT, TEXT), [0, 0, 0, float(seed)])[0]
        counts.append(edits(TEXT, source))
    assert min(counts) >= 1
    assert np.mean(counts) == pytest.approx(0.05 * 46, abs=1)
    assert len(set(counts)) > 3


def test_all_kinds_of_typos_occur() -> None:
    found = {with_typos("ab", [(0, 2)], 0.01, Random(seed)) for seed in range(200)}
    assert found == {"ba", "a", "b", "aab", "abb", "sb", "av", "an"}
    found = {with_typos("É", [(0, 1)], 0.01, Random(seed)) for seed in range(50)}
    assert found == {"E", "ÉÉ"}  # a word of one letter does not vanish
    assert with_typos("क़ि 12", [(0, 6)], 0.2, Random(1)) == "क़ि 12"  # letters with marks
    assert with_typos("12 !", [(0, 4)], 0.2, Random(1)) == "12 !"


@given(st.text(max_size=30), st.floats(0, 1, exclude_max=True))
def test_any_text_is_changed_without_becoming_empty(text: str, seed: float) -> None:
    options = {"upper_case": 0.5, "title_case": 0.5, "typos": 1.0, "typo_rate": 0.2, "no_final_punctuation": 1.0}
    augmenter = TextAugmenter(AugmentationOptions.model_validate(options), ("tr", "ka"))
    for side in augmenter((text, text), [seed, 0, 0, seed]):
        assert bool(side.strip()) == bool(text.strip())


def test_shares_decide_which_pairs_are_changed() -> None:
    options = AugmentationOptions(upper_case=0.2, title_case=0.1, no_final_punctuation=0.25, typos=0.1)
    augmenter = TextAugmenter(options, ("de", "en"))
    draws = np.random.default_rng(1).random((3000, DRAWS))
    changed = augmenter.changes(draws)
    texts = [augmenter(("Der Mann geht.", "the man walks."), row.tolist()) for row in draws]
    assert [text != ("Der Mann geht.", "the man walks.") for text in texts] == changed.tolist()
    shares = [
        np.mean([target.isupper() for _, target in texts]),
        np.mean([target.startswith("The Man") for _, target in texts]),
        np.mean([not target.endswith(".") for _, target in texts]),
        np.mean([source.upper().rstrip(".") != "DER MANN GEHT" for source, _ in texts]),
    ]
    assert shares == pytest.approx([0.2, 0.1, 0.25, 0.1], abs=0.02)
