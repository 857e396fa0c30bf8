"""Which models to decode with, and how."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

EngineName = Literal["auto", "pytorch", "ctranslate2"]


@dataclass(frozen=True, slots=True)
class TranslatorConfig:
    """Which models to load, how and where."""

    models: Sequence[str]  # references; several form an ensemble
    command: str  # shown to those who wait for the device
    engine: EngineName = "auto"  # auto: CTranslate2 if supported, else PyTorch
    precision: str = "auto"  # auto: int8 with CTranslate2 (on GPUs int8_fp16), else bf16 where it is fast
    device: str = "auto"  # auto: the first free one
    wait: float = 0.0  # seconds to wait for a busy device before raising
    decoding: Mapping[str, Any] | None = None  # decoding options to override; None values are ignored
    nbest: int = 1  # translations per line
    need_attention: bool = False  # refuse models without attention
    prefixes: bool = False  # whether translations have forced prefixes
    images: bool = False  # whether sources are images
    tag: str = ""  # put before lines that begin with none
