"""The recall task: a list of key–value pairs and queries about a few of them, in sources of any length.

The source has n keys with their values in random order, a separator, and four of the keys (all of them if there are
fewer). The target repeats each queried key, followed by its value:

    k17 v3 k400 v21 k8 v3 k91 v40 k2 v7 ? k8 k2 k17 k91        k8 v3 k2 v7 k17 v3 k91 v40

A key occurs in a source once and is drawn from 500; values are drawn from 50, so guessing gets 2 % of them right. Only
integers are drawn, so that a seed gives the same sentences on every machine.
"""

from random import Random

from s2s.errors import UsageError
from s2s.recipe.kinds import GeneratorOptions
from s2s.report.format import counted
from s2s.text.lines import Texts

KEYS, VALUES, QUERIES = 500, 50, 4
SEPARATOR = "?"
TEST_TOKENS = (10, 30, 100, 300, 1000)  # source lengths of the test set; actual ones may be one token shorter
TRIES = 1000  # sources drawn in a row that are all known already before the search for a new one ends


def recall_pairs(options: GeneratorOptions) -> dict[str, list[Texts]]:
    """Return the pairs of `train`, `validation` and `test`, without repeated sources.

    Training and validation sources have n key–value pairs, `min_items` to `max_items`, with a probability proportional
    to 1 / (n · (n + 1)): sources of 100 to 200 tokens have as many tokens in total as those of 200 to 400, so most
    batches are cheap, but long sources do occur. The test set has equally many sentences of each of TEST_TOKENS.
    Raises: UsageError if there are too few different sources.
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
    items = (tokens - 1 - QUERIES) // 2
    return items if items >= QUERIES else (tokens - 1) // 3


def answer_positions(target: str) -> range:
    """Return the positions of the values among the tokens of a target."""
    return range(1, len(target.split()), 2)


def _items(random: Random, options: GeneratorOptions) -> int:
    """Draw a number n of items with P(at least n) proportional to 1/n, by rejection above max_items."""
    low, high = options.min_items, options.max_items
    while True:
        items = low * 2**20 // random.randrange(1, 2**20 + 1)
        if items <= high:
            return items


def _new(random: Random, items: int, seen: set[str]) -> Texts:
    """Draw a sentence whose source was not seen before. Raises UsageError if hardly any is left."""
    for _ in range(TRIES):
        source, target = _sentence(random, items)
        if source not in seen:
            seen.add(source)
            return source, target
    raise UsageError(
        f"there are not enough different sources of {counted(items, 'key–value pair')}",
        "make fewer pairs, or raise min_items",
    )


def _sentence(random: Random, items: int) -> Texts:
    values = {f"k{key}": f"v{random.randrange(VALUES)}" for key in random.sample(range(KEYS), items)}
    queries = random.sample(sorted(values), min(QUERIES, items))
    source = " ".join(f"{key} {value}" for key, value in values.items())
    return f"{source} {SEPARATOR} {' '.join(queries)}", " ".join(f"{key} {values[key]}" for key in queries)
