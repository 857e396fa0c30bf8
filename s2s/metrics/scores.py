"""Corpus scores, each with a signature that states how it was computed."""

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, Literal

from s2s._version import __version__
from s2s.errors import DataError, ResourceError, UsageError, did_you_mean
from s2s.recipe.languages import primary_language

CHARACTERS = {"ja", "ko", "th", "lo", "km", "my"}  # languages whose BLEU counts characters, on every machine alike
MIN_TOKENS = 4  # of a reference that BLEU can count
Headline = Literal["bleu", "chrf"]
Reference = str | Sequence[str]  # of a line: one text, or several
SHORT_REFERENCES = "most references have fewer than four words, too few for BLEU: chrF2 is the score to go by"
SCORE_NAMES = {
    "bleu": "BLEU",  # cased, with the tokenizer of the target language
    "chrf": "chrF2",
    "ter": "TER",  # translation edit rate in percent
    "exact": "exact match",  # lines equal to one of their references, except for outer whitespace, in percent
    "cider": "CIDEr-D",  # as papers print it: 100 times the value of the published scorer
    "distinct": "distinct words",  # a count over all outputs
    "bits_per_byte": "bits per byte",  # of the references under a model
    "f1_objects": "F1 of objects",  # of scenes, as are all below, in percent
    "f1_sizes": "F1 of sizes",
    "f1_colours": "F1 of colours",
    "f1_shapes": "F1 of shapes",
    "pointing_near": "attention near objects",  # within one cell, at the words for their shapes
    "pointing_inside": "attention on objects",
}
LOWER_IS_BETTER = frozenset({"ter", "bits_per_byte", "perplexity"})
TEXT_SCORES = ("bleu", "chrf", "ter", "exact")
CAPTION_SCORES = (*TEXT_SCORES, "cider", "distinct")
SCENE_SCORES = (*TEXT_SCORES, "distinct", "f1_objects", "f1_sizes", "f1_colours", "f1_shapes")


@dataclass(frozen=True, slots=True)
class Score:
    """A corpus score."""

    metric: str
    value: float  # 0 to 100, but TER may exceed 100, CIDEr-D reaches 1,000, distinct words and bits are unbounded
    signature: str  # begins with the metric's name

    @property
    def shown(self) -> str:
        """Value as text: `41.7`, a count as `1,204`."""
        return format_score(self.metric, self.value)


@dataclass(frozen=True, slots=True)
class Scoring:
    """How texts of a language are scored."""

    tokenizer: str = "13a"  # sacrebleu's, for BLEU
    asian: bool = False  # whether TER separates Asian characters

    @classmethod
    def of(cls, language: str, tokenizer: str = "auto") -> "Scoring":
        """Return the scoring of a target language such as de or zh_TW, with a given tokenizer unless it is auto."""
        code = primary_language(language)
        by_language = "zh" if code == "zh" else "char" if code in CHARACTERS else "13a"
        return cls(by_language if tokenizer == "auto" else tokenizer, code in {"zh", *CHARACTERS})

    def scorer(self, metric: str) -> Any:
        """Return sacrebleu's `bleu`, `chrf` or `ter`.

        Raises: ResourceError if BLEU's tokenizer lacks a package or a download.
        """
        from sacrebleu.metrics.bleu import BLEU
        from sacrebleu.metrics.chrf import CHRF
        from sacrebleu.metrics.ter import TER

        if metric == "chrf":
            return CHRF()
        if metric == "ter":
            return TER(asian_support=self.asian, normalized=self.asian)
        try:
            # `force` only silences a warning about lines that end in " .", as those of untrained models may.
            return BLEU(force=True, tokenize=self.tokenizer)
        except (RuntimeError, ImportError, OSError) as error:
            reason = str(error).strip().splitlines()[0]
            hint = "pip install 'sacrebleu[ja,ko]' has the mecab tokenizers; flores200 is downloaded once"
            raise ResourceError(f"BLEU's tokenizer {self.tokenizer} is not available: {reason}", hint) from error

    def word_splitter(self) -> Callable[[str], list[str]]:
        """Return a function that splits a text into lower-cased words, with BLEU's tokenizer.

        Raises: ResourceError if the tokenizer lacks a package or a download.
        """
        tokenize = self.scorer("bleu").tokenizer
        if self.tokenizer == "13a":  # splits each part between spaces by itself: remember those that recur
            words = functools.lru_cache(1 << 16)(lambda part: tokenize(part).split())
            return lambda text: [word for part in text.lower().split() for word in words(part)]
        return lambda text: tokenize(text.lower().rstrip()).split()

    def headline(self, references: Sequence[Reference]) -> Headline:
        """Return the score to go by: chrF if most references are too short for BLEU, which counts four tokens."""
        tokenize = self.scorer("bleu").tokenizer
        lengths = [len(tokenize(text).split()) for reference in references for text in texts_of(reference)]
        return "chrf" if 2 * sum(length < MIN_TOKENS for length in lengths) > len(lengths) else "bleu"


def format_score(metric: str, value: float) -> str:
    """Return the value of a score as text: `41.7`, a count as `1,204`, bits per byte as `0.612`."""
    digits = {"distinct": 0, "bits_per_byte": 3}.get(metric, 1)
    return f"{value:,.{digits}f}"


def texts_of(reference: Reference) -> Sequence[str]:
    """Return the texts of a line's reference."""
    return [reference] if isinstance(reference, str) else reference


def first_references(references: Sequence[Reference]) -> list[str]:
    """Return the first reference of each line."""
    return [texts_of(reference)[0] for reference in references]


def reference_streams(references: Sequence[Reference]) -> list[list[str | None]]:
    """Return references as sacrebleu takes them: the first of each line, the second of each line …; None for none."""
    return [list(stream) for stream in zip_longest(*map(texts_of, references))]


def _sacrebleu(metric: str, scoring: Scoring, hypotheses: Sequence[str], references: Sequence[Reference]) -> Score:
    scorer = scoring.scorer(metric)
    score = scorer.corpus_score(list(hypotheses), reference_streams(references))
    return Score(metric, float(score.score), f"{score.name}|{scorer.get_signature().format()}")


def _exact(hypotheses: Sequence[str], references: Sequence[Reference]) -> Score:
    """Return the share of lines that are one of their references."""
    accepted = [[text.strip() for text in texts_of(reference)] for reference in references]
    same = sum(text.strip() in texts for text, texts in zip(hypotheses, accepted, strict=True))
    signature = (
        f"exact|nrefs:{_count_references(references)}|case:mixed|unit:line|space:trimmed|version:s2s-{__version__}"
    )
    return Score("exact", 100 * same / len(references), signature)


def _cider(scoring: Scoring, hypotheses: Sequence[str], references: Sequence[Reference]) -> Score:
    """Return CIDEr-D as papers print it: 100 times the mean that the published scorer returns."""
    from s2s.metrics.cider import ORDERS, SIGMA, cider_d

    split = scoring.word_splitter()
    values = cider_d(
        [split(text) for text in hypotheses],
        [[split(text) for text in texts_of(reference)] for reference in references],
    )
    signature = (
        f"{SCORE_NAMES['cider']}|nrefs:{_count_references(references)}|case:lc"
        f"|tok:{scoring.scorer('bleu').tokenizer_signature}|n:{ORDERS}|sigma:{SIGMA:g}|df:refs|scale:100"
        f"|version:s2s-{__version__}"
    )
    return Score("cider", 100 * sum(values) / len(values), signature)


def _distinct(scoring: Scoring, hypotheses: Sequence[str]) -> Score:
    tokenizer = scoring.scorer("bleu").tokenizer_signature
    signature = f"distinct|case:lc|tok:{tokenizer}|version:s2s-{__version__}"
    return Score("distinct", float(distinct_words(hypotheses, scoring)), signature)


def _scene_f1(part: str, hypotheses: Sequence[str], references: Sequence[Reference]) -> Score:
    """Return the F1 of the objects, sizes, colours or shapes that captions name, against their first references."""
    from s2s.metrics.scenes import scene_f1

    scores = scene_f1(hypotheses, first_references(references))
    signature = f"F1|nrefs:1|unit:{part}|match:lcs|average:micro|version:s2s-{__version__}"
    return Score(f"f1_{part}", getattr(scores, part), signature)


def bits_per_byte(nats: float, references: Sequence[Reference], size: int) -> Score:
    """Return the negative log-likelihood of references in bits per byte.

    `nats`: that of all references. `size`: their bytes in UTF-8.
    """
    signature = f"bits per byte|nrefs:{_count_references(references)}|forced:yes|bytes:utf-8|version:s2s-{__version__}"
    return Score("bits_per_byte", nats / math.log(2) / max(size, 1), signature)


def _count_references(references: Sequence[Reference]) -> int | str:
    """Return the number of references of each line as signatures have it: `var` if lines differ."""
    counts = {len(texts_of(reference)) for reference in references}
    return counts.pop() if len(counts) == 1 else "var"


def score_corpus(
    hypotheses: Sequence[str],
    references: Sequence[Reference],
    metrics: Sequence[str] = TEXT_SCORES,
    scoring: Scoring | None = None,
) -> dict[str, Score]:
    """Score N hypotheses against their N references, of one or several texts each; by default as English text.

    `metrics`: any of `CAPTION_SCORES` and `SCENE_SCORES`; by default `TEXT_SCORES`.
    Raises: DataError if the counts differ or are zero, or if a line has no reference; UsageError for an unknown
    metric; ResourceError if BLEU's tokenizer is not available.
    """
    check_counts(hypotheses, references)
    known = list(dict.fromkeys([*CAPTION_SCORES, *SCENE_SCORES]))
    for name in metrics:
        if name not in known:
            hint = did_you_mean(name, known) or f"the metrics are {', '.join(known)}"
            raise UsageError(f"{name}: no such metric", hint)
    scoring = scoring or Scoring()

    def score(name: str) -> Score:
        if name == "exact":
            return _exact(hypotheses, references)
        if name == "cider":
            return _cider(scoring, hypotheses, references)
        if name == "distinct":
            return _distinct(scoring, hypotheses)
        if name.startswith("f1_"):
            return _scene_f1(name.removeprefix("f1_"), hypotheses, references)
        return _sacrebleu(name, scoring, hypotheses, references)

    return {name: score(name) for name in metrics}


def distinct_words(hypotheses: Sequence[str], scoring: Scoring | None = None) -> int:
    """Return the number of different words, lower-cased, in all hypotheses; by default as English text.

    Raises: ResourceError if BLEU's tokenizer is not available.
    """
    split = (scoring or Scoring()).word_splitter()
    return len({word for text in hypotheses for word in split(text)})


def sentence_chrf(hypotheses: Sequence[str], references: Sequence[Reference]) -> list[float]:
    """Return the chrF2 of each of N hypotheses, to tell lines apart; not a score to report."""
    scorer = Scoring().scorer("chrf")
    pairs = zip(hypotheses, references, strict=True)
    return [scorer.sentence_score(hypothesis, list(texts_of(reference))).score for hypothesis, reference in pairs]


def check_counts(hypotheses: Sequence[str], references: Sequence[Reference], name: str = "hypotheses") -> None:
    """Raise DataError unless there are as many hypotheses (`name` in the message) as references, and at least one.

    Each line needs a reference, if only an empty text: sacrebleu fails without.
    """
    if len(hypotheses) != len(references):
        raise DataError(
            f"{len(hypotheses):,} {name} for {len(references):,} references",
            "line i of one must belong to line i of the other",
        )
    if not references:
        raise DataError("no lines to score", "give a test set with at least one line")
    for number, reference in enumerate(references, start=1):
        if not texts_of(reference):
            raise DataError(f"line {number:,} has no reference", "give each line at least one reference")
