"""A tiny measurement of scaling: what `s2s bench scaling` does, in seconds.

As a script, it runs an `s2s` command line with the tiny ladder in place of the real one.
"""

from s2s.comparison.scaling import ladder
from s2s.comparison.scaling.ladder import Ladder, LadderModel

TINY_LADDER = Ladder(
    models=[
        LadderModel(8, 1, 1),
        LadderModel(8, 2, 1),
        LadderModel(8, 1, 3),
        LadderModel(16, 1, 1),
        LadderModel(24, 1, 1),
    ],
    decoder_only=[(LadderModel(16, 1, 1), LadderModel(16, 0, 2, ffn_size=40))],
    lr_checks=[LadderModel(8, 2, 1, lr_factor=2)],
    large=LadderModel(32, 1, 1),
)
TINY_SCALING = [
    "data.generator.train=600",
    "data.generator.validation=9",
    "data.generator.test=15",
    "data.generator.max_items=2",
    "tokenizer.vocab_size=300",
    "training.stop_after=4 updates",
    "training.batch_tokens=700",
    "training.warmup=2",
]

if __name__ == "__main__":
    from s2s.cli.app import run

    ladder.LADDER = TINY_LADDER
    run()
