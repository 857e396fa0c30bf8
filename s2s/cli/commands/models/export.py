"""`s2s models export`: models as files, for other registries and other programs."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from s2s.cli.console import note
from s2s.cli.options import ModelReference

if TYPE_CHECKING:
    from s2s.registry.version import Version

Format = Literal["s2s", "ctranslate2"]


def export(
    model: ModelReference,
    target: Annotated[
        Path, typer.Argument(metavar="TARGET", help="A new file or directory, written complete or not at all.")
    ],
    form: Annotated[
        Format | None,
        typer.Option(
            "--format",
            help="s2s: a bundle to import elsewhere, the default for a TARGET that ends in .s2s; ctranslate2: a "
            "directory for CTranslate2, of a Transformer.",
        ),
    ] = None,
    precision: Annotated[
        Literal["fp32", "int8", "int8_bf16", "bf16", "int8_fp16", "fp16"] | None,
        typer.Option(
            "--precision",
            help="Precision of weights for CTranslate2, by default fp32; int8 is a quarter of the size.",
        ),
    ] = None,
) -> None:
    """Export a version as a bundle (one file, for s2s models import) or a directory that CTranslate2 reads without s2s.

    Examples:
        s2s models export numbers-attention numbers.s2s
        s2s models export numbers-transformer numbers-ct2 --format ctranslate2
        s2s models export numbers-transformer small --format ctranslate2 --precision int8
    """
    from s2s.errors import UsageError
    from s2s.registry.bundle import export_bundle
    from s2s.registry.store import Registry

    bundle = target.suffix == ".s2s"
    if form is None and not bundle:
        raise UsageError(f"{target}: in which format?", f"{target}.s2s is a bundle; else add --format ctranslate2")
    if form == "ctranslate2" and bundle:
        raise UsageError(f"{target}: CTranslate2 reads a directory, and .s2s is a bundle", "give another name")
    if form != "ctranslate2" and precision:
        raise UsageError("--precision only applies to CTranslate2: a bundle has the weights as they are", "drop it")
    version = Registry.default().resolve(model)
    if form == "ctranslate2":
        _export_to_ctranslate2(version, target, precision or "fp32")
    else:
        export_bundle(version, target)
        note(f"wrote {target}: {version.reference}. Elsewhere: s2s models import {target.name}")


def _export_to_ctranslate2(version: "Version", directory: Path, precision: str) -> None:
    from s2s.decoding.ctranslate2_conversion import export as written

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
