import pytest

from s2s.data.corruption import FAULTS, Corruption, Fault, misread, parse_fault

SOURCES = [f"Zeile {line} mit %s und {{name}} für Öl" for line in range(2000)]
TARGETS = [f"line {line} with %s and {{name}} for oil" for line in range(2000)]
OTHERS = [f"ligne {line}" for line in range(700)]


def corrupted(seed: int = 1, **shares: float) -> Corruption:
    text = Corruption(SOURCES, TARGETS, seed=seed, block_lines=30)
    for kind, share in shares.items():
        text.inject(kind, share, OTHERS)
    return text


def lines(faults: list[Fault]) -> set[int]:
    return {line for fault in faults for line in range(fault.first, fault.last + 1)}


@pytest.mark.parametrize("kind", FAULTS)
def test_each_fault_changes_the_lines_it_names(kind):
    text = corrupted(**{kind: 0.1})
    assert {fault.fault for fault in text.faults} == {kind}
    changed = {
        row + 1
        for row, pair in enumerate(zip(text.sources, text.targets, strict=True))
        if pair != (SOURCES[row], TARGETS[row])
    }
    assert len(lines(text.faults)) == 200
    assert changed <= lines(text.faults)
    assert len(changed) >= 190  # a line may keep its place when lines are shuffled


def test_shift_names_the_source_of_each_target():
    for fault in corrupted(shifted=0.2).faults:
        text = corrupted(shifted=0.2)
        inside = [
            row for row in range(fault.first - 1, fault.last) if fault.first <= row + fault.shift + 1 <= fault.last
        ]
        assert len(inside) == 30 - abs(fault.shift) if fault.last - fault.first == 29 else True
        assert all(text.targets[row] == TARGETS[row + fault.shift] for row in inside)


def test_faults_do_not_overlap_and_are_deterministic():
    shares = dict.fromkeys(FAULTS, 0.05)
    text = corrupted(**shares)
    assert sum(fault.last - fault.first + 1 for fault in text.faults) == len(lines(text.faults)) == len(FAULTS) * 100
    assert corrupted(**shares).faults == text.faults
    assert corrupted(**shares).targets == text.targets
    assert corrupted(2, **shares).faults != text.faults


def test_what_single_lines_become():
    text = corrupted(untranslated=0.01, truncated=0.01, wrong_language=0.01, lost_placeholders=0.01, mojibake=0.01)
    for fault in text.faults:
        row = fault.first - 1
        expected = {
            "untranslated": SOURCES[row],
            "truncated": " ".join(TARGETS[row].split()[:4]),
            "wrong_language": OTHERS[row % len(OTHERS)],
            "lost_placeholders": TARGETS[row].replace("%s", "").replace("{name}", ""),
            "mojibake": TARGETS[row],
        }
        assert text.targets[row] == expected[fault.fault]
        assert text.sources[row] == (misread(SOURCES[row]) if fault.fault == "mojibake" else SOURCES[row])
    assert misread("Öl ’ à") == "Ã–l â€™ Ã\u00a0"


def test_lines_that_cannot_have_a_fault():
    text = Corruption(["abc"] * 50, ["def"] * 50, seed=1, block_lines=30)
    assert text.inject("mojibake", 1.0) == text.inject("lost_placeholders", 1.0) == text.inject("truncated", 1.0) == 0
    assert text.inject("swapped", 1.0) <= 50
    assert text.inject("untranslated", 1.0) == 50 - len(lines([one for one in text.faults if one.fault == "swapped"]))


def test_parse_fault():
    assert parse_fault("shifted=2.5%") == ("shifted", 0.025)
    for text in (
        "shifted",
        "shifted=",
        "shifted=10",
        "shifted=0%",
        "shifted=101%",
        "shifted=x%",
        "shifted=nan%",
        "other=1%",
    ):
        with pytest.raises(ValueError, match="no such fault" if text.startswith("other") else "shifted=10%"):
            parse_fault(text)
