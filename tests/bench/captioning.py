"""Measure a captioner: images read beside training, `s2s caption` beside the model's own speed, and memory.

    python tests/bench/captioning.py

Exits with code 1 if a check fails.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

S2S = [sys.executable, "-m", "s2s"]
MODEL = "scenes-attention"
FEW, MANY = 500, 2_000  # images
BATCHES, REPEATS = 60, 3
FEED, SHARE, FLAT = 3.0, 0.8, 1.10  # allowed ratios


def peak_of(images: list[str]) -> int:
    """Caption images with the command; return the peak memory in bytes.

    A child's peak includes the memory of this process when it forks, so nothing large is imported before.
    """
    child = subprocess.Popen([*S2S, "caption", MODEL, "-"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    assert child.stdin
    child.stdin.write("\n".join(images).encode())
    child.stdin.close()
    _, status, usage = os.wait4(child.pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    print(f"{len(images):,} images: peak {usage.ru_maxrss / 1024:,.0f} MiB")
    return usage.ru_maxrss


def fastest(*functions: Callable[[], object]) -> list[float]:
    """Return the least seconds of each function, called in turn."""
    seconds: list[list[float]] = [[] for _ in functions]
    for _ in range(REPEATS):
        for times, function in zip(seconds, functions, strict=True):
            started = time.perf_counter()
            function()
            times.append(time.perf_counter() - started)
    return [min(times) for times in seconds]


def command_share(images: list[str]) -> float:
    """Return the speed of captioning files, as a share of that of captioning images in memory."""
    from s2s.data.image_inputs import read_input
    from s2s.decoding.captioning import caption_files
    from s2s.decoding.config import TranslatorConfig
    from s2s.decoding.loading import load_translator
    from s2s.recipe.image_size import SCENE_SIZE

    pictures = [read_input(path, SCENE_SIZE) for path in images]
    with load_translator(TranslatorConfig([MODEL], "bench", engine="pytorch", images=True)) as translator:
        files, memory = fastest(
            lambda: caption_files(translator, images, lambda _: None), lambda: translator.translate(pictures)
        )
    print(f"{len(images):,} files: {len(images) / files:,.0f} images/s, in memory {len(images) / memory:,.0f}")
    return memory / files


def feed_ratio() -> float:
    """Return how many times faster batches of images are made than training uses them up."""
    import torch

    from s2s.data.batching import plan_batches
    from s2s.data.collate import pair_batch
    from s2s.data.prepare import prepare_corpus
    from s2s.models.build import build_model
    from s2s.recipe.load import load_recipe
    from s2s.text.tokenizer import Tokenizer

    recipe, device = load_recipe("scenes/attention"), torch.device("cpu")
    corpus = prepare_corpus(recipe.data, recipe.tokenizer)
    train = corpus.split("train")
    network = build_model(recipe.model, Tokenizer(corpus.tokenizer).size).train()
    rows = plan_batches(train.source_lengths, train.target_lengths, recipe.training.batch_tokens, 1, 0)[:BATCHES]

    def read() -> None:
        for part in rows:
            pair_batch(*train.encoded(part), device)

    def learn() -> None:
        for batch in batches:
            sums = network(batch)
            (sums.loss / sums.tokens).backward()

    batches = [pair_batch(*train.encoded(part), device) for part in rows]
    reading, learning = fastest(read, learn)
    print(f"{BATCHES} batches: read in {1000 * reading:,.0f} ms, forward and backward {1000 * learning:,.0f} ms")
    return learning / reading


def main() -> int:
    """Print the results; return 1 if a check fails."""
    directory = Path(tempfile.mkdtemp())
    os.environ.setdefault("S2S_HOME", str(directory / "home"))
    subprocess.run([*S2S, "train", "scenes/attention"], check=True, stdout=subprocess.DEVNULL)
    pictures = directory / "pictures"
    subprocess.run([*S2S, "data", "make", "scenes", str(pictures), "--count", str(MANY)], check=True)
    images = sorted(map(str, pictures.glob("*.png")))
    few, many = peak_of(images[:FEW]), peak_of(images)
    share, feed = command_share(images[: MANY // 2]), feed_ratio()
    print(f"peak memory {many / few:.2f} times that of {FEW:,} images (at most {FLAT})")
    print(f"speed of the command {share:.2f} of the model's own (at least {SHARE})")
    print(f"batches {feed:.1f} times as fast as training uses them (at least {FEED})")
    return 0 if many <= FLAT * few and share >= SHARE and feed >= FEED else 1


if __name__ == "__main__":
    sys.exit(main())
