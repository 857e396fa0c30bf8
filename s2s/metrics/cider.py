"""CIDEr-D, a score of captions against several references (Vedantam, Zitnick and Parikh 2015).

A caption scores high if it has the n-grams that its references share and that other lines' references lack.
Values agree with the published scorer (`cider_scorer.py` of pycocoevalcap) on the same words.
Published results usually split words with PTBTokenizer, which drops punctuation: compare only equal signatures.
"""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

Words = Sequence[str]
Ngram = tuple[str, ...]

ORDERS = 4  # n-grams of 1 to 4 words
SIGMA = 6.0  # of the penalty for a different length, in words
MIN_LINES = 100  # of a test set; with fewer, warn with TOO_FEW_LINES
TOO_FEW_LINES = (
    f"CIDEr-D weighs words by how few images' captions have them: on fewer than {MIN_LINES} images, "
    "the weights are unreliable"
)


class TfIdf(NamedTuple):
    """Weights of the n-grams of a text."""

    weights: Sequence[Mapping[Ngram, float]]  # one mapping for each n
    norms: Sequence[float]  # Euclidean, one for each n
    length: int  # in words


def cider_d(hypotheses: Sequence[Words], references: Sequence[Sequence[Words]]) -> list[float]:
    """Return the CIDEr-D, 0 to 10, of each of N hypotheses against its references; the mean is the corpus score.

    Document frequencies are counted over the given references: the score of a line depends on the other lines.
    An n-gram that every line's references have weighs nothing, so that a single line scores 0.
    """
    frequencies = document_frequencies(references)
    lines = len(references)
    scores = []
    for hypothesis, several in zip(hypotheses, references, strict=True):
        candidate = tf_idf(hypothesis, frequencies, lines)
        similarities = [similarity(candidate, tf_idf(reference, frequencies, lines)) for reference in several]
        scores.append(10 * sum(similarities) / len(several))
    return scores


def document_frequencies(references: Sequence[Sequence[Words]]) -> Counter[Ngram]:
    """Count the lines whose references have each n-gram: the references of a line are one document."""
    return Counter(ngram for several in references for ngram in {ngram for text in several for ngram in ngrams(text)})


def ngrams(words: Words) -> Iterator[Ngram]:
    """Return the n-grams of all orders."""
    for n in range(1, ORDERS + 1):
        for start in range(len(words) - n + 1):
            yield tuple(words[start : start + n])


def tf_idf(words: Words, frequencies: Mapping[Ngram, int], lines: int) -> TfIdf:
    """Weigh each n-gram by g = tf · (log N - log df) (equation 1), for N lines.

    An n-gram that no reference has counts as if one line had it (df = 1). As in the published scorer, tf is the count
    of the n-gram; the paper divides it by the counts of all n-grams, which would change what is clipped.
    """
    weights: list[dict[Ngram, float]] = [{} for _ in range(ORDERS)]
    for ngram, count in Counter(ngrams(words)).items():
        weights[len(ngram) - 1][ngram] = count * (math.log(lines) - math.log(frequencies.get(ngram, 1)))
    norms = [math.sqrt(sum(weight**2 for weight in of_order.values())) for of_order in weights]
    return TfIdf(weights, norms, len(words))


def similarity(candidate: TfIdf, reference: TfIdf) -> float:
    """Return the similarity to one reference (equation 4), 0 to 1, as the mean over the orders (equation 3).

    Weights of the candidate are clipped to those of the reference, so that repeated words do not pay. A Gaussian
    penalises a different length. An order without any weight counts as 0: texts of fewer than four words score less.
    """
    total = 0.0
    for n in range(ORDERS):
        theirs, norms = reference.weights[n], candidate.norms[n] * reference.norms[n]
        if norms:
            products = (
                min(own, theirs[ngram]) * theirs[ngram]
                for ngram, own in candidate.weights[n].items()
                if ngram in theirs
            )
            total += sum(products) / norms
    difference = candidate.length - reference.length
    return total / ORDERS * math.exp(-(difference**2) / (2 * SIGMA**2))
