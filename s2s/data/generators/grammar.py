"""The grammar task: sentences of a probabilistic grammar, translated with noise whose entropy is known.

A source is one or several clauses joined by conjunctions. Words are drawn by Zipf's law:

    clause → phrase verb phrase        phrase → noun | adjective noun | noun preposition phrase

The translation puts the verb last, adjectives after their nouns, and prepositional phrases before them. How a word is
translated depends on its context, by tables drawn from the seed: a noun on the verb or preposition that governs it, an
adjective or a preposition on its noun, a verb on the nouns around it. A mark after each verb agrees with the subject's
translation and with the register, which is drawn at the start of the target:

    a7 n12 v5 n3 p1 n0        R1 N88 A40 N31 P9 N7 V66 M4

Nouns, adjectives and verbs have synonyms, each with a probability of its own. These and the register are all that the
source leaves open, and the target shows each of them, so its conditional entropy is the sum of theirs. Only integers
are drawn, so that a seed gives the same sentences on every machine.
"""

import math
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from random import Random
from typing import NamedTuple, Self

from s2s.recipe.kinds import GeneratorOptions
from s2s.text.lines import Texts

NOUNS, ADJECTIVES, VERBS, PREPOSITIONS, CONJUNCTIONS = 240, 60, 60, 8, 4
CLASSES = 6  # of nouns, and of verbs
GENDERS = 3  # of the target's nouns
TRANSLATIONS = 4  # of a noun, an adjective or a verb
# Contexts of a noun: the subject or object of each class of verbs, or after each preposition.
SUBJECT, OBJECT, GOVERNED = 0, CLASSES, 2 * CLASSES
# Probabilities, out of UNIT.
UNIT = 2**16
FORMAL = UNIT // 4
WITH_ADJECTIVE, WITH_PREPOSITION = UNIT * 3 // 8, UNIT // 8
SYNONYM = UNIT // 16, UNIT // 4  # the lowest and the highest of a word


class Choice(NamedTuple):
    """What may stand at a position of the target."""

    word: str
    other: str = ""
    probability: int = 0  # of the other one, out of UNIT


Choose = Callable[[Choice], str]  # returns the word that stands there


class Phrase(NamedTuple):
    """A noun of the source with an adjective, or with a preposition and another phrase."""

    noun: int
    adjective: int | None = None
    preposition: int | None = None
    inner: "Phrase | None" = None


class Clause(NamedTuple):
    """A subject, a verb and an object, after a conjunction unless it is the first clause."""

    subject: Phrase
    verb: int
    object: Phrase
    conjunction: int | None


@dataclass(frozen=True, slots=True)
class Lexicon:
    """The nouns, adjectives or verbs of the source, and their translations."""

    kind: str  # of the target's words: N, A or V
    frequencies: list[int]  # cumulative counts
    classes: list[int]
    translations: list[list[int]]  # numbers of target words, TRANSLATIONS for each word
    senses: list[list[int]]  # which of them, for each word in each context
    synonyms: list[int]  # probability that the translation after it stands there instead, for each word

    @classmethod
    def draw(cls, kind: str, random: Random, count: int, contexts: int) -> Self:
        """Draw the tables of `count` words, each translated in that many contexts."""
        order, step = random.sample(range(count), count), count // TRANSLATIONS
        return cls(
            kind,
            list(accumulate(2**20 // rank for rank in range(1, count + 1))),
            [random.randrange(CLASSES) for _ in range(count)],
            [[order[(word + step * sense) % count] for sense in range(TRANSLATIONS)] for word in range(count)],
            [[random.randrange(TRANSLATIONS) for _ in range(contexts)] for _ in range(count)],
            [random.randint(*SYNONYM) for _ in range(count)],
        )

    def pick(self, random: Random) -> int:
        """Draw a word by its frequency."""
        return bisect_right(self.frequencies, random.randrange(self.frequencies[-1]))

    def choice(self, word: int, context: int) -> Choice:
        """Return how a word is translated in a context."""
        own, sense = self.translations[word], self.senses[word][context]
        return Choice(f"{self.kind}{own[sense]}", f"{self.kind}{own[sense - 1]}", self.synonyms[word])

    def entropy(self) -> float:
        """Return the mean entropy of a translation in nats."""
        counts = [after - before for before, after in pairwise([0, *self.frequencies])]
        return sum(map(math.prod, zip(counts, map(_entropy, self.synonyms), strict=True))) / sum(counts)


class Grammar:
    """The grammar of a seed: draws sentences, and knows how probable translations are."""

    def __init__(self, seed: int) -> None:
        """Draw the tables of the words."""
        random = Random(f"grammar {seed}")
        self.nouns = Lexicon.draw("N", random, NOUNS, GOVERNED + PREPOSITIONS)
        self.adjectives = Lexicon.draw("A", random, ADJECTIVES, CLASSES)
        self.verbs = Lexicon.draw("V", random, VERBS, 2 * CLASSES)
        self.prepositions = [random.sample(range(CLASSES), CLASSES) for _ in range(PREPOSITIONS)]
        self.genders = [random.randrange(GENDERS) for _ in range(NOUNS)]

    def source(self, random: Random, clauses: int) -> str:
        """Draw a source of that many clauses."""
        words: list[str] = []
        for joined in range(clauses):
            words += [f"c{random.randrange(CONJUNCTIONS)}"] if joined else []
            words += [*self._phrase(random), f"v{self.verbs.pick(random)}", *self._phrase(random)]
        return " ".join(words)

    def translation(self, random: Random, source: str) -> str:
        """Draw a translation of a source."""

        def choose(choice: Choice) -> str:
            replaced = choice.probability and random.randrange(UNIT) < choice.probability
            return choice.other if replaced else choice.word

        return " ".join(self._translate(_parse(source), choose))

    def log_probability(self, source: str, target: str) -> float:
        """Return the log-probability of a target given its source, in nats; −∞ if it is no translation of it."""
        given, total = iter(target.split()), 0.0

        def choose(choice: Choice) -> str:
            nonlocal total
            word = next(given, "")
            other = choice.probability / UNIT
            probability = {choice.word: 1 - other, choice.other: other}.get(word, 0.0)
            total += math.log(probability) if probability else -math.inf
            return word if probability else choice.word

        for _ in self._translate(_parse(source), choose):
            pass
        return -math.inf if next(given, None) else total

    def entropy(self, min_clauses: int, max_clauses: int) -> float:
        """Return the conditional entropy of targets given their sources, in nats per target token, EOS included.

        The number of clauses is uniform. A phrase has 1 / (1 − p) nouns on average, where p = P(preposition).
        """
        clauses = (min_clauses + max_clauses) / 2
        nouns = 2 * clauses / (1 - WITH_PREPOSITION / UNIT)
        adjectives, prepositions = nouns * WITH_ADJECTIVE / UNIT, nouns * WITH_PREPOSITION / UNIT
        nats = _entropy(FORMAL) + nouns * self.nouns.entropy()
        nats += adjectives * self.adjectives.entropy() + clauses * self.verbs.entropy()
        # verb and mark of each clause, conjunctions between clauses, register and EOS
        return nats / (nouns + adjectives + prepositions + 2 * clauses + (clauses - 1) + 2)

    def _phrase(self, random: Random) -> list[str]:
        """Draw the words of a phrase of the source."""
        noun, kind = f"n{self.nouns.pick(random)}", random.randrange(UNIT)
        if kind < WITH_ADJECTIVE:
            return [f"a{self.adjectives.pick(random)}", noun]
        if kind < WITH_ADJECTIVE + WITH_PREPOSITION:
            return [noun, f"p{random.randrange(PREPOSITIONS)}", *self._phrase(random)]
        return [noun]

    def _translate(self, clauses: Sequence[Clause], choose: Choose) -> Iterator[str]:
        """Yield the words of the target, which `choose` decides on, in order."""
        register = choose(Choice("R0", "R1", FORMAL))
        yield register
        for clause in clauses:
            if clause.conjunction is not None:
                yield choose(Choice(f"C{clause.conjunction}"))
            verb_class = self.verbs.classes[clause.verb]
            subject = list(self._phrase_words(clause.subject, SUBJECT + verb_class, choose))
            yield from subject
            yield from self._phrase_words(clause.object, OBJECT + verb_class, choose)
            first, second = (self.nouns.classes[phrase.noun] for phrase in (clause.subject, clause.object))
            yield choose(self.verbs.choice(clause.verb, 2 * second + first % 2))
            gender = self.genders[next(int(word[1:]) for word in reversed(subject) if word[0] == "N")]
            yield choose(Choice(f"M{GENDERS * (register == 'R1') + gender}"))

    def _phrase_words(self, phrase: Phrase, context: int, choose: Choose) -> Iterator[str]:
        """Yield the words of a translated phrase, whose own noun is the last one."""
        noun_class = self.nouns.classes[phrase.noun]
        if phrase.inner and phrase.preposition is not None:
            yield from self._phrase_words(phrase.inner, GOVERNED + phrase.preposition, choose)
            yield choose(Choice(f"P{self.prepositions[phrase.preposition][noun_class]}"))
        yield choose(self.nouns.choice(phrase.noun, context))
        if phrase.adjective is not None:
            yield choose(self.adjectives.choice(phrase.adjective, noun_class))


def grammar_pairs(options: GeneratorOptions) -> dict[str, list[Texts]]:
    """Return the pairs of `train`, `validation` and `test`, of `min_items` to `max_items` clauses each.

    Sources may repeat, which long ones hardly ever do.
    """
    grammar, random = Grammar(options.seed), Random(options.seed)
    counts = {"validation": options.validation, "test": options.test, "train": options.train}

    def pair() -> Texts:
        source = grammar.source(random, random.randint(options.min_items, options.max_items))
        return source, grammar.translation(random, source)

    return {name: [pair() for _ in range(count)] for name, count in counts.items()}


def _parse(source: str) -> list[Clause]:
    """Return the clauses of a source."""
    words = [(word[0], int(word[1:])) for word in reversed(source.split())]
    clauses = []
    while words:
        conjunction = words.pop()[1] if words[-1][0] == "c" else None
        clauses.append(Clause(_parse_phrase(words), words.pop()[1], _parse_phrase(words), conjunction))
    return clauses


def _parse_phrase(words: list[tuple[str, int]]) -> Phrase:
    """Return the phrase at the end of `words`, which are in reverse order, and remove it."""
    adjective = words.pop()[1] if words[-1][0] == "a" else None
    noun = words.pop()[1]
    if words and words[-1][0] == "p":
        return Phrase(noun, preposition=words.pop()[1], inner=_parse_phrase(words))
    return Phrase(noun, adjective)


def _entropy(count: int) -> float:
    """Return the entropy of a choice with probability count / UNIT, in nats."""
    p = count / UNIT
    return -p * math.log(p) - (1 - p) * math.log(1 - p)
