"""What autocast calls a tensor's device."""

from torch import Tensor


def autocast_kind(values: Tensor) -> str:
    """The type of device whose autocast region rules `values`; shapes alone (meta) have none, and follow cpu's."""
    kind = values.device.type
    return "cpu" if kind == "meta" else kind
