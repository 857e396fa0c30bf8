"""Every architecture learns to reverse unseen strings of digits."""

import random
from pathlib import Path
from typing import Any

import pytest

from s2s.recipe.load import parse_recipe
from s2s.training.runs.lifecycle import train

BLOCKS = {"family": "transformer", "layers": 2, "heads": 4}
LEARNERS: dict[str, tuple[int, dict[str, Any]]] = {  # the longest string, and the network
    **{
        f"{cell} with attention": (
            10,
            {"encoder": {"cell": cell, "hidden_size": 32}, "decoder": {"cell": cell, "hidden_size": 64}},
        )
        for cell in ("rnn", "gru", "lstm")
    },
    "transformer": (10, {"encoder": BLOCKS, "decoder": BLOCKS}),
    "decoder only": (10, {"architecture": "decoder_only", "decoder": {**BLOCKS, "layers": 4}}),
    **{
        f"{cell} with a fixed vector": (
            5,
            {
                "encoder": {"cell": cell, "hidden_size": 64},
                "decoder": {"cell": cell, "hidden_size": 128, "context": "fixed"},
            },
        )
        for cell in ("gru", "lstm")
    },
}


def write_strings(directory: Path, longest: int) -> None:
    """Write digit strings and their reverses, with disjoint splits."""
    draw = random.Random(1)
    strings = {"".join(draw.choices("0123456789", k=draw.randint(1, longest))) for _ in range(14_000)}
    shuffled = draw.sample(sorted(strings), len(strings))
    for name, part in {"test": shuffled[:500], "validation": shuffled[500:700], "train": shuffled[700:]}.items():
        (directory / f"{name}.in").write_text("".join(f"{text}\n" for text in part))
        (directory / f"{name}.out").write_text("".join(f"{text[::-1]}\n" for text in part))


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("learner", LEARNERS)
def test_learns_to_reverse(learner: str, tmp_path: Path) -> None:
    longest, network = LEARNERS[learner]
    write_strings(tmp_path, longest)
    splits = {name: {"source": [f"{name}.in"], "target": [f"{name}.out"]} for name in ("train", "validation", "test")}
    recipe = {
        "name": "reverse",
        "data": {"root": str(tmp_path), **splits},
        "tokenizer": {"algorithm": "char", "vocab_size": 15},
        "model": {"embedding_size": 64, **network},
        "training": {
            "stop_after": "1500 updates",
            "batch_tokens": 800,
            "lr": 5e-3,
            "validate_every": "500 updates",
            "validation_lines": 0,
        },
    }
    version = train(parse_recipe(recipe, "reverse"), device="cpu", wait=0)
    exact = next(score.value for score in version.card.scores if score.metric == "exact")
    assert exact >= 99
