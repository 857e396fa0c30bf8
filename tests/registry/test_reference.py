import pytest

from s2s.errors import UsageError
from s2s.registry.reference import Reference


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("numbers", Reference("numbers")),
        ("numbers-attention:3", Reference("numbers-attention", version=3)),
        ("a.b_c-1@best", Reference("a.b_c-1", alias="best")),
        ("9@1", Reference("9", alias="1")),
        ("x" * 64 + ":120", Reference("x" * 64, version=120)),
    ],
)
def test_what_a_reference_means_and_how_it_is_written(text, expected):
    assert Reference.parse(text) == expected
    assert str(expected) == text


@pytest.mark.parametrize(
    "text",
    ["", "Numbers", "-a", ".a", "..", "a b", "a\n", "ä", "x" * 65, "/etc/passwd", "a@../b"]
    + [f"a{rest}" for rest in (":", "@", ":0", ":03", ":-1", ":best", "@Best", ":3@best", ":1234567890123456789")],
)
def test_anything_else_is_refused(text):
    with pytest.raises(UsageError, match="expected NAME, NAME:VERSION or NAME@ALIAS"):
        Reference.parse(text)


def test_a_recipes_name_is_told_apart():
    with pytest.raises(UsageError) as caught:
        Reference.parse("numbers/attention")
    assert "s2s train numbers/attention" in caught.value.hint
