"""Read the weights of a network from a safetensors file, compared with the network before anything is allocated."""

from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor

from s2s.errors import ArtefactError
from s2s.models.network import Network

DTYPES = {torch.float32: "F32", torch.int64: "I64"}  # names in safetensors files


def read_weights(path: Path, network: Network, where: str) -> dict[str, Tensor]:
    """Return the weights in a file, mapped; `network` may be on the meta device, errors name `where`.

    Raises: ValueError if names, shapes or types differ from the network's; ArtefactError if the file is damaged or a
    weight is not finite.
    """
    check_header(path, network, where)
    weights = load_file(path)
    if broken := [name for name, value in weights.items() if not is_finite({name: value})]:
        raise ArtefactError(f"{where} is damaged: {broken[0]} is not finite", "train the model anew")
    return weights


def check_header(path: Path, network: Network, where: str) -> None:
    """Compare names, shapes and types of the weights in a file with those of a network, without reading the weights.

    Raises: see `read_weights`.
    """
    try:
        with safe_open(path, "pt") as file:
            slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 - not a dictionary
            stored = {name: (tuple(one.get_shape()), one.get_dtype()) for name, one in slices.items()}
    except SafetensorError as error:
        raise ArtefactError(f"{where} is damaged: not a safetensors file ({error})") from error
    own = {name: (tuple(value.shape), DTYPES[value.dtype]) for name, value in network.weights().items()}
    if missing := own.keys() - stored.keys():
        raise ValueError(f"missing weights: {_some(missing)}")
    if unknown := stored.keys() - own.keys():
        raise ValueError(f"unknown weights: {_some(unknown)}")
    for name, (shape, dtype) in own.items():
        if stored[name] != (shape, dtype):
            found = f"shape {stored[name][0]} and type {stored[name][1]}"
            raise ValueError(f"{name} has {found}, expected shape {shape} and type {dtype}")


def is_finite(weights: dict[str, Tensor]) -> bool:
    """Return whether all weights are finite."""
    return all(bool(torch.isfinite(value).all()) for value in weights.values())


def _some(names: set[str]) -> str:
    """Name a few of many weights."""
    shown = sorted(names)[:3]
    return ", ".join(shown) + (f" and {len(names) - 3:,} more" if len(names) > 3 else "")
