"""Which texts can be a token of their own, of those that recipes name and of the placeholders that occur in texts."""

import re

MIN_PLACEHOLDERS = 10  # occurrences from which a placeholder becomes a token
MAX_PLACEHOLDERS = 0.1  # of the vocabulary
MAX_SYMBOL = 200  # characters
SPECIAL = re.compile(r"</?s>|<unk>|<pad>|<0x[0-9A-F]{2}>")  # texts of tokens that have another meaning
MARKS = "\0\u2581\u2585"  # SentencePiece gives them a meaning


def symbol_problem(symbol: str) -> str | None:
    """Return why a text cannot be a user symbol, or None if it can."""
    if not 0 < len(symbol) <= MAX_SYMBOL:
        return f"expected 1 to {MAX_SYMBOL} characters"
    if any(character.isspace() for character in symbol):
        return "expected no spaces: tokens do not span words"
    if any(mark in symbol for mark in MARKS):
        return "SentencePiece does not take NUL, U+2581 and U+2585"
    if SPECIAL.fullmatch(symbol):
        return "the tokenizer has a special token of this name"
    return None
