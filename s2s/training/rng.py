"""The states of the random generators, stored in checkpoints."""

from typing import Any

import torch
from torch import Tensor


def rng_state() -> dict[str, Any]:
    """Return the states of torch's random generators in a form that JSON can hold."""
    state = {"cpu": torch.get_rng_state().numpy().tobytes().hex()}
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state().numpy().tobytes().hex()
    return state


def restore_rng(states: list[dict[str, Any]], rank: int) -> None:
    """Restore what `rng_state` returned in the process `rank`; one that did not exist then keeps its own state."""
    if rank >= len(states):
        return
    state = states[rank]
    torch.set_rng_state(_as_tensor(state["cpu"]))
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(_as_tensor(state["cuda"]))


def _as_tensor(text: str) -> Tensor:
    return torch.frombuffer(bytearray.fromhex(text), dtype=torch.uint8)
