"""The demo in short: train both networks for a part of the demo's time, and fail unless attention is far better.

Run by `make demo-short`. Everything is made in a temporary directory.
"""

import json
import os
import subprocess
import sys
import tempfile

LIMIT = "700 updates"
LEAST_BLEU = 90.0  # of attention
LEAST_GAP = 20.0  # above the bottleneck


def main() -> int:
    """Train, compare, judge; the exit code."""
    with tempfile.TemporaryDirectory() as directory:
        environment = os.environ | {"S2S_HOME": directory, "S2S_LEASES": f"{directory}/leases"}
        environment.pop("S2S_REGISTRY", None)
        command = [sys.executable, "-m", "s2s", "compare", "numbers/bottleneck", "numbers/attention", "--json"]
        command += ["--set", f"training.stop_after={LIMIT}", "--out", f"{directory}/comparison"]
        done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        return done.returncode
    [comparison] = json.loads(done.stdout)
    bottleneck, attention = (system["scores"]["bleu"]["value"] for system in comparison["systems"])
    good = attention >= LEAST_BLEU and attention - bottleneck >= LEAST_GAP
    print(f"BLEU after {LIMIT}: bottleneck {bottleneck:.1f}, attention {attention:.1f}")
    if not good:
        print(
            f"FAILED: expected attention ≥ {LEAST_BLEU}, and at least {LEAST_GAP} above the bottleneck", file=sys.stderr
        )
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
