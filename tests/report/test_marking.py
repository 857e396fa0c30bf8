import pytest

from s2s.report.marking import marked, printable


def kinds(output, reference):
    return [(span.kind, span.text) for span in marked(output, reference)]


def test_equal_texts_are_one_span():
    assert kinds("twenty-one", "twenty-one") == [("same", "twenty-one")]


def test_other_words_and_missing_words_are_told_apart():
    assert kinds("March 13, 1999", "March 12, 1999 ; two") == [
        ("same", "March"),
        ("same", " "),
        ("different", "13"),
        ("same", ", 1999"),
        ("missing", "; two"),
    ]


def test_words_too_many_are_different():
    assert ("different", "and three") in kinds("two and three", "two")


@pytest.mark.parametrize("output", ["", "  a  b ", "x, y; z", "ein 二 three", "a a a b"])
def test_spans_give_the_output_back(output):
    spans = marked(output, "a b, z")
    assert "".join(span.text for span in spans if span.kind != "missing") == output


def test_an_empty_output_lacks_everything():
    assert kinds("", "two words") == [("missing", "two words")]


def test_printable_leaves_nothing_that_steers_a_terminal():
    assert printable("a\x1b[31mb\x00\x9b") == "a\ufffd[31mb\ufffd\ufffd"
    assert printable("one\ntwo\u2028three\tfour") == "one two three four"
    assert printable("abc\u202egnp.exe") == "abc\ufffdgnp.exe"
    assert printable("naïve 中 👍") == "naïve 中 👍"
