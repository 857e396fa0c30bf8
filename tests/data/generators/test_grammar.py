"""The grammar task: a seed gives the same pairs, and its entropy is that of its translations."""

import math
from collections import Counter
from itertools import product
from random import Random

import pytest

from s2s.data.generators.grammar import (
    ADJECTIVES,
    CLASSES,
    CONJUNCTIONS,
    GENDERS,
    NOUNS,
    PREPOSITIONS,
    VERBS,
    Grammar,
    grammar_pairs,
)
from s2s.recipe.kinds import GeneratorOptions
from s2s.recipe.load import load_recipe

OPTIONS = GeneratorOptions(name="grammar", seed=3, train=400, validation=20, test=30, min_items=1, max_items=3)
PAIRS = grammar_pairs(OPTIONS)
GRAMMAR = Grammar(3)


def translations(source: str, count: int) -> list[list[str]]:
    random = Random(7)
    return [GRAMMAR.translation(random, source).split() for _ in range(count)]


def test_a_seed_gives_the_same_pairs_and_another_one_others() -> None:
    assert grammar_pairs(OPTIONS) == PAIRS
    assert grammar_pairs(OPTIONS.model_copy(update={"train": 1}))["test"] == PAIRS["test"]
    assert {name: len(pairs) for name, pairs in PAIRS.items()} == {"train": 400, "validation": 20, "test": 30}
    assert PAIRS["validation"][0] == ("a10 n63 v24 a0 n83", "R0 N50 A5 N207 A29 V38 M0")
    assert Grammar(4).log_probability(*PAIRS["test"][0]) == -math.inf


def test_a_translation_has_a_word_for_each_of_the_source_a_register_and_marks() -> None:
    for source, target in PAIRS["train"]:
        words, translated = (Counter(word[0] for word in text.split()) for text in (source, target))
        assert 1 <= words["v"] == words["c"] + 1 <= 3
        assert translated == Counter(R=1, M=words["v"], **{kind.upper(): count for kind, count in words.items()})


def test_verbs_come_last_and_phrases_are_turned_round() -> None:
    found = {"".join(word[0] for word in words) for words in translations("a1 n2 v3 n4 p5 a6 n7 c0 n8 v9 n0", 20)}
    assert found == {"RNANAPNVMCNNVM"}


def test_a_mark_agrees_with_the_translated_subject_and_the_register() -> None:
    marks: dict[tuple[str, str], set[str]] = {}
    for register, noun, _, _, mark in translations("n1 v3 n4", 400):
        marks.setdefault((register, noun), set()).add(mark)
    assert len(marks) == 4
    assert {len(own) for own in marks.values()} == {1}
    assert marks["R0", noun] != marks["R1", noun]


def test_a_word_is_translated_by_its_context() -> None:
    usual = {
        Counter(words[1] for words in translations(f"n5 v{verb} n1", 60)).most_common(1)[0][0] for verb in range(40)
    }
    assert 2 <= len(usual) <= 4


def test_probabilities_of_the_translations_of_a_source_sum_to_1() -> None:
    source = "a1 n2 v3 n4"
    words = [sorted(set(position)) for position in zip(*translations(source, 400), strict=True)]
    logs = [GRAMMAR.log_probability(source, " ".join(chosen)) for chosen in product(*words)]
    assert sum(map(math.exp, logs)) == pytest.approx(1)
    assert sum(log > -math.inf for log in logs) == 2**5
    target = " ".join(one[0] for one in words[:-1])
    assert GRAMMAR.log_probability(source, target) == GRAMMAR.log_probability(source, f"{target} M0 M0") == -math.inf


def test_entropy_is_the_mean_of_minus_log_p() -> None:
    random, known = Random(5), GRAMMAR.entropy(1, 3)
    nats, tokens = [], []
    for _ in range(4000):
        source = GRAMMAR.source(random, random.randint(1, 3))
        target = GRAMMAR.translation(random, source)
        nats.append(-GRAMMAR.log_probability(source, target))
        tokens.append(len(target.split()) + 1)
    squares = sum((own - known * length) ** 2 for own, length in zip(nats, tokens, strict=True))
    error = math.sqrt(squares) / sum(tokens)
    assert sum(nats) / sum(tokens) == pytest.approx(known, abs=3 * error)
    assert 3 * error < 0.03 * known


def test_the_recipe_has_a_token_for_each_word() -> None:
    recipe = load_recipe("scaling/grammar")
    grammar = Grammar(recipe.data.generator.seed)
    reached: dict[str, int] = {}
    for lexicon in (grammar.nouns, grammar.adjectives, grammar.verbs):
        known = range(len(lexicon.senses))
        choices = [lexicon.choice(word, context) for word in known for context in range(len(lexicon.senses[word]))]
        reached[lexicon.kind] = len({word for choice in choices for word in (choice.word, choice.other)})
    assert reached == {"N": NOUNS, "A": ADJECTIVES, "V": VERBS}
    assert {word for row in grammar.prepositions for word in row} == set(range(CLASSES))
    source = NOUNS + ADJECTIVES + VERBS + PREPOSITIONS + CONJUNCTIONS
    target = NOUNS + ADJECTIVES + VERBS + CLASSES + CONJUNCTIONS + 2 + 2 * GENDERS
    assert recipe.tokenizer.vocab_size == source + target + 4
