"""Groups of systems that cannot be told apart."""

from collections.abc import Callable, Sequence

SIGNIFICANT = 0.05  # below it, a p-value counts as a difference


def rank_groups(scores: Sequence[float], p_value: Callable[[int, int], float]) -> list[int]:
    """Return the group of each system, 1 for the best.

    Systems are sorted by score. A new group begins where every system above differs significantly from every system
    below, as in the rankings of WMT (Bojar et al. 2016). `p_value`: of the difference of two systems,
    given their places in `scores`. It is not corrected for the number of pairs.
    """
    order = sorted(range(len(scores)), key=lambda place: -scores[place])
    groups, current = [0] * len(scores), 1
    for rank, place in enumerate(order):
        above, below = order[:rank], order[rank:]
        if above and all(p_value(upper, lower) < SIGNIFICANT for upper in above for lower in below):
            current += 1
        groups[place] = current
    return groups
