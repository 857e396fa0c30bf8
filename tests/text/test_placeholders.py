import re
import time

import pytest

from s2s.text.placeholders import MAX_PLACEHOLDER, lost_placeholders, placeholders


@pytest.mark.parametrize(
    "text",
    [
        "%s of %d files, %.2f or %5.1f %%, %-10s and %lu",
        "%(name)s has %(count)d; %(share).1f",
        "%1$s%2$s %1$-5d %@ and %1$@",
        "%dx%d, %dpx; %sKB, %s%sand",
        "{name} {0} {} {price:.2f} {user.name} {items[0]} {!r} ${HOME} %{name} {{ name }} {{name}} {größe}",
        "<b> and </b> <br/> <br /> <h1> <x0> <xs:e></xs:e> <a href='/x' title=\"two words\"> <td width=3>",
        "&nbsp; &amp; &#160; &#xA0;",
        "<b>%s</b>&nbsp;{0}",
        "<emphasis><BR></emphasis>",
    ],
)
def test_nothing_but_placeholders(text):
    rest = text
    for one in placeholders(text):
        rest = rest.replace(one, "", 1)
    assert re.fullmatch(r"(?:of|files|or|%%|and|has|x|px|KB|[ ,;])*", rest), rest


@pytest.mark.parametrize(
    "text",
    [
        "100 % sicher, 100 %%s, 20%ige und 100 %ige Lösung, %50'si, 5%",
        "https://example.org/a%20der%C3%BC?x=%d0%b0&y=1;2",
        "a < b and c > d, x<y, <name@example.org>, <-- {1, 2}, { a } and f(x) {",
        "cp <file> <another-file>",
        "Q&A; R&D; AT&T",
        "nothing at all",
        "",
    ],
)
def test_text_that_only_looks_like_one(text):
    assert placeholders(text) == []


def test_order_and_repetitions_are_kept():
    assert placeholders("<i>{1}</i>{0}{1}") == ["<i>", "{1}", "</i>", "{0}", "{1}"]


@pytest.mark.parametrize(
    ("source", "target", "lost"),
    [
        ("%s von %s", "%s of it", ["%s"]),
        ("%d von %s", "%2$s %1$d", []),
        ("<x id='%s'/>", "<x id='%1$s'/>", []),
        ("<b>%(a)s</b>", "%(b)s</b>", ["<b>", "%(a)s"]),
        ("fünf&nbsp;Euro &lt;", "five\xa0euros &gt;", ["&lt;"]),
        ("%d mal", "%den", []),
        ("fünf", "{0}", []),
    ],
)
def test_lost_placeholders(source, target, lost):
    assert lost_placeholders(source, target) == lost


@pytest.mark.parametrize(
    "start", ["<", "<a", "<a ", "<a b=c ", "<a b='", '<a b="', "{", "{a", "{a:", "%(", "%(a", "%1", "&a", "&#", "%.1"]
)
@pytest.mark.parametrize("filling", ["", " ", "a", "0", "=", "b=c "])
def test_hostile_texts_take_linear_time(start, filling):
    text = start + filling * 20_000 + start * 20_000
    began = time.process_time()
    placeholders(text)
    assert time.process_time() - began < 1


def test_what_is_too_long_is_no_placeholder():
    assert placeholders("{" + "a" * 2 * MAX_PLACEHOLDER + "}") == []
