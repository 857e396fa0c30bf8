"""`s2s models shadow`: the comparison that a server keeps in shadow mode."""

from typing import TYPE_CHECKING, Annotated

import typer

from s2s.cli.console import note, print_json
from s2s.cli.options import AsJson
from s2s.cli.tables import print_table

if TYPE_CHECKING:
    from s2s.serving.comparison import Comparison, Side


def shadow(
    model: Annotated[str, typer.Argument(metavar="NAME[@ALIAS]", help="A model, or one of its aliases.")],
    as_json: AsJson = False,
) -> None:
    """Show how a candidate compares with the version in production, on the requests of s2s serve --shadow.

    Scores are log-probabilities per token: each model's of its own outputs, and of the other's.

    Examples:
        s2s models shadow numbers-attention
        s2s models shadow numbers-attention@production --json
    """
    from s2s.serving.comparison import read_comparisons

    found = read_comparisons(model)
    if as_json:
        print_json([one.model_dump(mode="json") for one in found])
        return
    for one in found:
        _print(one)


def _print(comparison: "Comparison") -> None:
    count = max(1, comparison.sentences)
    print(
        f"{comparison.alias}: {comparison.sentences:,} sentences, {comparison.identical:,} translated the same; "
        f"chrF between the outputs {comparison.chrf / count:.1f}"
    )
    columns = ("", "model", "tokens", "empty", "repetitive", "own score", "other's score", "ms/sentence")
    sides = {"production": comparison.production, "candidate": comparison.candidate}
    rows = [[name, *_row(side, comparison)] for name, side in sides.items()]
    print_table(columns, rows, set(columns[2:]), keys=2)
    for one in comparison.disagreements:
        print()
        rows = [["source", one.source], ["production", one.production], ["candidate", one.candidate]]
        print_table((f"chrF {one.chrf:.1f}", ""), rows)
    if comparison.dropped:
        note(f"{comparison.dropped:,} sentences were left out, because too many waited")
    if comparison.unknown:
        note(f"{comparison.unknown:,} sentences were left out, because the tokenizer does not know their characters")
    if comparison.problem:
        note(f"warning: the last sentences could not be compared: {comparison.problem}")
    alias = comparison.alias.partition("@")[2]
    note(f"Next: s2s models alias {comparison.candidate.model} {alias} moves the alias")


def _row(side: "Side", comparison: "Comparison") -> list[str]:
    count, scored = max(1, comparison.sentences), comparison.scored
    scores = [f"{score / scored:.3f}" if scored else "–" for score in (side.own_score, side.other_score)]
    speed = f"{1000 * side.seconds / side.computed:.1f}" if side.computed else "–"
    return [side.model, f"{side.tokens / count:.1f}", f"{side.empty:,}", f"{side.loops:,}", *scores, speed]
