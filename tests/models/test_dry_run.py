"""Counting what is never computed."""

import torch
from torch import nn

from s2s.models.dry_run import DryAutocast, DryRun


def on_meta(*shape: int) -> torch.Tensor:
    return torch.empty(*shape, device="meta")


def test_flops_of_products() -> None:
    with DryRun() as run:
        on_meta(3, 5) @ on_meta(5, 7)
    assert run.flops == 2 * 3 * 5 * 7
    with DryRun() as run:
        assert (on_meta(2, 3, 5) @ on_meta(2, 5, 7)).shape == (2, 3, 7)
    assert run.flops == 2 * 2 * 3 * 5 * 7
    with DryRun() as run:
        assert (on_meta(2, 3, 5) @ on_meta(5)).shape == (2, 3)
    assert run.flops == 2 * 2 * 3 * 5
    with DryRun() as run:
        nn.functional.linear(on_meta(2, 3, 5), on_meta(7, 5), on_meta(7))
    assert run.flops == 2 * 2 * 3 * 5 * 7
    with DryRun() as run:
        on_meta(3, 5).tanh() + on_meta(5)
    assert run.flops == 0


def test_backward_of_a_product_is_two_products() -> None:
    left, right = on_meta(3, 5).requires_grad_(), on_meta(5, 7).requires_grad_()
    with DryRun() as run:
        (left @ right).sum().backward()
    assert run.flops == 3 * 2 * 3 * 5 * 7


def test_bytes_are_those_that_are_still_there() -> None:
    given = on_meta(4, 6)
    with DryRun([given]) as run:
        first = given * 2
        second = first.t()
        assert run.bytes == 4 * 6 * 4
        del first
        assert run.bytes == 4 * 6 * 4  # seen through `second`
        third = second + 1
        del second
        assert (run.bytes, run.peak) == (4 * 6 * 4, 2 * 4 * 6 * 4)
        del third
        assert run.bytes == 0
        given.t()
        assert run.bytes == 0


def test_products_are_lowered_where_autocast_would() -> None:
    linear = nn.Linear(5, 7, device="meta")
    values = on_meta(2, 3, 5)
    with DryRun([*linear.parameters(), values]) as run, DryAutocast():
        assert linear(values).dtype == torch.float32
        with torch.autocast("cpu", torch.bfloat16):
            once = linear(values)
            weights = 2 * (5 * 7 + 7)
            factors = 2 * 2 * 3 * 5  # autograd keeps the lowered values
            assert once.dtype == torch.bfloat16
            assert run.bytes == weights + factors + 2 * 2 * 3 * 7
            twice = linear(values)
            assert run.bytes == weights + 2 * (factors + 2 * 2 * 3 * 7)
            with torch.autocast("cpu", enabled=False):
                assert (on_meta(3, 5) @ on_meta(5, 7)).dtype == torch.float32
    assert twice.shape == (2, 3, 7)
