"""The answers of recall: how often the values are right, by the number of tokens in the source."""

from collections.abc import Sequence

from s2s.comparison.stored import StoredResult
from s2s.data.generators.recall import answer_positions
from s2s.decoding.forced import forced_predictions
from s2s.decoding.pytorch_engine import PyTorchEngine
from s2s.decoding.translator import Translator
from s2s.metrics.length_buckets import Bucket, ByLength
from s2s.recipe.recipe import Recipe


def asks(recipe: Recipe) -> bool:
    """Whether a recipe's sentences are questions of recall."""
    return recipe.data.kind == "generator" and recipe.data.generator.name == "recall"


def right_values(translator: Translator[PyTorchEngine], sources: Sequence[str], references: Sequence[str]) -> list[int]:
    """How many values of each reference are the model's choice, what stands before them given."""
    targets = translator.encode(references)
    choices = forced_predictions(translator.engine.model, translator.encode(sources), targets, translator.engine.device)
    return [
        sum(bool(chosen[position] == target[position]) for position in answer_positions(reference))
        for chosen, target, reference in zip(choices, targets, references, strict=True)
    ]


def answers_by_length(
    sources: Sequence[str], references: Sequence[str], results: Sequence[StoredResult]
) -> list[ByLength]:
    """Two figures in percent: values right where their keys are given, and answers right as a whole."""
    lines: dict[int, list[int]] = {}
    for line, source in enumerate(sources):
        lines.setdefault(len(source.split()), []).append(line)
    values, answers = [], []
    for tokens, members in sorted(lines.items()):
        asked = sum(len(answer_positions(references[line])) for line in members)
        right = [100 * sum(stored.right_values[line] for line in members) / asked for stored in results]
        whole = [
            100 * sum(stored.outputs[line] == references[line] for line in members) / len(members) for stored in results
        ]
        values.append(Bucket(tokens, tokens, len(members), tuple(right)))
        answers.append(Bucket(tokens, tokens, len(members), tuple(whole)))
    return [
        ByLength("% of values right, keys given", "tokens", values),
        ByLength("% of answers right as a whole", "tokens", answers),
    ]
