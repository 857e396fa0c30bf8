"""Recall: how many values a model recalls correctly, given the reference before them."""

from collections.abc import Sequence

from s2s.data.generators.recall import answer_positions
from s2s.decoding.forced import forced_predictions
from s2s.decoding.pytorch_engine import PyTorchEngine
from s2s.decoding.translator import Translator


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
