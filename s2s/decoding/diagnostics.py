"""Diagnostics of translations: truncated, repetitive, empty, incomplete, without placeholders …"""

from collections import Counter
from dataclasses import dataclass, field

from s2s.decoding.translation import Translation
from s2s.metrics.output_faults import MIN_COPIED_WORDS
from s2s.text.lines import encoding_hint
from s2s.text.placeholders import lost_placeholders

MAX_UNKNOWN_RATIO = 1 / 3  # of the source's tokens

DIAGNOSTICS = {
    "truncated": "truncated at the length limit (--max-ratio)",
    "loop": "repeating itself (--no-repeat-ngram)",
    "empty": "empty",
    "copy": "a copy of its source",
    "unknown_tokens": "of a source with many characters that the tokenizer does not know",
    "cut": "of a sentence longer than the model takes, which was cut, translated in parts and joined again",
    "long_source": "of a sentence longer than those of training",
    "incomplete": "that seems to leave out part of its source",
    "lost_placeholders": "without all placeholders and tags of its source",
    "untagged": "of a source that begins with none of the model's tags (--tag)",
}


def diagnostics(source: str, translation: Translation) -> list[str]:
    """Return the keys of DIAGNOSTICS that apply to a translation; none if the source is blank."""
    source = source.strip().removeprefix(translation.tag)
    if not source.strip():
        return []
    applies = {
        "truncated": translation.truncated,
        "loop": translation.looping,
        "empty": not translation.text.strip(),
        "copy": translation.text.strip() == source.strip() and len(source.split()) >= MIN_COPIED_WORDS,
        "unknown_tokens": translation.unknown_tokens > MAX_UNKNOWN_RATIO * translation.source_length,
        "cut": translation.cut,
        "long_source": translation.long_source,
        "incomplete": translation.incomplete,
        "lost_placeholders": bool(lost_placeholders(source, translation.text)),
        "untagged": translation.untagged,
    }
    return [name for name in DIAGNOSTICS if applies[name]]


@dataclass(slots=True)
class DiagnosticCounts:
    """How many translated lines each diagnostic applies to."""

    lines: int = 0  # lines translated
    counts: Counter[str] = field(default_factory=Counter)  # lines per key of DIAGNOSTICS
    several: int = 0  # lines of several sentences, translated one by one
    invalid: int = 0  # lines with invalid UTF-8
    first_invalid: str = ""  # the first of them, as `file:line`

    def add(self, source: str, translation: Translation) -> None:
        """Count a line."""
        self.lines += 1
        self.several += bool(translation.parts) and not translation.cut
        self.counts.update(diagnostics(source, translation))

    def add_invalid(self, where: str) -> None:
        """Count a line with invalid UTF-8."""
        self.invalid += 1
        self.first_invalid = self.first_invalid or where

    def warnings(self) -> list[str]:
        """Return one warning per diagnostic that applies to any line."""
        replaced = f"not valid UTF-8, invalid bytes replaced; first: {self.first_invalid}"
        if hint := encoding_hint(self.first_invalid):
            replaced += f"; {hint}"
        counts = {replaced: self.invalid}
        counts |= {f"translation {description}": self.counts[name] for name, description in DIAGNOSTICS.items()}
        return [f"{count:,} of {self.lines:,} lines: {description}" for description, count in counts.items() if count]
