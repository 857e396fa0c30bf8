"""`s2s translate`: lines of text through a model."""

from typing import Annotated

import typer

from s2s.cli.console import note
from s2s.cli.options import Beam, Device, Force, LengthPenalty, ModelReference, Wait


def translate(
    model: ModelReference,
    inputs: Annotated[
        list[str] | None, typer.Argument(metavar="[FILE]...", help="Plain or .gz; - is standard input.")
    ] = None,
    output: Annotated[
        str, typer.Option("-o", "--output", metavar="FILE", help="Write here, complete or not at all.")
    ] = "-",
    beam: Beam = None,
    length_penalty: LengthPenalty = None,
    show_attention: Annotated[
        bool, typer.Option("--show-attention", help="Draw attention's heat-map of every line.")
    ] = False,
    attention: Annotated[
        str | None,
        typer.Option(
            "--attention", metavar="FILE", help="Write attention: JSON lines, or a picture of the first line (.svg)."
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="A line of JSON for each line: text, score, what happened.")
    ] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Refuse invalid UTF-8 instead of replacing it.")] = False,
    force: Force = False,
    device: Device = "auto",
    wait: Wait = False,
) -> None:
    """Translate text with a model, line by line: output line i belongs to input line i.

    Examples:
        s2s translate numbers-attention input.de -o output.en
        echo einundzwanzig | s2s translate numbers-attention
        echo "12. März 1999" | s2s translate numbers-attention --show-attention
    """
    from s2s.cli.translations import TranslationWriter, writing
    from s2s.decoding.files import decoding_options, loaded_translator, translate_files
    from s2s.decoding.translator import require_attention

    names = inputs or ["-"]
    with writing(output, names, force) as text, writing(attention, names, force) as weights:
        writer = TranslationWriter(
            text, weights, svg=(attention or "").endswith(".svg"), as_json=as_json, show=show_attention
        )
        with loaded_translator(model, device, wait, f"s2s translate {model}", note) as translator:
            if writer.wants_weights:
                require_attention(translator.recipe)
            options = decoding_options(translator, beam, length_penalty)
            counts = translate_files(
                translator, names, writer.write, options=options, weights=writer.wants_weights, strict=strict
            )
    for warning in counts.warnings():
        note(f"warning: {warning}")
    if output != "-":
        note(f"wrote {output}: {counts.lines:,} lines")
    if attention:
        note(f"wrote {attention}")
