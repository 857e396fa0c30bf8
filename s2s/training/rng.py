"""The states of the random generators, which a checkpoint keeps."""

from typing import Any

import torch
from torch import Tensor


def random_state() -> dict[str, Any]:
    """The states of torch's random generators, as JSON can hold them."""
    state = {"cpu": torch.get_rng_state().numpy().tobytes().hex()}
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state().numpy().tobytes().hex()
    return state


def restore_random(states: list[dict[str, Any]] | dict[str, Any], rank: int) -> None:
    """Put back what `random_state` gave in the process of that rank; older checkpoints have the one state alone."""
    state = states[rank] if isinstance(states, list) else states
    torch.set_rng_state(_as_tensor(state["cpu"]))
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(_as_tensor(state["cuda"]))


def _as_tensor(text: str) -> Tensor:
    return torch.frombuffer(bytearray.fromhex(text), dtype=torch.uint8)
