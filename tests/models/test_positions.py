"""Positions against naive loops from their equations."""

import cmath
import math

import pytest
import torch

from s2s.models.positions import LearnedPositions, RotaryPositions, SinusoidalPositions, apply_rotary

B, T, N, d, D = 2, 7, 3, 4, 10


def test_sinusoids_are_their_equation() -> None:
    rows = SinusoidalPositions(D).added(T, torch.zeros(()))
    for position in range(T):
        for i in range(D // 2):
            angle = position / 10000 ** (2 * i / D)
            assert rows[position, 2 * i].item() == pytest.approx(math.sin(angle), abs=1e-6)
            assert rows[position, 2 * i + 1].item() == pytest.approx(math.cos(angle), abs=1e-6)


def test_learned_positions_behind_the_table_share_its_last_row() -> None:
    positions = LearnedPositions(4, D)
    rows = positions.added(T, torch.zeros(()))
    assert rows.shape == (T, D)
    torch.testing.assert_close(rows[:4], positions.table)
    for row in rows[4:]:
        torch.testing.assert_close(row, positions.table[3])


def test_added_rows_have_the_dtype_asked_for() -> None:
    like = torch.zeros((), dtype=torch.float64)
    assert SinusoidalPositions(D).added(T, like).dtype == LearnedPositions(4, D).added(T, like).dtype == torch.float64


def test_turned_pairs_are_complex_numbers_times_a_phase() -> None:
    vectors = torch.randn(B, T, N, d, generator=torch.Generator().manual_seed(1))
    found = apply_rotary(vectors, RotaryPositions(d).rotary(T, vectors))
    for b in range(B):
        for t in range(T):
            for n in range(N):
                for i in range(d // 2):
                    pair = complex(vectors[b, t, n, 2 * i], vectors[b, t, n, 2 * i + 1])
                    expected = pair * cmath.exp(1j * t * 10000 ** (-2 * i / d))
                    assert found[b, t, n, 2 * i].item() == pytest.approx(expected.real, abs=1e-5)
                    assert found[b, t, n, 2 * i + 1].item() == pytest.approx(expected.imag, abs=1e-5)


def test_products_of_turned_vectors_know_the_distance_alone() -> None:
    draw = torch.Generator().manual_seed(2)
    query, key = torch.randn(2, d, generator=draw).unbind(0)
    rotary = RotaryPositions(d).rotary(T, query)
    queries, keys = (apply_rotary(vector.expand(1, T, 1, d), rotary)[0, :, 0] for vector in (query, key))
    products = queries @ keys.t()
    for distance in range(1 - T, T):
        diagonal = products.diagonal(distance)
        torch.testing.assert_close(diagonal, diagonal[:1].expand_as(diagonal))
    assert (products[0] - products[0, 0]).abs().max() > 0.1


def test_nothing_is_added_where_vectors_are_turned() -> None:
    assert RotaryPositions(d).added(T, torch.zeros(())) is None
    assert SinusoidalPositions(D).rotary(T, torch.zeros(())) is None
