from concurrent.futures import ThreadPoolExecutor

import pytest

from s2s.io.ahead import computed_ahead


def test_results_follow_their_items_in_order_and_the_next_one_is_computed_meanwhile():
    computed: list[int] = []

    def double(item: int) -> int:
        computed.append(item)
        return 2 * item

    with ThreadPoolExecutor(1) as pool:
        found = []
        for item, result in computed_ahead(pool, double, iter(range(5))):
            found.append((item, result))
            pool.submit(int).result()  # runs after what was submitted before
            assert computed == list(range(min(item + 2, 5)))
        assert found == [(item, 2 * item) for item in range(5)]
        assert list(computed_ahead(pool, double, [])) == []


def test_a_failure_is_raised_where_its_result_is_wanted():
    with ThreadPoolExecutor(1) as pool:
        results = computed_ahead(pool, [1, 2].__getitem__, [1, 0, 7])
        assert [next(results), next(results)] == [(1, 2), (0, 1)]
        with pytest.raises(IndexError):
            next(results)
