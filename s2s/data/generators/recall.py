"""Recall: a list of pairs, and questions about a few of them, which can stand anywhere in a source of any length.

The source holds n pairs of a key and its value in random order, a separator, and four of the keys (all of them where
there are fewer); the target says each of these keys followed by its value:

    k17 v3 k400 v21 k8 v3 k91 v40 k2 v7 ? k8 k2 k17 k91        k8 v3 k2 v7 k17 v3 k91 v40

A key stands in a source once, drawn from 500; values are drawn from 50, so chance has 2 % of them right. Everything is
drawn as integers, so that a seed gives the same sentences on every machine.
"""

from random import Random

from s2s.recipe.data import GeneratorOptions

KEYS, VALUES, ASKED = 500, 50, 4
SEPARATOR = "?"
TEST_TOKENS = (10, 30, 100, 300, 1000)  # lengths of the test's sources; the longest are up to one token shorter

Texts = tuple[str, str]  # source and target


def recall_pairs(options: GeneratorOptions) -> dict[str, list[Texts]]:
    """Return the pairs of `train`, `validation` and `test`: no source twice, and none in two splits.

    Training and validation have `min_items` to `max_items` key–value pairs, n with a probability in proportion to
    1 / (n · (n + 1)): sources of 100 to 200 tokens are in sum as long as those of 200 to 400, so that most batches are
    cheap and long sources still come. The test has as many sentences of each of TEST_TOKENS.
    """
    random, seen = Random(options.seed), set[str]()
    lengths = {
        "train": [_items(random, options) for _ in range(options.train)],
        "validation": [_items(random, options) for _ in range(options.validation)],
        "test": [items_of(TEST_TOKENS[index % len(TEST_TOKENS)]) for index in range(options.test)],
    }
    return {name: [_new(random, items, seen) for items in split] for name, split in lengths.items()}


def items_of(tokens: int) -> int:
    """Return how many key–value pairs fit a source of up to `tokens` tokens, with separator and queried keys."""
    many = (tokens - 1 - ASKED) // 2
    return many if many >= ASKED else (tokens - 1) // 3


def answer_positions(target: str) -> range:
    """Where the values stand among the tokens of a target."""
    return range(1, len(target.split()), 2)


def _items(random: Random, options: GeneratorOptions) -> int:
    """N from min_items to max_items: P(at least n) is in proportion to 1/n, cut where it would pass max_items."""
    low, high = options.min_items, options.max_items
    while True:
        items = low * 2**20 // random.randrange(1, 2**20 + 1)
        if items <= high:
            return items


def _new(random: Random, items: int, seen: set[str]) -> Texts:
    """Draw a sentence whose source was not seen before."""
    while True:
        source, target = _sentence(random, items)
        if source not in seen:
            seen.add(source)
            return source, target


def _sentence(random: Random, items: int) -> Texts:
    values = {f"k{key}": f"v{random.randrange(VALUES)}" for key in random.sample(range(KEYS), items)}
    asked = random.sample(sorted(values), min(ASKED, items))
    source = " ".join(f"{key} {value}" for key, value in values.items())
    return f"{source} {SEPARATOR} {' '.join(asked)}", " ".join(f"{key} {values[key]}" for key in asked)
