import math

import pytest

from s2s.io.quantities import parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30s", 30), ("10m", 600), ("1.5h", 5400), ("2d", 172_800), ("forever", math.inf)],
)
def test_durations_to_wait(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["10", "m", "-5m", "10 minutes", "", "inf"])
def test_durations_that_are_refused(run, text):
    found = run("translate", "numbers-attention", f"--wait={text}")
    assert found.code == 2
    assert "should be a duration such as 30s, 10m or 2h, or forever" in found.err


@pytest.mark.parametrize("text", ["366d", "999999999d", "-2", "soon"])
def test_models_stay_for_at_most_a_year(run, text):
    found = run("serve", f"--keep-alive={text}")
    assert found.code == 2
    assert "forever" in found.err
