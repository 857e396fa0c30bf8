"""Print vocabularies and how they fit a text."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from s2s.cli.tables import print_table
from s2s.report.console import escape_control, out

if TYPE_CHECKING:
    from s2s.text.vocabulary import Fit, Vocabulary


def print_vocabulary(name: str, vocabulary: "Vocabulary") -> None:
    """Print the size and algorithm of a vocabulary, its kinds of tokens, and the longest ones."""
    out.print(f"tokenizer {name}", soft_wrap=True)
    out.print(f"{vocabulary.size:,} tokens, algorithm {vocabulary.algorithm}\n", soft_wrap=True)
    rows = [[kind, f"{count:,}"] for kind, count in vocabulary.kinds.items()]
    print_table(("kind", "tokens"), rows, {"tokens"})
    if vocabulary.longest:
        _print_tokens("\nlongest tokens", vocabulary.longest)


def print_fit(fit: "Fit") -> None:
    """Print how a vocabulary fits a text."""
    figures = fit.fertility
    rows = [
        ("texts", f"{figures.texts:,}"),
        ("words", f"{figures.words:,}"),
        ("characters, without spaces", f"{figures.characters:,}"),
        ("tokens", f"{figures.tokens:,}"),
        ("tokens per word", f"{figures.tokens_per_word:.3f}"),
        ("tokens per character", f"{figures.tokens_per_character:.3f}"),
        ("unknown or byte tokens", f"{figures.unknown_rate:.3%}"),
        ("tokens of the vocabulary that never occur", f"{fit.unused:,}"),
    ]
    out.print()
    print_table(("text", "value"), rows, {"value"})
    out.print()
    scripts = [
        [script, f"{found.characters:,}", f"{found.covered / found.characters:.3%}", " ".join(found.missing)]
        for script, found in figures.scripts.items()
    ]
    print_table(("script", "characters", "covered", "missing"), scripts, {"characters", "covered"})
    if fit.least_used:
        _print_tokens("\nleast used tokens", [f"{token} ({uses:,})" for token, uses in fit.least_used.items()])


def print_comparison(fits: "Sequence[tuple[str, Fit]]") -> None:
    """Print how several vocabularies fit one text, one row each."""
    numbers = ("tokens", "per word", "per character", "unknown", "unused")
    rows = [
        [
            name,
            fit.vocabulary.algorithm,
            f"{fit.vocabulary.size:,}",
            f"{fit.fertility.tokens_per_word:.3f}",
            f"{fit.fertility.tokens_per_character:.3f}",
            f"{fit.fertility.unknown_rate:.3%}",
            f"{fit.unused:,}",
        ]
        for name, fit in fits
    ]
    print_table(("vocabulary", "algorithm", *numbers), rows, numbers)


def _print_tokens(label: str, tokens: Iterable[str]) -> None:
    out.print(f"{label}: {escape_control(' '.join(tokens))}", soft_wrap=True)
