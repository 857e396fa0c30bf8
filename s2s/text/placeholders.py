"""Placeholders: parts of a text that a program fills in or interprets, and that a translation must keep as they are."""

import re
from collections import Counter
from html import unescape

MAX_PLACEHOLDER = 200  # characters of a tag or of what stands between brackets

# Told apart by their first character: `<` a tag, `&` an entity, else a placeholder of a format string.
#   printf: %s %d %.2f %1$s %@ %(name)s; not the percent sign of "20%ige" or "100 %ige", nor "%d0%b0" in an address.
#   braces: {name} {0} {} {price:.2f} {user.name} ${name} %{name} {{ name }}
#   tags: <b> </b> <br/> <x0> <a href="…">; not "a < b", <name@example.org>, or <file> without </file>
#   entities: &nbsp; &#160; &#xA0;
PLACEHOLDER = re.compile(
    rf"""
    % \( \w [^()]{{0,{MAX_PLACEHOLDER}}} \) [-+#0]* \d* (?:\.\d+)? [diuxXeEfFgGcsr]
    | % \d{{1,2}} \$ [-+#0]* \d* (?:\.\d+)? (?:hh?|ll?|[zjt])? [diuxXeEfFgGcs@]
    | (?<![\d%]) % (?:s | d (?![0-9a-fA-F]))
    | (?<![\d%]) % [-+#0]* (?:\d+|\*)? (?:\.(?:\d+|\*))? (?:hh?|ll?|[zjt])? [diuxXeEfFgGcsr@] (?!\w)
    | \{{\{{ [ ]? [^\W\d] [\w.-]{{0,{MAX_PLACEHOLDER}}} [ ]? \}}\}}
    | [%$]? \{{ (?:[^\W\d] [\w.\[\]-]{{0,{MAX_PLACEHOLDER}}} | \d{{1,3}})? (?:![rsa])? (?::[^{{}}\s]{{0,20}})? \}}
    | </? [A-Za-z] [A-Za-z0-9]{{0,30}} (?:[-:_.][A-Za-z0-9]{{1,30}}){{0,4}}
      (?:\s{{1,9}} [\w:-]{{1,40}} =
        (?:"[^"<>]{{0,{MAX_PLACEHOLDER}}}" | '[^'<>]{{0,{MAX_PLACEHOLDER}}}' | [^\s"'<>=]{{1,99}})
      ){{0,9}} \s{{0,9}} /? >
    | & (?:[A-Za-z] [A-Za-z0-9]{{1,31}} | \#\d{{1,7}} | \#[xX][0-9A-Fa-f]{{1,6}}) ;
    """,
    re.VERBOSE,
)
# What is often a word for people, who translate it ("usage: cp <file>"): a tag only if the text closes it.
OPENING = re.compile(
    r"<(?!(?:[abipqsu]|big|br|dd|div|dl|dt|em|hr|img|kbd|li|ol|pre|small|span|strong|sub|sup|t[dhrt]|ul|wbr)>)"
    r"[a-z]+(?:[-:_.][a-z]+)*>",
    re.IGNORECASE,
)
ARGUMENT_NUMBER = re.compile(r"(?<=%)\d+\$")


def placeholders(text: str) -> list[str]:
    """Return the placeholders, tags and entities of a text, in their order."""
    if "%" in text or "{" in text or "<" in text or "&" in text:
        found: list[str] = PLACEHOLDER.findall(text)
        present = set(found)
        return [one for one in found if not OPENING.fullmatch(one) or f"</{one[1:]}" in present]
    return []


def lost_placeholders(source: str, target: str) -> list[str]:
    """Return the placeholders, tags and entities that occur more often in `source` than in `target`.

    `%1$s` counts as `%s`, and an entity is not lost if the target has its character instead.
    """
    expected = placeholders(source)
    if not expected:
        return []
    counts = Counter(ARGUMENT_NUMBER.sub("", one) for one in expected)
    text = ARGUMENT_NUMBER.sub("", target)
    lost = [one for one, count in counts.items() for _ in range(count - text.count(one))]
    return [one for one in lost if not (one.startswith("&") and unescape(one) in text)]


def differing_placeholders(source: str, target: str) -> list[str]:
    """Return the placeholders, tags and entities that one side has more often than the other."""
    return lost_placeholders(source, target) + lost_placeholders(target, source)
