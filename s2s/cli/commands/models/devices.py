"""`s2s models ps`: the holders of devices, and the models that the server of this machine holds."""

from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING

from s2s.cli.console import note, print_json
from s2s.cli.options import AsJson
from s2s.cli.tables import print_table

if TYPE_CHECKING:
    from s2s.devices.leases import Holder
    from s2s.serving.status import ResidentModel, ServerStatus


def ps(as_json: AsJson = False) -> None:
    """List the processes that hold a device of this host, and the models that s2s serve keeps loaded.

    The memory of a model is measured; "queued" counts sentences that wait to be translated.

    Examples:
        s2s models ps
        s2s models ps --json
    """
    from s2s.devices.leases import holders
    from s2s.serving.client import server_status
    from s2s.serving.status import StoppingError

    found = holders()
    try:
        status = server_status()
    except StoppingError:
        status = None
    if as_json:
        print_json({"devices": [asdict(one) for one in found], "server": status and status.as_json()})
        return
    if found:
        _print_holders(found)
    else:
        note("no device is held")
    if status:
        print()
        _print_models(status)


def _print_holders(holders: "list[Holder]") -> None:
    columns = ("device", "user", "pid", "since", "command")
    rows = [[one.device, one.user, str(one.pid), one.describe_since(), one.command] for one in holders]
    print_table(columns, rows, {"pid"})


def _print_models(status: "ServerStatus") -> None:
    from s2s.report.format import format_size

    used = f"{format_size(status.memory_used)} of {format_size(status.memory_budget)}"
    note(f"server of {status.user} (pid {status.pid}): {len(status.models)} models, {used}")
    columns = ("model", "engine", "memory", "device", "last used", "expires", "running", "queued")
    rows = [
        [
            one.reference,
            one.engine or "loading",
            format_size(one.bytes) if one.bytes else "",
            one.device,
            _clock(one.last_used),
            _expiry(one),
            str(one.running),
            str(one.queued),
        ]
        for one in status.models
    ]
    if rows:
        print_table(columns, rows, {"memory", "running", "queued"})


def _expiry(model: "ResidentModel") -> str:
    if model.pinned:
        return "pinned"
    if model.expires is None:
        return "in use" if model.running or model.queued else "never"
    return _clock(model.expires)


def _clock(moment: str) -> str:
    return datetime.fromisoformat(moment).strftime("%H:%M:%S")
