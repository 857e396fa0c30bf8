"""Options that several commands share."""

from collections.abc import Callable
from typing import Annotated, Any, Literal, TypeVar

import typer

from s2s.devices.runtime import request_threads
from s2s.io.quantities import parse_duration, parse_keep_alive, parse_size

T = TypeVar("T")


def _parser(parse: Callable[[str], T]) -> Callable[[str | T], T]:
    """Return a parser of an option: typer also passes defaults, and expects its own kind of error."""

    def parsed(text: str | T) -> T:
        try:
            return parse(text) if isinstance(text, str) else text
        except ValueError as error:
            raise typer.BadParameter(str(error)) from error

    return parsed


def _memory_option(help_text: str) -> Any:
    """Return the option `--memory`, a size in bytes."""
    return typer.Option("--memory", parser=_parser(parse_size), metavar="SIZE", show_default=False, help=help_text)


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
        parser=_parser(parse_duration),
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
        parser=_parser(parse_keep_alive),
        metavar="DURATION",
        show_default=False,
        help="Keep a model loaded this long after its last use: 30s, 10m, 2h; 0: unload it at once; forever. "
        "Default: the server's, which is 30m.",
    ),
]
Memory = Annotated[
    int | None,
    _memory_option(
        "Memory for all models together: 20GiB, 800MB. Default: 9/10 of a GPU's free memory, half of a CPU's."
    ),
]
DeviceMemory = Annotated[int | None, _memory_option("Memory of each device: 80GiB (default), 24GB.")]
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
