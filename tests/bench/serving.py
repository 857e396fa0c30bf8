"""Load a server: answers as without one, throughput, two models under a budget for one, clients and servers that die.

    python tests/bench/serving.py MODEL FILE                       two minutes of load, 64 connections
    python tests/bench/serving.py MODEL FILE --other MODEL         and two models in turn, with memory for one
    python tests/bench/serving.py MODEL FILE --seconds 20 --engine pytorch --precision fp32

FILE holds source sentences. The server is `s2s serve` of this environment; all clients are threads of this process.
Exits with code 1 if a check fails.
"""

import argparse
import os
import random
import resource
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from s2s.decoding.config import TranslatorConfig
from s2s.serving.client import Connection, served_translator

S2S = [sys.executable, "-m", "s2s"]
CONNECTIONS = 64
SIZES = (1, 2, 4, 8, 16, 32, 64)  # lines of a request
BATCH = (64,)  # of a request, where throughput is compared
failures: list[str] = []


@dataclass
class Load:
    """What the clients sent and got."""

    lines: int = 0
    different: list[tuple[str, str, str]] = field(default_factory=list)  # line, answer, answer without a server
    errors: list[str] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)  # seconds of each request
    lock: threading.Lock = field(default_factory=threading.Lock)


def check(what: str, passed: bool, **values: Any) -> None:
    """Print a result that passes or fails."""
    shown = "  ".join(
        f"{key} {value:,.4g}" if isinstance(value, float) else f"{key} {value}" for key, value in values.items()
    )
    print(f"{'ok  ' if passed else 'FAIL'} {what}: {shown}", flush=True)
    if not passed:
        failures.append(what)


@contextmanager
def server(*options: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server while the block runs."""
    leases = f"{os.environ.get('S2S_LEASES', '/tmp/s2s-leases')}-of-server"  # beside the command without a server
    environment = os.environ | {"S2S_LEASES": leases}
    process = subprocess.Popen([*S2S, "serve", *options], stderr=subprocess.DEVNULL, env=environment)
    try:
        while not (connection := Connection.open()):
            assert process.poll() is None, "the server does not start"
            time.sleep(0.05)
        with connection:
            yield process
    finally:
        process.terminate()
        process.wait(120)


def offline(options: list[str], model: str, file: Path) -> tuple[list[str], float]:
    """Translate a file without a server; return the lines and the seconds that it took beyond loading the model."""
    seconds = []
    with tempfile.TemporaryDirectory() as directory:
        output, one = Path(directory) / "out", Path(directory) / "one"
        one.write_text(file.read_text().splitlines()[0] + "\n")
        for source in (one, file):
            command = [*S2S, "translate", model, str(source), "-o", str(output), "--force", "--no-server", *options]
            started = time.perf_counter()
            subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
            seconds.append(time.perf_counter() - started)
        return output.read_text().split("\n")[:-1], seconds[1] - seconds[0]


def client(
    config: TranslatorConfig,
    texts: list[str],
    expected: list[str],
    sizes: tuple[int, ...],
    until: float,
    seed: int,
    load: Load,
) -> None:
    """Send requests until a moment, and compare the answers."""
    choose = random.Random(seed)
    try:
        with served_translator(config) as translator:
            split = translator.single_sentences
            while time.monotonic() < until:
                size = choose.choice(sizes)
                start = choose.randrange(max(1, len(texts) - size))
                lines = texts[start : start + size]
                began = time.monotonic()
                found = [one.text for one in translator.translate(lines, split=split)]
                with load.lock:
                    load.waits.append(time.monotonic() - began)
                    load.lines += len(found)
                    pairs = zip(lines, found, expected[start : start + size], strict=True)
                    load.different += [one for one in pairs if one[1] != one[2]]
    except Exception as error:
        load.errors.append(f"{type(error).__name__}: {error}")


def run_clients(
    configs: list[TranslatorConfig],
    texts: list[str],
    expected: dict[str, list[str]],
    sizes: tuple[int, ...],
    seconds: float,
) -> tuple[Load, float]:
    """Run all clients; return what they got, and the lines per second once all are at work.

    The time that the clients themselves compute is subtracted.
    """
    begun = time.monotonic()
    load, until = Load(), begun + seconds
    threads = [
        threading.Thread(target=client, args=(config, texts, expected[config.models[0]], sizes, until, number, load))
        for number, config in enumerate(configs)
    ]
    for thread in threads:
        thread.start()
    time.sleep(seconds / 4)
    moment, lines, cpu = time.monotonic(), load.lines, _cpu_seconds()
    time.sleep(until - moment)
    took = time.monotonic() - moment - (_cpu_seconds() - cpu) / len(os.sched_getaffinity(0))
    rate = (load.lines - lines) / took
    for thread in threads:
        thread.join()
    return load, rate


def _cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def latency(model: str, options: list[str], line: str) -> None:
    """Compare one line translated by the command with and without a warm server."""
    times: dict[str, list[float]] = {"warm": [], "alone": []}
    for _ in range(7):
        for name, more in (("warm", []), ("alone", ["--no-server"])):
            started = time.perf_counter()
            subprocess.run(
                [*S2S, "translate", model, *options, *more], input=line.encode(), capture_output=True, check=True
            )
            times[name].append(time.perf_counter() - started)
    warm, alone = (statistics.median(times[name]) for name in ("warm", "alone"))
    check("one line, command to exit", alone > warm, model=model, warm_s=warm, alone_s=alone, times=alone / warm)


def throughput(config: TranslatorConfig, options: list[str], file: Path, seconds: float, exact: bool) -> None:
    """Compare answers and speed under load with those of the command without a server."""
    texts = file.read_text().splitlines()
    expected, alone = offline(options, config.models[0], file)
    with server() as _:
        load, rate = run_clients([config] * CONNECTIONS, texts, {config.models[0]: expected}, SIZES, seconds)
        same = 1 - len(load.different) / max(1, load.lines)
        enough = same == 1 if exact else same >= 0.995
        waits = sorted(load.waits)
        check(
            f"answers of {CONNECTIONS} connections",
            enough and not load.errors,
            lines=load.lines,
            same=same,
            errors=load.errors[:2],
            median_s=statistics.median(waits),
            p99_s=waits[int(0.99 * len(waits))],
            lines_per_s=rate,
        )
        for line, answer, other in {one[0]: one for one in load.different}.values():
            print(f"       {line}\n     - {other}\n     + {answer}")
        load, rate = run_clients([config] * CONNECTIONS, texts, {config.models[0]: expected}, BATCH, seconds / 2)
        ratio = rate / (len(texts) / alone)
        check(
            "throughput, requests of 64 lines",
            ratio >= 0.9,
            ratio=ratio,
            lines_per_s=rate,
            alone=len(texts) / alone,
        )


def two_models(configs: list[TranslatorConfig], options: list[str], file: Path, seconds: float) -> None:
    """Use two models in turn with memory for one."""
    texts = file.read_text().splitlines()
    expected = {config.models[0]: offline(options, config.models[0], file)[0] for config in configs}
    with server() as _, Connection.open() as connection:  # type: ignore[union-attr]
        sizes = []
        for config in configs:
            with served_translator(config):
                sizes.append(
                    max(one.bytes for one in connection.status().models if one.reference.startswith(config.models[0]))
                )
    with server("--memory", f"{int(1.2 * max(sizes) / 1e6)}MB") as _, Connection.open() as connection:  # type: ignore[union-attr]
        load, _ = run_clients(configs * 8, texts, expected, (8,), seconds)
        status = connection.status()
        reloads = [one.load_seconds for one in status.models]
        check(
            "two models, memory for one",
            not load.errors and len(load.different) <= 0.005 * load.lines and status.evictions > 0,
            lines=load.lines,
            different=len(load.different),
            errors=load.errors[:2],
            loads=status.loads,
            evictions=status.evictions,
            load_seconds=reloads,
            used_mb=status.memory_used / 1e6,
            budget_mb=status.memory_budget / 1e6,
        )


def deaths(config: TranslatorConfig, options: list[str], file: Path) -> None:
    """Kill a client, then stop the server while requests are open."""
    texts = file.read_text().splitlines()
    expected, _ = offline(options, config.models[0], file)
    answers: list[list[str]] = []

    def ask() -> None:
        with served_translator(config) as translator:
            answers.append([one.text for one in translator.translate(texts, split=translator.single_sentences)])

    with server() as process:
        victim = subprocess.Popen(
            [*S2S, "translate", config.models[0], str(file), "-o", "/dev/null", *options], stderr=subprocess.DEVNULL
        )
        time.sleep(1.0)
        victim.kill()
        ask()
        check("a client was killed", answers.pop() == expected, exit=victim.wait())
        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        time.sleep(0.5)
        process.send_signal(signal.SIGTERM)
        for thread in threads:
            thread.join()
        check("SIGTERM with open requests", answers == [expected] * 4, answered=len(answers), exit=process.wait(60))


def main() -> int:
    """Run the checks and return 1 if one failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("file", type=Path)
    parser.add_argument("--other", help="a second model")
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--engine", default="auto", choices=("auto", "pytorch", "ctranslate2"))
    parser.add_argument("--precision", default="auto")
    given = parser.parse_args()
    options = ["--engine", given.engine, "--precision", given.precision]

    def config(model: str) -> TranslatorConfig:
        return TranslatorConfig([model], "bench", given.engine, given.precision)

    with server():
        latency(given.model, options, given.file.read_text().splitlines()[0] + "\n")
    throughput(config(given.model), options, given.file, given.seconds, exact=given.precision == "fp32")
    deaths(config(given.model), options, given.file)
    if given.other:
        two_models([config(given.model), config(given.other)], options, given.file, given.seconds / 4)
    print(f"failed: {', '.join(failures)}" if failures else "all checks passed")
    return int(bool(failures))


if __name__ == "__main__":
    sys.exit(main())
