"""Servers that tests run."""

import os
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


@contextmanager
def serving(home: Path, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server until the block ends, and stop it."""
    log = (home / "server.log").open("ab")
    environment = os.environ | {"S2S_LEASES": str(home / "leases-of-servers")}  # these tests may have one processor
    process = subprocess.Popen([sys.executable, "-m", "s2s", "serve", *options], stderr=log, env=environment)
    try:
        until = time.monotonic() + 60
        while not list((home / "servers").glob("*/socket")):
            assert process.poll() is None, (home / "server.log").read_text()
            assert time.monotonic() < until
            time.sleep(0.02)
        yield process
        if process.poll() is None:
            process.terminate()
            assert process.wait(60) == 0, (home / "server.log").read_text()
    finally:
        process.kill()
        log.close()
