"""`s2s models ps`: the holders of devices."""

from dataclasses import asdict

from s2s.cli.console import note, print_json
from s2s.cli.options import AsJson
from s2s.cli.tables import print_table


def ps(as_json: AsJson = False) -> None:
    """List the processes that hold a device of this host.

    Examples:
        s2s models ps
        s2s models ps --json
    """
    from s2s.devices.leases import holders

    found = holders()
    if as_json:
        print_json([asdict(holder) for holder in found])
    elif found:
        columns = ("device", "user", "pid", "since", "command")
        rows = [[one.device, one.user, str(one.pid), one.describe_since(), one.command] for one in found]
        print_table(columns, rows, {"pid"})
    else:
        note("no device is held")
