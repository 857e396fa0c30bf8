"""Options that several commands share."""

from typing import Annotated, Literal

import typer

from s2s.devices.runtime import request_threads


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
    typer.Option("--device", metavar="DEVICE", help="auto (the free GPU with the most memory, else the CPU), cpu, cuda or cuda:N."),
]
Wait = Annotated[bool, typer.Option("--wait", help="Wait for a busy device instead of failing.")]
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
