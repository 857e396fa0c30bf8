"""Which pairs are joined to one example."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from s2s.recipe.augmentation import AugmentationOptions
from s2s.training.merging import merged_rows


class Pairs(SimpleNamespace):
    """Lengths and files of pairs, in place of a split of a corpus."""

    def __len__(self) -> int:
        return len(self.file_numbers)


def pairs(count: int = 5000, files: int = 7) -> Pairs:
    random = np.random.default_rng(2)
    lengths = [random.integers(1, 40, count).astype(np.int32) for _ in range(2)]
    numbers = np.sort(random.integers(0, files, count)).astype(np.int32)
    return Pairs(
        source_lengths=lengths[0],
        target_lengths=lengths[1],
        file_numbers=numbers,
        dataset_numbers=np.zeros_like(numbers),
    )


def groups(split: Pairs, max_length: int = 1000, seed: int = 3, **options: Any) -> list[list[int]]:
    chosen = AugmentationOptions.model_validate(options)
    rows, ends = merged_rows(split, np.arange(len(split)), chosen, max_length, np.random.default_rng(seed))  # type: ignore[arg-type]
    assert sorted(rows.tolist()) == list(range(len(split)))
    assert ends[-1] == len(split)
    return [part.tolist() for part in np.split(rows, ends[:-1])]


@pytest.mark.parametrize(("share", "lines"), [(0.1, 4), (0.25, 2), (0.9, 3), (1, 2), (0, 4)])
def test_a_share_of_the_examples_are_several_neighbours(share: float, lines: int) -> None:
    split = pairs()
    found = groups(split, merge=share, merge_lines=lines)
    sizes = np.array([len(group) for group in found])
    assert np.mean(sizes > 1) == pytest.approx(share, abs=0.02)
    if share:
        counts = [np.mean(sizes[sizes > 1] == size) for size in range(2, lines + 1)]
        assert counts == pytest.approx([1 / (lines - 1)] * (lines - 1), abs=0.07)
    for group in found:
        assert group == list(range(group[0], group[0] + len(group)))
        assert len(set(split.file_numbers[group])) == 1


def test_long_sides_are_not_joined() -> None:
    split = pairs()
    for order in ("next", "random"):
        found = groups(split, max_length=60, merge=0.5, merge_with=order)
        several = [group for group in found if len(group) > 1]
        assert all(max(split.source_lengths[g].sum(), split.target_lengths[g].sum()) <= 60 for g in several)
        assert {len(group) for group in several} == {2, 3, 4}
        assert 0.2 < len(several) / len(found) < 0.5


def test_random_pairs_come_from_anywhere() -> None:
    split = pairs()
    several = [group for group in groups(split, merge=0.2, merge_with="random") if len(group) > 1]
    distances = [abs(group[1] - group[0]) for group in several]
    assert np.median(distances) > 500
    assert any(len(set(split.file_numbers[group])) > 1 for group in several)


def test_files_of_one_line_and_other_seeds() -> None:
    split = pairs(50, files=1)
    assert groups(split, merge=0.5) == groups(split, merge=0.5)
    assert groups(split, merge=0.5) != groups(split, merge=0.5, seed=4)
    split.file_numbers = np.arange(50, dtype=np.int32)
    assert groups(split, merge=1) == [[row] for row in range(50)]
