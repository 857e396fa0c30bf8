"""Attention quality: spans and links of tokens, alignment error rate, sharpness and coverage."""

import math
import random

import numpy as np
import pytest

from s2s.metrics.alignment import (
    AlignmentCounts,
    AttentionSums,
    SpanLink,
    TokenLinks,
    alignment_counts,
    attention_links,
    attention_sums,
    token_links,
    token_spans,
)

# tokens


def test_spans_of_tokens_leave_spaces_out():
    text = "zwei ; 3. Mai"
    tokens = ["▁zw", "ei", "▁", ";", "▁3", ".", "▁Mai"]
    spans = token_spans(text, tokens)
    assert spans is not None
    assert [text[slice(*span)] for span in spans] == ["zw", "ei", "", ";", "3", ".", "Mai"]
    assert spans[2] == (5, 5)
    assert token_spans("ab", ["▁", "ab"]) == [(0, 0), (0, 2)]
    assert token_spans("ab", ["a", "b"]) == [(0, 1), (1, 2)]
    assert token_spans("of the", ["▁of▁the"]) == [(0, 6)]
    assert token_spans("", []) == []


@pytest.mark.parametrize(
    ("text", "tokens"),
    [("ab", ["▁a"]), ("a", ["▁a", "b"]), ("a  b", ["▁a", "▁b"]), ("ä", ["▁", "<unk>"]), ("▁a", ["▁", "▁a"]), ("a", [])],
)
def test_tokens_that_do_not_spell_the_text_have_no_spans(text: str, tokens: list[str]):
    assert token_spans(text, tokens) is None


# links


def links_between(links: list[tuple[str, str, bool]], source: list[str], target: list[str]) -> TokenLinks:
    """The links between tokens, given those between the words that start there."""
    texts = ["".join(side).replace("▁", " ").strip() for side in (source, target)]

    def span(side: int, word: str) -> tuple[int, int]:
        return texts[side].index(word), texts[side].index(word) + len(word)

    spans = [token_spans(text, side) for text, side in zip(texts, (source, target), strict=True)]
    assert spans[0] is not None
    assert spans[1] is not None
    return token_links([SpanLink(span(0, s), span(1, t), sure) for s, t, sure in links], spans[0], spans[1])


WORDS = [("zwanzig", "twenty", True), ("dreiundzwanzig", "-", False), ("drei", "three", True)]


def test_source_token_of_several_words_is_surely_linked_with_each():
    found = links_between(WORDS, ["▁dreiundzwanzig"], ["▁twen", "ty", "-three"])
    assert found.sure == found.possible == {(0, 0), (0, 1), (0, 2)}


def test_word_of_several_source_tokens_has_possible_links():
    found = links_between(WORDS, ["▁drei", "und", "zwan", "zig"], ["▁twenty", "-", "three"])
    assert found.sure == {(0, 2)}
    assert found.possible == {(2, 0), (3, 0), (0, 1), (1, 1), (2, 1), (3, 1), (0, 2)}


def test_target_token_of_several_words_has_possible_links():
    found = links_between(WORDS, ["▁drei", "undzwanzig"], ["▁twenty-three"])
    assert (found.sure, found.possible) == (frozenset(), {(0, 0), (1, 0)})


def test_possible_links_do_not_make_sure_ones_ambiguous():
    found = links_between([("3", "3", True), (".", "3", False)], ["▁3", "."], ["▁3"])
    assert (found.sure, found.possible) == ({(0, 0)}, {(0, 0), (1, 0)})


def test_bare_space_belongs_to_the_next_word_but_not_surely():
    found = links_between([("zwei", "two", True)], ["▁", "zwei"], ["▁ab", "▁", "two"])
    assert found.sure == {(1, 2)}
    assert found.possible == {(0, 1), (1, 1), (0, 2), (1, 2)}


# attention


def test_attention_links_ignore_the_end_of_sentences():
    attention = np.array([[0.1, 0.3, 0.6], [0.5, 0.4, 0.1], [0.2, 0.1, 0.7], [0.0, 0.0, 1.0]])
    assert attention_links(attention) == [(1, 0), (0, 1), (0, 2)]
    assert attention_links(np.ones((4, 1))) == []
    assert attention_links(np.ones((1, 3))) == []


@pytest.mark.parametrize(("shift", "error_rate"), [(0, 0.0), (1, 1.0), (2, 1.0)])
def test_only_the_diagonal_aligns_a_copy(shift: int, error_rate: float):
    tokens = [f"▁{letter}" for letter in "abcde"]
    spans = token_spans("a b c d e", tokens)
    assert spans is not None
    copied = token_links([SpanLink(span, span, True) for span in spans], spans, spans)
    attention = np.roll(np.eye(6), shift, axis=1)
    assert alignment_counts(attention_links(attention), copied).error_rate == error_rate


def test_error_rate_is_that_of_och_and_ney():
    sure, possible = frozenset({(0, 0), (1, 1), (5, 3)}), frozenset({(0, 0), (1, 1), (5, 3), (2, 2), (3, 2)})
    links = [(0, 0), (4, 1), (3, 2), (6, 3), (7, 9)]  # target token 9 is not aligned
    counts = alignment_counts(links, TokenLinks(sure, possible))
    assert counts == AlignmentCounts(links=4, sure=3, found_sure=1, found_possible=2)
    assert counts.error_rate == pytest.approx(1 - (1 + 2) / (4 + 3))


def test_counts_add_up_and_nothing_is_nan():
    total = AlignmentCounts(1, 2, 3, 4) + AlignmentCounts(10, 20, 30, 40)
    assert total == AlignmentCounts(11, 22, 33, 44)
    assert AttentionSums(1, 2, 3, 4, 5) + AttentionSums(10, 20, 30, 40, 50) == AttentionSums(11, 22, 33, 44, 55)
    counts, sums = AlignmentCounts(), AttentionSums()
    undefined = [counts.error_rate, sums.mean_entropy, sums.effective_positions, sums.coverage, sums.mean_deviation]
    assert all(map(math.isnan, undefined))


def test_sharpness_and_coverage_are_those_of_naive_loops():
    draw = random.Random(3)
    weights = np.array([[draw.choice((0.0, draw.random())) for _ in range(6)] for _ in range(4)]) + np.eye(4, 6)
    weights[:, 4] /= 9
    attention = (weights / weights.sum(1, keepdims=True)).astype(np.float32)
    sums = attention_sums(attention)
    rows = [[float(a) for a in row] for row in attention]
    entropies = [-sum(a * math.log(a) for a in row if a) for row in rows[:3]]
    received = [sum(row[s] for row in rows) for s in range(5)]
    assert (sums.target_tokens, sums.source_tokens) == (3, 5)
    assert sums.mean_entropy == pytest.approx(sum(entropies) / 3)
    assert sums.coverage == sum(value >= 0.2 for value in received) / 5 < 1
    assert sums.mean_deviation == pytest.approx(sum(abs(1 - value) for value in received) / 5)


def test_limits_of_sharpness_and_coverage():
    sharp, flat = attention_sums(np.eye(5)), attention_sums(np.full((5, 8), 1 / 8))
    assert (sharp.effective_positions, sharp.coverage, sharp.mean_deviation) == (1, 1, 0)
    assert flat.effective_positions == pytest.approx(8)
    assert flat.mean_deviation == pytest.approx(1 - 5 / 8)
    assert attention_sums(np.array([[0.9, 0.0, 0.1], [0.9, 0.05, 0.05]])).coverage == 0.5
