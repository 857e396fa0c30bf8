"""Memory: whether the worst batch that a corpus can give fits a device, before anything is filled."""

import numpy as np

from s2s.data.batching import cut_batches
from s2s.data.corpus import Corpus, Split
from s2s.devices.memory import free_memory
from s2s.devices.select import Precision, device_named
from s2s.errors import ResourceError
from s2s.models.profile import Shape, meta_model, training_cost, training_memory
from s2s.recipe.recipe import Recipe

ROOM = 0.8  # of what is free: the estimate knows nothing of what libraries take for themselves


def worst_shapes(split: Split, tokens: int) -> list[Shape]:
    """The fullest batch of the longest sentences, and the fullest of all, when `tokens` are computed at once."""
    lengths = np.sort(np.maximum(split.source_lengths, split.target_lengths) + 1)[::-1]
    parts = cut_batches(lengths, np.arange(len(lengths)), tokens)
    shapes = [Shape(len(part), int(lengths[part[0]])) for part in parts]
    return list(dict.fromkeys([shapes[0], max(shapes, key=lambda shape: shape.sentences * shape.positions)]))


def memory_needed(recipe: Recipe, split: Split, tokens: int, precision: Precision) -> int:
    """Bytes that training takes at most when `tokens` are computed at once: weights, gradients, moments, activations.

    An estimate, from the shapes alone (see `models/size.py`).
    """
    network = meta_model(recipe)
    work = max(training_cost(network, shape, precision).work for shape in worst_shapes(split, tokens))
    parts = training_memory(network, work)
    return parts.weights + parts.gradients + parts.optimizer + parts.activations


def micro_batch_that_fits(recipe: Recipe, corpus: Corpus, device: str, precision: Precision) -> int:
    """The largest of batch_tokens, its half, its quarter … that the device has room for; 0 for all of a batch.

    Raises: ResourceError where not even one sentence fits.
    """
    split, tokens, free = corpus.split("train"), recipe.training.batch_tokens, free_memory(device_named(device))
    while (needed := memory_needed(recipe, split, tokens, precision)) > ROOM * free:
        if all(shape.sentences == 1 for shape in worst_shapes(split, tokens)):
            raise does_not_fit(needed, free)
        tokens //= 2
    return 0 if tokens == recipe.training.batch_tokens else tokens


def does_not_fit(needed: int, free: int) -> ResourceError:
    """What to say where memory does not suffice."""
    return ResourceError(
        f"training needs about {needed / 1e9:.1f} GB of memory, and {free / 1e9:.1f} GB are free",
        "--set training.micro_batch_tokens=auto computes less at once; or make the network smaller",
    )
