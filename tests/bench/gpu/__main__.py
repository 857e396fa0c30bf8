"""Check and measure s2s on a GPU, without a corpus or a network connection.

    python tests/bench/gpu [--only SECTION ...] [--seconds 240] [--out FILE] [--device cuda] [--tiny]

Each result is printed and appended to FILE as a line of JSON at once, so that an interrupted run loses nothing. A
section that fails says so, and the next one begins; the exit code is 1 if a check or a section failed. Sentences are
synthetic: lengths like Multi30k's (normal, 14.6 ± 4.9, at most 52) or like news (log-normal, mean 29, at most 199),
tokens drawn from a Zipf distribution.
"""

import s2s  # isort: skip  # before torch: sets the variables that its libraries read

import argparse
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from bench import Bench
from checks import correctness, exactness, leases
from resident import serving
from speed import attention, ceilings, decoding, loss, steps, training

from s2s.devices.runtime import prepare
from s2s.devices.select import resolve_device

SECTIONS = {
    section.__name__: section
    for section in (ceilings, correctness, exactness, leases, serving, steps, decoding, training, attention, loss)
}


@contextmanager
def reported(bench: Bench, section: str) -> Iterator[None]:
    """Report an exception of a section instead of ending the run."""
    try:
        yield
    except Exception as error:
        traceback.print_exc()
        bench.check(section, False, error=f"{type(error).__name__}: {error}"[:300])


def main() -> int:
    """Run the sections and return 1 if any failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=list(SECTIONS), metavar="SECTION")
    parser.add_argument("--seconds", type=float, default=240, help="leave out what would take longer")
    parser.add_argument("--out", type=Path, default=Path("gpu.jsonl"), help="file to append results to")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--tiny", action="store_true", help="tiny networks, to test this script")
    options = parser.parse_args()
    if options.device.startswith("cuda") and not torch.cuda.is_available():
        print("no GPU: nothing to measure", file=sys.stderr)
        return 0
    bench = Bench(resolve_device(options.device), options.tiny, options.seconds, options.out)
    bench.report("versions", s2s=s2s.__version__, torch=torch.__version__, python=sys.version.split()[0])
    if options.tiny:
        torch.set_num_threads(1)
    prepare(bench.device, torch.get_num_threads())
    for section in options.only:
        with reported(bench, section):
            SECTIONS[section](bench)
        if bench.cuda:
            torch.cuda.empty_cache()
    print(f"failed: {', '.join(dict.fromkeys(bench.failed))}" if bench.failed else "all checks passed")
    return int(bool(bench.failed))


if __name__ == "__main__":
    sys.exit(main())
