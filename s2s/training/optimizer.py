"""The optimizer, and its state as tensors that safetensors can store."""

from fnmatch import fnmatchcase

import torch
from torch import Tensor, nn

from s2s.errors import UsageError
from s2s.recipe.training import TrainingOptions


def freeze(model: nn.Module, patterns: list[str]) -> None:
    """Exclude the parameters whose names match a pattern from training.

    Raises: UsageError if a pattern matches no parameter, or if all parameters are frozen.
    """
    names = [name for name, _ in model.named_parameters()]
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            parts = ", ".join(dict.fromkeys(f"{name.partition('.')[0]}*" for name in names))
            raise UsageError(f"training.freeze: no parameter matches {pattern}", f"available: {parts}")
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(not any(fnmatchcase(name, pattern) for pattern in patterns))
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise UsageError("training.freeze: every parameter is frozen, so there is nothing to train")


def build_optimizer(model: nn.Module, options: TrainingOptions) -> torch.optim.AdamW:
    """Return a fused AdamW (Loshchilov and Hutter 2019) without weight decay on biases, norms and other vectors."""
    trainable = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    decayed = {
        name for name, parameter in trainable.items() if parameter.dim() > 1 and name.rpartition(".")[2] != "bias"
    }
    groups = [
        {"params": [trainable[name] for name in trainable if name in decayed], "weight_decay": options.weight_decay},
        {"params": [trainable[name] for name in trainable if name not in decayed], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=options.lr, betas=options.betas, eps=1e-8, fused=True)


def optimizer_tensors(optimizer: torch.optim.Optimizer, model: nn.Module) -> dict[str, Tensor]:
    """Return the optimizer's state by parameter name: `decoder.bias.exp_avg`."""
    names: dict[Tensor, str] = {parameter: name for name, parameter in model.named_parameters()}
    return {
        f"{names[parameter]}.{key}": value
        for parameter, values in optimizer.state.items()
        for key, value in values.items()
    }


def restore_optimizer(optimizer: torch.optim.Optimizer, model: nn.Module, tensors: dict[str, Tensor]) -> None:
    """Restore the state that `optimizer_tensors` returned."""
    names: dict[Tensor, str] = {parameter: name for name, parameter in model.named_parameters()}
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    indices = {names[parameter]: index for index, parameter in enumerate(parameters)}
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        parameter_name, _, key = name.rpartition(".")
        state.setdefault(indices[parameter_name], {})[key] = value.clone()  # not the mapped file itself
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
