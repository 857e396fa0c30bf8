"""The devices that several processes of a training lease."""

import pytest

from s2s.errors import ResourceError, UsageError
from s2s.training.distributed import DistributedContext
from s2s.training.runs.context import RunContext

TWO = RunContext(DistributedContext(size=2, local_size=2), wait=0)


@pytest.mark.parametrize(("device", "error"), [("cuda", ResourceError), ("cuda:3", ResourceError), ("gpu", UsageError)])
def test_several_processes_do_not_fall_back_to_the_cpu(
    device: str, error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("s2s.devices.select.available_devices", lambda: ["cpu"])
    monkeypatch.setattr(DistributedContext, "all_gather", lambda _, names: [names] * 2)
    with pytest.raises(error), TWO.leased(device, "s2s train"):
        pass
    with TWO.leased("auto", "s2s train") as name:
        assert name == "cpu"
