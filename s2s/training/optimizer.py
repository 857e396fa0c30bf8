"""The optimizer, the learning rate, and their state as tensors that safetensors can hold."""

import torch
from torch import Tensor, nn

from s2s.recipe.schema import TrainingOptions


def build_optimizer(model: nn.Module, options: TrainingOptions) -> torch.optim.AdamW:
    """AdamW (Loshchilov and Hutter 2019), fused; no weight decay on vectors (biases, norms)."""
    tables = [p for p in model.parameters() if p.dim() > 1]
    vectors = [p for p in model.parameters() if p.dim() <= 1]
    groups = [{"params": tables, "weight_decay": options.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=options.lr, betas=options.betas, eps=1e-8, fused=True)


def learning_rate(options: TrainingOptions, update: int, done: float) -> float:
    """The learning rate of update number `update` (from 0), when the share `done` (0 to 1) of the training is over."""
    warm = min(1.0, (update + 1) / options.warmup) if options.warmup else 1.0
    return options.lr * warm * (1 - done if options.decay == "linear" else 1.0)


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimizer's state: `3.exp_avg` is that of the fourth parameter."""
    state = optimizer.state_dict()["state"]
    return {f"{index}.{name}": value for index, values in state.items() for name, value in values.items()}


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Put back what `optimizer_tensors` gave."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        index, name = key.split(".", 1)
        state.setdefault(int(index), {})[name] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
