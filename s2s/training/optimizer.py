"""The optimizer, the learning rate, and their state as tensors that safetensors can hold."""

from fnmatch import fnmatchcase
from math import cos, pi, sqrt

import torch
from torch import Tensor, nn

from s2s.errors import UsageError
from s2s.recipe.training import TrainingOptions


def freeze(model: nn.Module, patterns: list[str]) -> None:
    """Take the parameters whose names match out of training. Raises UsageError where a pattern matches none, or all."""
    names = [name for name, _ in model.named_parameters()]
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            parts = ", ".join(dict.fromkeys(f"{name.partition('.')[0]}*" for name in names))
            raise UsageError(f"training.freeze: no parameter matches {pattern}", f"there are {parts}")
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(not any(fnmatchcase(name, pattern) for pattern in patterns))
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise UsageError("training.freeze: every parameter is frozen, and nothing is left to train")


def build_optimizer(model: nn.Module, options: TrainingOptions) -> torch.optim.AdamW:
    """AdamW (Loshchilov and Hutter 2019), fused; no weight decay on vectors (biases, norms)."""
    trained = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trained if p.dim() > 1], "weight_decay": options.weight_decay},
        {"params": [p for p in trained if p.dim() <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=options.lr, betas=options.betas, eps=1e-8, fused=True)


def learning_rate(options: TrainingOptions, update: int, done: float) -> float:
    """The learning rate of update number `update` (from 0), when the share `done` (0 to 1) of the training is over.

    inverse_sqrt falls with √(warm-up / updates) (Vaswani et al. 2017, equation 3); cosine is half a wave (Loshchilov
    and Hutter 2017, equation 5, without restarts). What plateau takes away is for the caller to multiply with.
    """
    warm = min(1.0, (update + 1) / options.warmup) if options.warmup else 1.0
    falls = {
        "linear": 1 - done,
        "cosine": (1 + cos(pi * done)) / 2,
        "inverse_sqrt": min(1.0, sqrt(max(options.warmup, 1) / (update + 1))),
    }
    return options.lr * warm * falls.get(options.lr_schedule, 1.0)


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
