"""Servers that tests run."""

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


def set_home(patch: pytest.MonkeyPatch, home: Path) -> None:
    patch.setenv("S2S_HOME", str(home))
    for variable in ("LEASES", "CACHE", "SERVERS"):
        patch.setenv(f"S2S_{variable}", str(home / variable.lower()))
    patch.delenv("S2S_REGISTRY", raising=False)


def wait_until_it_greets(servers: Path, process: "subprocess.Popen[bytes]") -> None:
    """Wait until the server whose socket is below a directory answers."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        assert process.poll() is None, "the server has ended"
        for path in servers.glob("*/socket"):
            directory = os.open(path.parent, os.O_PATH)  # the path itself may be too long for an address
            with socket.socket(socket.AF_UNIX) as stream, contextlib.suppress(OSError):
                stream.connect(f"/proc/self/fd/{directory}/{path.name}")
                if stream.recv(1):
                    return
            os.close(directory)
        time.sleep(0.02)
    raise AssertionError("the server does not answer")


@contextmanager
def serving(home: Path, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server until the block ends, and stop it."""
    log = (home / "server.log").open("ab")
    environment = os.environ | {"S2S_LEASES": str(home / "leases-of-servers")}  # these tests may have one processor
    process = subprocess.Popen([sys.executable, "-m", "s2s", "serve", *options], stderr=log, env=environment)
    try:
        wait_until_it_greets(home / "servers", process)
        yield process
        if process.poll() is None:
            process.terminate()
            assert process.wait(60) == 0, (home / "server.log").read_text()
    finally:
        process.kill()
        log.close()
