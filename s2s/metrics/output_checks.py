"""Checks of a system's output: wrong files, shifted lines, text in another form or language, implausible scores.

A good output gives no warning; a warning is a reason to look at the files, not a proof.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from s2s.metrics.line_matching import LineMatches, ShiftedStretch
from s2s.metrics.scores import Reference, Score, Scoring, check_counts, texts_of
from s2s.text.scripts import letters_by_script

MANY_LINES = 100  # needed to judge scores and vocabulary
NATURAL_WORDS = 300  # different words from which references are natural language, not a generated task
HIGH_BLEU = 80.0  # beyond what a system reaches on natural language, which can say a thing in many ways
LOW_BLEU = 1.0
MIN_COPIED, COPIED = 10, 0.3  # lines that repeat their source, unless all do, and their share
MIN_MARKS = 10  # commas and full stops of a side
SEPARATED = 0.5  # difference between the shares of those that follow a space
MIN_CASED = 20  # letters of each side, or first letters
CAPITALS = {"letters": 0.01, "first letters": 0.5}  # share of capitals of text that is cased as people write it
FEW_CAPITALS = 0.2  # as a multiple of the other side's share
MIN_LETTERS = 200
OTHER_SCRIPTS = 0.2  # difference between the two sides' shares of letters in a script
KNOWN_WORDS = 0.3  # share of words that references have, too; it is 0.9 in good outputs, 0.1 in another language
SOURCE_WORDS = 2.0  # words that sources have, too, as a multiple of those that references have
UNSPACED = {"CJK", "HIRAGANA", "KATAKANA", "HANGUL", "THAI", "LAO", "KHMER", "MYANMAR"}  # scripts, for BLEU

OutputWarningKind = Literal[
    "equals_references", "repeats_sources", "blank", "subwords", "special_tokens", "entities", "punctuation", "case",
    "tokenizer", "script", "language", "high_bleu", "low_bleu", "shifted", "unrelated",
]  # fmt: skip
MARKS: dict[OutputWarningKind, tuple[re.Pattern[str], str, str]] = {
    "subwords": (re.compile(r"@@(?= |$)|▁|(?<= )##(?=\w)|Ġ|</w>"), "marks of subwords", "join them to words"),
    "special_tokens": (
        re.compile(r"<(?:unk|s|/s|pad|bos|eos|mask)>|\[(?:UNK|PAD|CLS|SEP|MASK)\]|<\|\w+\|>|⁇"),
        "special tokens",
        "leave them out of the output",
    ),
    "entities": (re.compile(r"&(?:[A-Za-z]{2,6}|#[0-9]{1,6}|#x[0-9a-f]{1,5});"), "HTML entities", "unescape them"),
}
SEPARATE = re.compile(r"(?<=\S) [,.](?=\s|$)|@-@")
ATTACHED = re.compile(r"(?<=\S)[,.](?=\s|$)")


@dataclass(frozen=True, slots=True)
class OutputWarning:
    """What looks wrong with a system's output, or with how it is scored."""

    kind: OutputWarningKind
    message: str  # to be printed after the name of the output


def check_output(
    outputs: Sequence[str],
    references: Sequence[Reference],
    scores: Mapping[str, Score],
    *,
    sources: Sequence[str] = (),
    scoring: Scoring | None = None,
) -> list[OutputWarning]:
    """Return what looks wrong with the N outputs of a system, or with the files that they are scored with.

    `scores`: those of the outputs; BLEU is judged if it is one of them. `sources`: N texts, or none. `scoring`: with
    which they were scored, by default as English text. Of several references of a line, most checks read the first.
    Raises: DataError if the counts differ or are zero, or if a line has no reference.
    """
    check_counts(outputs, references)
    if sources:
        check_counts(sources, references, "sources")
    own = [text.strip() for text in outputs]
    accepted = [[text.strip() for text in texts_of(reference)] for reference in references]
    if any(own) and all(text in texts for text, texts in zip(own, accepted, strict=True)):
        message = f"all {len(own):,} lines equal their references: is it a copy of them?"
        return [OutputWarning("equals_references", message)]
    first = [texts[0] for texts in accepted]
    warnings = [*_copied(own, accepted, sources), *_blank(own, accepted), *_marks(own, accepted)]
    warnings += [*_punctuation(own, first), *_case(own, first), *_scripts(own, first, scoring or Scoring())]
    if not {"repeats_sources", "subwords", "script"} & {warning.kind for warning in warnings}:
        warnings += _words(own, first, sources, scores)
    if "bleu" in scores and len(own) >= MANY_LINES and scores["bleu"].value < LOW_BLEU and not warnings:
        message = f"BLEU of {scores['bleu'].shown} on {len(own):,} lines: is it the output for these references?"
        warnings.append(OutputWarning("low_bleu", message))
    return warnings


def _copied(
    outputs: Sequence[str], references: Sequence[Sequence[str]], sources: Sequence[str]
) -> Iterator[OutputWarning]:
    """Find lines that repeat their source where no reference does."""
    rows = [
        (output, source.strip())
        for output, source, texts in zip(outputs, sources, references, strict=False)
        if source.strip() and source.strip() not in texts
    ]
    count = sum(output == source for output, source in rows)
    if count and (count == len(rows) or count >= max(MIN_COPIED, COPIED * len(rows))):
        message = f"{count:,} of {len(rows):,} lines repeat their source: are they translated?"
        yield OutputWarning("repeats_sources", message)


def _blank(outputs: Sequence[str], references: Sequence[Sequence[str]]) -> Iterator[OutputWarning]:
    """Find blank lines whose references are not."""
    count = sum(not output and all(texts) for output, texts in zip(outputs, references, strict=True))
    if count:
        yield OutputWarning("blank", f"{count:,} of {len(outputs):,} lines are blank where the references are not")


def _marks(outputs: Sequence[str], references: Sequence[Sequence[str]]) -> Iterator[OutputWarning]:
    """Find marks of a system's internal text that no reference has."""
    for kind, (pattern, name, remedy) in MARKS.items():
        known = {mark for texts in references for text in texts for mark in pattern.findall(text)}
        found = [set(pattern.findall(output)) - known for output in outputs]
        if count := sum(map(bool, found)):
            most = Counter(mark for marks in found for mark in marks).most_common(1)[0][0]
            yield OutputWarning(kind, f"{count:,} of {len(outputs):,} lines have {name} ({most.strip()}): {remedy}")


def _punctuation(outputs: Sequence[str], references: Sequence[str]) -> Iterator[OutputWarning]:
    """Find punctuation that follows a space on one side only, as in tokenized text."""
    shares = []
    for side in (outputs, references):
        separate, attached = (sum(len(p.findall(text)) for text in side) for p in (SEPARATE, ATTACHED))
        if separate + attached < MIN_MARKS:
            return
        shares.append(separate / (separate + attached))
    if shares[0] - shares[1] >= SEPARATED:
        message = "its commas and full stops follow a space, those of the references do not: detokenize it"
        yield OutputWarning("punctuation", message)
    elif shares[1] - shares[0] >= SEPARATED:
        message = "commas and full stops of the references follow a space, its own do not: are they tokenized?"
        yield OutputWarning("punctuation", message)


def _case(outputs: Sequence[str], references: Sequence[str]) -> Iterator[OutputWarning]:
    """Find capitals, or first letters that are capitals, of which one side has far fewer."""
    firsts = [[next(filter(str.isalpha, text), "") for text in side] for side in (outputs, references)]
    for (what, usual), sides in zip(CAPITALS.items(), ((outputs, references), firsts), strict=True):
        capitals = [sum(map(str.isupper, "".join(side))) for side in sides]
        letters = [count + sum(map(str.islower, "".join(side))) for count, side in zip(capitals, sides, strict=True)]
        shares = [count / max(total, 1) for count, total in zip(capitals, letters, strict=True)]
        judged = min(letters) >= MIN_CASED and max(shares) >= usual
        if judged and min(shares) <= FEW_CAPITALS * max(shares):
            yield OutputWarning(
                "case",
                f"{shares[0]:.1%} of its {what} are capitals, {shares[1]:.1%} of the references': BLEU, chrF and exact "
                "match are cased",
            )
            return


def _scripts(outputs: Sequence[str], references: Sequence[str], scoring: Scoring) -> Iterator[OutputWarning]:
    """Find a script that the references use less, or one that BLEU's tokenizer does not split."""
    found, expected = (letters_by_script("\n".join(side)) for side in (outputs, references))
    if min(found.total(), expected.total()) < MIN_LETTERS:
        return
    usual = expected.most_common(1)[0][0]
    if usual in UNSPACED and scoring.tokenizer == "13a":
        message = f"BLEU's tokenizer 13a does not suit {_named(usual)} script: name the target language"
        yield OutputWarning("tokenizer", message)
    shares = {script: (found[script] / found.total(), expected[script] / expected.total()) for script in found}
    script, (own, others) = max(shares.items(), key=lambda item: item[1][0] - item[1][1])
    if own - others >= OTHER_SCRIPTS:
        message = f"{own:.0%} of its letters are in {_named(script)} script, {others:.0%} of the references'"
        yield OutputWarning("script", message)


def _named(script: str) -> str:
    return script if script == "CJK" else script.title()


def _words(
    outputs: Sequence[str], references: Sequence[str], sources: Sequence[str], scores: Mapping[str, Score]
) -> Iterator[OutputWarning]:
    """Find outputs in other words than those of the references, or in those of other lines."""
    unspaced = letters_by_script("\n".join(references)).most_common(1)
    split = Scoring("char" if unspaced and unspaced[0][0] in UNSPACED else "13a").word_splitter()
    sides = (outputs, references, sources)
    own, expected, given = ([{word for word in split(text) if word[0].isalnum()} for text in side] for side in sides)
    if not any(own):
        return
    many = len(outputs) >= MANY_LINES
    vocabulary, other = ({word for words in side for word in words if word.isalpha()} for side in (expected, given))
    if many and len(vocabulary) >= NATURAL_WORDS:
        used = [word for words in own for word in words if word.isalpha()]
        known, of_sources = (sum(word in words for word in used) for words in (vocabulary, other))
        if known < max(KNOWN_WORDS * len(used), of_sources / SOURCE_WORDS):
            message = f"only {known / len(used):.0%} of its words occur in the references: is it in another language?"
            yield OutputWarning("language", message)
            return
        if "bleu" in scores and scores["bleu"].value > HIGH_BLEU:
            message = f"BLEU of {scores['bleu'].shown} is implausible on such text: was it made from the references?"
            yield OutputWarning("high_bleu", message)
    matches = LineMatches(own, expected)
    if stretch := matches.shifted_stretch():
        yield OutputWarning("shifted", _describe_shift(stretch))
    elif many and matches.is_chance():
        message = "its lines match their references no better than those of other lines: are they in another order?"
        yield OutputWarning("unrelated", message)


def _describe_shift(stretch: ShiftedStretch) -> str:
    count, where = abs(stretch.shift), "after" if stretch.shift > 0 else "before"
    lines = "the line" if count == 1 else f"{count} lines"
    return (
        f"lines {stretch.first:,} to {stretch.last:,} match the references of {lines} {where} them better than their "
        "own: is a line missing or added?"
    )
