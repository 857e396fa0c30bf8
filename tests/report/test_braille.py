import pytest

from s2s.report.braille import EVERY, Canvas


def drawn(canvas: Canvas) -> list[str]:
    return [canvas.line(row).plain for row in range(canvas.rows)]


def test_each_dot_has_its_bit():
    canvas = Canvas(1, 1)
    for x in range(2):
        for y in range(4):
            canvas.draw([(x, 1 - y / 3)], "a", "red", 0)
    canvas.letters.clear()
    assert drawn(canvas) == ["⣿"]


@pytest.mark.parametrize(
    ("line", "rows"),
    [
        ([(0, 0), (1, 0)], ["", "⣀⣀⣀a"]),
        ([(0, 1), (1, 1)], ["⠉⠉⠉a", ""]),
        ([(0, 0), (0, 1)], ["a", "⡇"]),
        ([(0, 0), (1, 1)], ["  ⡠a", "⡠⠊"]),
    ],
)
def test_lines_join_places_and_end_in_their_letter(line, rows):
    canvas = Canvas(4, 2)
    canvas.draw(line, "a", "red", 99)
    assert drawn(canvas) == rows


def test_letters_come_again_and_again():
    canvas = Canvas(3 * EVERY, 1)
    canvas.draw([(0, 0), (1, 0)], "a", "red", 2)
    assert [column for column, shown in enumerate(drawn(canvas)[0]) if shown == "a"] == [
        2,
        2 + EVERY,
        2 + 2 * EVERY,
        3 * EVERY - 1,
    ]


def test_a_line_that_begins_late_has_its_letters_apart():
    canvas = Canvas(3 * EVERY, 1)
    canvas.draw([(0.8, 0), (1, 0)], "a", "red", 0)
    assert drawn(canvas)[0].count("a") == 2


def test_lines_that_cross_share_their_cells():
    canvas = Canvas(3, 1)
    canvas.draw([(0, 0), (1, 0)], "a", "red", 99)
    canvas.draw([(0, 1), (1, 1)], "b", "blue", 99)
    assert drawn(canvas) == ["⣉⣉b"]
    assert {span.style for span in canvas.line(0).spans} == {"blue"}
