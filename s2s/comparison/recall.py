"""Recall: how many values a model recalls correctly, by the number of tokens in the source."""

from collections.abc import Sequence

from s2s.comparison.stored import StoredResult
from s2s.data.generators.recall import answer_positions
from s2s.decoding.forced import forced_predictions
from s2s.decoding.pytorch_engine import PyTorchEngine
from s2s.decoding.translator import Translator
from s2s.metrics.length_buckets import LengthBucket, LengthBuckets
from s2s.recipe.recipe import Recipe


def is_recall(recipe: Recipe) -> bool:
    """Return whether a recipe's data is the recall task."""
    return recipe.data.kind == "generator" and recipe.data.generator.name == "recall"


def count_correct_values(
    translator: Translator[PyTorchEngine], sources: Sequence[str], references: Sequence[str]
) -> list[int]:
    """Count the values of each reference that the model predicts, given the reference before them."""
    targets = translator.encode(references)
    choices = forced_predictions(translator.engine.model, translator.encode(sources), targets, translator.engine.device)
    return [
        sum(bool(chosen[position] == target[position]) for position in answer_positions(reference))
        for chosen, target, reference in zip(choices, targets, references, strict=True)
    ]


def recall_by_length(
    sources: Sequence[str], references: Sequence[str], results: Sequence[StoredResult]
) -> list[LengthBuckets]:
    """Return two percentages by length: correct values given their keys, and completely correct answers."""
    lines: dict[int, list[int]] = {}
    for line, source in enumerate(sources):
        lines.setdefault(len(source.split()), []).append(line)
    values, answers = [], []
    for tokens, members in sorted(lines.items()):
        total = sum(len(answer_positions(references[line])) for line in members)
        correct = [100 * sum(stored.correct_values[line] for line in members) / total for stored in results]
        exact = [
            100 * sum(stored.outputs[line] == references[line] for line in members) / len(members) for stored in results
        ]
        values.append(LengthBucket(tokens, tokens, len(members), tuple(correct)))
        answers.append(LengthBucket(tokens, tokens, len(members), tuple(exact)))
    return [
        LengthBuckets("% of values correct, given their keys", "tokens", values),
        LengthBuckets("% of answers completely correct", "tokens", answers),
    ]
