"""`s2s translate`: translate lines of text."""

from typing import Annotated

import typer

from s2s.cli.console import note, show_log
from s2s.cli.decoding_options import (
    Ensemble,
    MaxRatio,
    MinRatio,
    NBest,
    NoRepeatNgram,
    Patience,
    Prefix,
    Sample,
    Seed,
    Stopping,
    Temperature,
    TopK,
    TopP,
)
from s2s.cli.options import (
    BeamSize,
    Device,
    EngineChoice,
    Force,
    LengthPenalty,
    ModelReference,
    Precision,
    Verbose,
    Wait,
)


def translate(
    model: ModelReference,
    inputs: Annotated[
        list[str] | None, typer.Argument(metavar="[FILE]...", help="Plain or .gz; - is standard input.")
    ] = None,
    output: Annotated[
        str, typer.Option("-o", "--output", metavar="FILE", help="Output file, written complete or not at all.")
    ] = "-",
    beam_size: BeamSize = None,
    length_penalty: LengthPenalty = None,
    stopping: Stopping = None,
    patience: Patience = None,
    min_ratio: MinRatio = None,
    max_ratio: MaxRatio = None,
    no_repeat_ngram: NoRepeatNgram = None,
    sample: Sample = None,
    temperature: Temperature = None,
    top_k: TopK = None,
    top_p: TopP = None,
    seed: Seed = None,
    nbest: NBest = None,
    prefix: Prefix = None,
    ensemble: Ensemble = None,
    show_attention: Annotated[
        bool, typer.Option("--show-attention", help="Draw the attention heat map of every line.")
    ] = False,
    attention: Annotated[
        str | None,
        typer.Option(
            "--attention",
            metavar="FILE",
            help="Write attention as JSON lines, or draw the first non-blank line (.svg).",
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object per line: text, score, tokens, diagnostics.")
    ] = False,
    attention_weights: Annotated[
        bool, typer.Option("--attention-weights", help="With --json: add attention weights.")
    ] = False,
    strict: Annotated[
        bool,
        typer.Option("--strict", help="Refuse invalid UTF-8; exit with code 3 if diagnostics find a problem."),
    ] = False,
    force: Force = False,
    engine: EngineChoice = "auto",
    precision: Precision = "auto",
    device: Device = "auto",
    wait: Wait = False,
    verbose: Verbose = False,
) -> None:
    """Translate text with a model, line by line: output line i belongs to input line i.

    At a terminal, without FILE, it asks for lines and answers each. Outputs that were cut, repeat themselves, are empty
    or copies of their source are counted at the end, on standard error.

    Examples:
        s2s translate numbers-attention input.de -o output.en
        echo einundzwanzig | s2s translate numbers-attention
        echo "12. März 1999" | s2s translate numbers-attention --show-attention
        s2s translate numbers-attention input.de --beam-size 5 --nbest 3
        s2s translate numbers-attention input.de --sample --temperature 0.7 --seed 3
    """
    from s2s.cli.interactive import at_a_terminal, converse
    from s2s.cli.line_progress import line_progress
    from s2s.cli.output import TranslationWriter, refuse_one_place, writing
    from s2s.decoding.loading import TranslatorConfig, loaded_translator
    from s2s.decoding.streaming import Stream, translate_files
    from s2s.errors import UsageError

    names, read = inputs or ["-"], [*(inputs or []), *([prefix] if prefix else [])]
    changes = {
        "beam_size": beam_size,
        "length_penalty": length_penalty,
        "stopping": stopping,
        "patience": patience,
        "min_ratio": min_ratio,
        "max_ratio": max_ratio,
        "no_repeat_ngram": no_repeat_ngram,
        "sample": sample,
        "temperature": temperature,
        "top_k": top_k,
        "top_p": top_p,
        "seed": seed,
    }
    if attention_weights and not as_json:
        raise UsageError("--attention-weights goes with --json", "--attention FILE writes weights beside the text")
    refuse_one_place(output, attention)
    show_log(verbose=verbose)
    stream = Stream(nbest or 1, show_attention or attention_weights or attention is not None, strict, prefix)
    config = TranslatorConfig(
        models=[model, *(ensemble or [])],
        command=f"s2s translate {model}",
        engine=engine,
        precision=precision,
        device=device,
        wait=wait,
        decoding=changes,
        nbest=stream.nbest,
        need_attention=stream.need_attention,
        prefixes=prefix is not None,
    )
    with (
        writing(output, read, force) as text,
        writing(attention, read, force) as drawn,
        loaded_translator(config) as translator,
    ):
        if at_a_terminal() and not (inputs or as_json or attention or prefix or strict) and output == "-":
            converse(translator, stream, show=show_attention)
            return
        svg = attention is not None and attention.endswith(".svg")
        writer = TranslationWriter(
            text,
            drawn,
            svg=svg,
            as_json=as_json,
            with_attention=attention_weights,
            show=show_attention,
            nbest=nbest is not None,
        )
        with line_progress(output) as done:
            diagnostics = translate_files(translator, names, writer.write, stream, done)
    for warning in diagnostics.warnings():
        note(f"warning: {warning}")
    if output != "-":
        note(f"wrote {output}: {diagnostics.lines:,} lines")
    if attention:
        note(f"wrote {attention}")
    if strict and diagnostics.odd:
        raise typer.Exit(3)
