"""`s2s translate`: lines of text through a model."""

from typing import Annotated, Literal

import typer

from s2s.cli.console import note
from s2s.cli.options import Beam, Device, EngineChoice, Force, LengthPenalty, ModelReference, Precision, Verbose, Wait


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
    stopping: Annotated[
        Literal["first", "exact"] | None,
        typer.Option(
            "--stopping",
            help="first: when patience × beam hypotheses have finished; exact: when nothing better can come.",
        ),
    ] = None,
    patience: Annotated[
        float | None, typer.Option("--patience", min=1, max=100, help="Finished hypotheses to wait for, over the beam.")
    ] = None,
    min_ratio: Annotated[
        float | None, typer.Option("--min-ratio", min=0, help="Shortest output, as a multiple of the source's pieces.")
    ] = None,
    max_ratio: Annotated[
        float | None, typer.Option("--max-ratio", help="Longest output, as a multiple of the source's pieces, and 10.")
    ] = None,
    no_repeat_ngram: Annotated[
        int | None, typer.Option("--no-repeat-ngram", metavar="N", min=0, max=100, help="No N pieces come twice.")
    ] = None,
    sample: Annotated[bool | None, typer.Option("--sample", help="Draw at random instead of searching.")] = None,
    temperature: Annotated[
        float | None, typer.Option("--temperature", help="Of samples: below 1 sharper, above 1 flatter.")
    ] = None,
    top_k: Annotated[int | None, typer.Option("--top-k", min=0, help="Draw from the K most probable pieces.")] = None,
    top_p: Annotated[
        float | None, typer.Option("--top-p", max=1, help="Draw from the fewest pieces with that probability.")
    ] = None,
    seed: Annotated[int | None, typer.Option("--seed", min=0, help="Seed of samples.")] = None,
    nbest: Annotated[
        int | None,
        typer.Option(
            "--nbest", metavar="N", min=1, help="N translations of each line: its number, score and text, with tabs."
        ),
    ] = None,
    prefix: Annotated[
        str | None, typer.Option("--prefix", metavar="FILE", help="What each translation begins with, line by line.")
    ] = None,
    ensemble: Annotated[
        list[str] | None,
        typer.Option("--ensemble", metavar="MODEL", help="Another model that takes part; may be given several times."),
    ] = None,
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
        bool, typer.Option("--json", help="A line of JSON for each line: text, score, tokens, what is odd.")
    ] = False,
    weights: Annotated[bool, typer.Option("--weights", help="With --json: attention's weights, too.")] = False,
    strict: Annotated[
        bool,
        typer.Option("--strict", help="Refuse invalid UTF-8; end with exit code 3 where a translation is odd."),
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
        s2s translate numbers-attention input.de --beam 5 --nbest 3
        s2s translate numbers-attention input.de --sample --temperature 0.7 --seed 3
    """
    from s2s.cli.conversation import at_a_terminal, converse
    from s2s.cli.translations import TranslationWriter, writing
    from s2s.decoding.files import Stream, translate_files
    from s2s.decoding.loading import Wish, loaded_translator

    names = inputs or ["-"]
    asks = at_a_terminal() and not inputs and output == "-" and not as_json and attention is None
    wish = Wish(
        models=[model, *(ensemble or [])],
        command=f"s2s translate {model}",
        engine=engine,
        precision=precision,
        device=device,
        wait=wait,
        decoding={
            "beam": beam,
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
        weights=show_attention or attention is not None or weights,
        beginnings=prefix is not None,
    )
    read = [*names, *([prefix] if prefix else [])]
    with writing(output, read, force) as text, writing(attention, read, force) as drawn:
        writer = TranslationWriter(
            text,
            drawn,
            svg=(attention or "").endswith(".svg"),
            as_json=as_json,
            weights=weights,
            show=show_attention,
            nbest=nbest is not None,
        )
        with loaded_translator(wish, note, note if verbose else lambda _: None) as translator:
            stream = Stream(nbest or 1, wish.weights, strict, prefix)
            if asks:
                converse(translator, stream, show=show_attention)
                return
            findings = translate_files(translator, names, writer.write, stream)
    for warning in findings.warnings():
        note(f"warning: {warning}")
    if output != "-":
        note(f"wrote {output}: {findings.lines:,} lines")
    if attention:
        note(f"wrote {attention}")
    if strict and findings.odd:
        raise typer.Exit(3)
