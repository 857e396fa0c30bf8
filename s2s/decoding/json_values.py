"""Translated lines as JSON values, as `s2s translate --json` prints them and the server returns them."""

from typing import TYPE_CHECKING, Any

from s2s.decoding.diagnostics import diagnostics

if TYPE_CHECKING:
    from s2s.decoding.streaming import TranslatedLine
    from s2s.decoding.translation import Part, Translation


def line_values(line: "TranslatedLine", *, nbest: bool, attention: bool) -> dict[str, Any]:
    """Return the best translation of a line with its diagnostics and parts; if asked, all of them and attention."""
    best = line.translations[0]
    more = attention_values if attention else lambda _: {}
    values: dict[str, Any] = summary(best) | {"diagnostics": diagnostics(line.source, best)}
    if best.parts:
        values["parts"] = [place(part) | summary(part.translation) | more(part.translation) for part in best.parts]
    if nbest:
        values["nbest"] = [summary(translation) for translation in line.translations]
    return values | more(best)


def summary(translation: "Translation") -> dict[str, Any]:
    """Return the text, score and tokens of a translation."""
    return {
        "text": translation.text,
        "score": round(translation.score, 6),
        "log_probability": round(translation.log_probability, 6),
        "tokens": translation.tokens,
    }


def place(part: "Part") -> dict[str, Any]:
    """Return where in its line a part is."""
    return {"start": part.start, "end": part.end}


def attention_values(translation: "Translation") -> dict[str, Any]:
    """Return a translation's attention and what its rows and columns stand for; nothing without attention."""
    if not translation.attention:
        return {}
    if translation.grid:
        return {"grid": translation.grid, "tokens": translation.tokens, "attention": translation.attention}
    return {
        "source_tokens": translation.source_tokens,
        "tokens": translation.tokens,
        "attention": translation.attention,
    }
