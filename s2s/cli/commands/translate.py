"""`s2s translate`: translate lines of text."""

from functools import partial
from typing import TYPE_CHECKING, Annotated

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
    Split,
    Stopping,
    Tag,
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
    NoServer,
    Output,
    Precision,
    Threads,
    Verbose,
    Wait,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from s2s.cli.output import OutputOptions
    from s2s.decoding.engine import Engine
    from s2s.decoding.streaming import StreamOptions
    from s2s.decoding.translator import Translator


def translate(
    model: ModelReference,
    inputs: Annotated[
        list[str] | None, typer.Argument(metavar="[FILE]...", help="Plain or compressed; - is standard input.")
    ] = None,
    output: Output = "-",
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
    split: Split = "auto",
    tag: Tag = "",
    ensemble: Ensemble = None,
    show_attention: Annotated[
        bool, typer.Option("--show-attention", help="Draw an attention heat map of every line in the terminal.")
    ] = False,
    attention: Annotated[
        str | None,
        typer.Option(
            "--attention",
            metavar="FILE",
            help="Write attention as JSON lines, or if FILE ends in .svg, a heat map of the first non-blank line.",
        ),
    ] = None,
    as_json: Annotated[
        bool,
        typer.Option(
            "--json",
            help="Print one JSON object per line: text, score, log-probability, tokens, diagnostics, parts.",
        ),
    ] = False,
    attention_weights: Annotated[
        bool, typer.Option("--attention-weights", help="With --json: include attention.")
    ] = False,
    strict: Annotated[
        bool,
        typer.Option(
            "--strict",
            help="Refuse invalid UTF-8; exit with code 3 if any problem is counted at the end.",
        ),
    ] = False,
    force: Force = False,
    engine: EngineChoice = "auto",
    precision: Precision = "auto",
    device: Device = "auto",
    threads: Threads = None,
    wait: Wait = 0.0,
    no_server: NoServer = False,
    verbose: Verbose = False,
) -> None:
    """Translate text with a model, line by line: output line i belongs to input line i.

    At a terminal without FILE, translation is interactive. Truncated, repetitive, empty, incomplete and copied outputs
    are counted at the end, on standard error. A translation counts as incomplete if it is shorter than 99.5 % of the
    training targets whose sources had that length or, if attention is written or drawn, if it ignores more than 30 % of
    the source's tokens.

    Examples:
        s2s translate numbers-attention input.de -o output.en
        echo einundzwanzig | s2s translate numbers-attention
        echo "12. März 1999" | s2s translate numbers-attention --show-attention
        s2s translate numbers-attention input.de --beam-size 5 --nbest 3
        s2s translate numbers-attention input.de --sample --temperature 0.7 --seed 3
    """
    from s2s.cli.output import OutputOptions, refuse_same_output
    from s2s.decoding.config import TranslatorConfig
    from s2s.decoding.streaming import StreamOptions
    from s2s.errors import UsageError
    from s2s.serving.client import open_translator

    if attention_weights and not as_json:
        raise UsageError("--attention-weights only applies with --json", "--attention FILE writes attention to a file")
    need_attention = show_attention or attention_weights or attention is not None
    if split == "on" and ((nbest or 1) > 1 or prefix or need_attention):
        hint = "leave out --split on: such lines are then translated whole"
        raise UsageError("--split on cannot be combined with --nbest, --prefix or attention", hint)
    refuse_same_output(output, attention)
    show_log(verbose=verbose)
    config = TranslatorConfig(
        models=[model, *(ensemble or [])],
        command=f"s2s translate {model}",
        engine=engine,
        precision=precision,
        device=device,
        wait=wait,
        decoding={
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
        },
        nbest=nbest or 1,
        need_attention=need_attention,
        prefixes=prefix is not None,
        tag=tag,
    )
    outputs = OutputOptions(output, attention, as_json, attention_weights, show_attention, nbest is not None)
    stream = StreamOptions(nbest or 1, need_attention, strict, prefix, split)
    load = partial(open_translator, config, use_server=not (no_server or threads))
    _translate(load, stream, inputs or [], outputs, force)


def _translate(
    load: "Callable[[], AbstractContextManager[Translator[Engine]]]",
    stream: "StreamOptions",
    inputs: list[str],
    outputs: "OutputOptions",
    force: bool,
) -> None:
    """Translate files or, without any at a terminal, interactively; then print warnings and name the outputs."""
    from s2s.cli.interactive import at_a_terminal, converse
    from s2s.cli.line_progress import line_progress
    from s2s.cli.output import TranslationWriter, open_output
    from s2s.decoding.streaming import translate_files
    from s2s.errors import DataError

    input_files = [*inputs, *([stream.prefixes] if stream.prefixes else [])]
    to_files = outputs.text != "-" or outputs.attention or outputs.as_json
    with (
        open_output(outputs.text, input_files, force) as text_file,
        open_output(outputs.attention, input_files, force) as attention_file,
        load() as translator,
    ):
        if at_a_terminal() and not (input_files or to_files or stream.strict):
            converse(translator, stream, show=outputs.show_attention)
            return
        with TranslationWriter(text_file, attention_file, outputs) as writer, line_progress(outputs.text) as progress:
            counts = translate_files(translator, inputs or ["-"], writer.write, stream, progress)
    for warning in counts.warnings():
        note(f"warning: {warning}")
    if counts.several:
        several = f"{counts.several:,} of {counts.lines:,} lines hold several sentences"
        note(f"{several}, translated one by one (--split off: whole)")
    if outputs.text != "-":
        note(f"wrote {outputs.text}: {counts.lines:,} lines")
    if outputs.attention:
        note(f"wrote {outputs.attention}")
    if stream.strict and counts.counts:
        raise DataError("--strict: some translations have problems; the warnings above count them")
