"""Generated parallel text, in which line N of one side is the translation of line N of the other."""

import random

LINES = 1500
SYLLABLES = {
    "de": ("sch", "ung", "eit", "pf", "au", "ei", "kra", "zen"),
    "en": ("th", "ing", "ow", "wh", "ea", "ly", "y", "qu"),
}


def vocabulary(language: str, size: int = 120) -> list[str]:
    generator = random.Random(language)
    return ["".join(generator.choices(SYLLABLES[language], k=generator.randint(1, 4))) for _ in range(size)]


def parallel_text(lines: int = LINES, seed: int = 1) -> tuple[list[str], list[str]]:
    """Sentences of 2 to 14 words, frequent ones more often, translated word by word; one word in ten is left out."""
    generator = random.Random(seed)
    words = list(zip(vocabulary("de"), vocabulary("en"), strict=True))
    weights = [1 / rank for rank in range(1, len(words) + 1)]
    sources, targets = [], []
    for _ in range(lines):
        first, *others = generator.choices(words, weights, k=generator.randint(2, 14))
        translated = [first, *(pair for pair in others if generator.random() > 0.1)]
        sources.append(" ".join(source for source, _ in [first, *others]) + ".")
        targets.append(" ".join(target for _, target in translated) + ".")
    return sources, targets
