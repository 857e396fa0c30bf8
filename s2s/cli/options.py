"""Options that several commands share."""

import math
import re
from typing import Annotated, Literal

import typer

from s2s.devices.runtime import request_threads

SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def parse_wait(text: str | float) -> float:
    """Return the seconds of `30s`, `10m`, `2h`, `1d` or `forever`. Raises typer.BadParameter for anything else."""
    found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)([smhd])", str(text))
    if found:
        return float(found[1]) * SECONDS[found[2]]
    if text == "forever":
        return math.inf
    if isinstance(text, float):
        return text  # the default
    raise typer.BadParameter(f"{text!r}: should be a duration such as 30s, 10m or 2h, or forever")


def parse_keep_alive(text: str | float) -> float:
    """Return the seconds of a duration; 0 unloads a model at once, `forever` (-1) never."""
    if text in {"-1", "forever"}:
        return -1.0
    return 0.0 if text == "0" else parse_wait(text)


def parse_size(text: str | int) -> int:
    """Return the bytes of `20GiB`, `800MB` or `1.5TB`. Raises typer.BadParameter for anything else."""
    found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?) ?([KMGT])(i?)B", str(text), re.IGNORECASE)
    if not found:
        raise typer.BadParameter(f"{text!r}: should be a size such as 800MB or 20GiB")
    base = 1024 if found[3] else 1000
    return int(float(found[1]) * base ** ("KMGT".index(found[2].upper()) + 1))


def _request_threads(count: int | None) -> int | None:
    if count:
        request_threads(count)
    return count


SetValues = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override a recipe key (repeatable)."),
]
Device = Annotated[
    str,
    typer.Option(
        "--device",
        metavar="DEVICE",
        help="auto (the free GPU with the most memory, else the CPU), cpu, cuda or cuda:N.",
    ),
]
Output = Annotated[
    str, typer.Option("-o", "--output", metavar="FILE", help="Output file, written complete or not at all.")
]
Wait = Annotated[
    float,
    typer.Option(
        "--wait",
        parser=parse_wait,
        metavar="DURATION",
        show_default=False,
        help="Wait for a busy device: 30s, 10m, 2h or forever. Default: fail at once.",
    ),
]
Threads = Annotated[
    int | None,
    typer.Option(
        "--threads",
        min=1,
        max=4096,
        callback=_request_threads,
        help="Threads to compute with, at most. Default: OMP_NUM_THREADS, or the processors that may be used.",
    ),
]
Tensorboard = Annotated[
    bool, typer.Option("--tensorboard", help="Also write TensorBoard files into the run's directory.")
]
BeamSize = Annotated[
    int | None, typer.Option("--beam-size", min=1, max=1000, help="Beam size; 1 is greedy. Default: the model's.")
]
LengthPenalty = Annotated[
    float | None,
    typer.Option(
        "--length-penalty",
        min=0,
        max=10,
        help="α in log-probability / length^α. Default: the model's.",
    ),
]
KeepAlive = Annotated[
    float | None,
    typer.Option(
        "--keep-alive",
        parser=parse_keep_alive,
        metavar="DURATION",
        show_default=False,
        help="Keep a model loaded this long after its last use: 30s, 10m, 2h; 0: unload it at once; forever. "
        "Default: the server's, which is 30m.",
    ),
]
NoServer = Annotated[
    bool, typer.Option("--no-server", help="Load the model in this process, although s2s serve runs on this machine.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Force = Annotated[bool, typer.Option("--force", help="Replace existing output files.")]
ModelReference = Annotated[
    str, typer.Argument(metavar="MODEL", help="NAME, NAME:VERSION or NAME@ALIAS in the registry.")
]
EngineChoice = Annotated[
    Literal["auto", "pytorch", "ctranslate2"],
    typer.Option("--engine", help="Inference engine; auto: CTranslate2 if supported, else PyTorch."),
]
Precision = Annotated[
    Literal["auto", "fp32", "tf32", "bf16", "fp16", "int8", "int8_bf16", "int8_fp16"],
    typer.Option(
        "--precision",
        help="Precision; auto: with CTranslate2 int8 (on GPUs int8_fp16), else bf16 if supported, else fp32.",
    ),
]
Verbose = Annotated[bool, typer.Option("-v", "--verbose", help="Report which engine was chosen, and why.")]
