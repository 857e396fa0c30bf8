"""`s2s models export`: models for other programs."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from s2s.cli.console import note
from s2s.cli.options import ModelReference


def export(
    model: ModelReference,
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="A new directory, written complete or not at all.")],
    form: Annotated[Literal["ctranslate2"], typer.Option("--format", help="Target format.")] = "ctranslate2",
    precision: Annotated[
        Literal["fp32", "int8", "int8_bf16", "bf16", "int8_fp16", "fp16"],
        typer.Option("--precision", help="Precision of the stored weights; int8 is a quarter of the size of fp32."),
    ] = "fp32",
) -> None:
    """Export a Transformer and its SentencePiece model as a directory for CTranslate2, usable without s2s.

    Examples:
        s2s models export numbers-transformer numbers-ct2
        s2s models export numbers-transformer small --precision int8
    """
    from s2s.decoding.ctranslate2_conversion import export as written
    from s2s.registry.store import Registry

    version = Registry.default().resolve(model)
    written(version, directory, precision)
    note(
        f"wrote {directory}: {version.reference} in {precision}, and tokenizer.model, whose tokens it reads and writes"
    )
    note(f"In Python: ctranslate2.Translator({str(directory)!r})")
    options = version.recipe().decoding
    settings = {
        "beam_size": options.beam_size,
        "length_penalty": options.length_penalty,
        "patience": options.patience,
        "no_repeat_ngram_size": options.no_repeat_ngram,
        "suppress_sequences": [["<pad>"], ["<unk>"], ["<s>"]],
        "max_input_length": 0,
    }
    call = ", ".join(f"{name}={value}" for name, value in settings.items())
    limit = f"max_decoding_length={options.max_ratio:g} * source_tokens + 10"
    note(f"It decodes as s2s does with translate_batch(source, {call}, {limit})")
