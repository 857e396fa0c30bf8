"""`s2s caption`: describe images."""

from typing import TYPE_CHECKING, Annotated

import typer

from s2s.cli.console import note, show_log
from s2s.cli.decoding_options import NBest, NoRepeatNgram, Sample, Seed, Temperature, TopK, TopP
from s2s.cli.options import (
    BeamSize,
    Device,
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
    from collections.abc import Iterator


def caption(
    model: ModelReference,
    images: Annotated[
        list[str],
        typer.Argument(
            metavar="IMAGE...",
            help="Image files, or files of features for a model that reads those, and directories of them; - reads a "
            "list of files from standard input.",
        ),
    ],
    output: Output = "-",
    beam_size: BeamSize = None,
    length_penalty: LengthPenalty = None,
    max_length: Annotated[
        int | None, typer.Option("--max-length", metavar="N", min=1, help="Maximum length of a caption in tokens.")
    ] = None,
    no_repeat_ngram: NoRepeatNgram = None,
    sample: Sample = None,
    temperature: Temperature = None,
    top_k: TopK = None,
    top_p: TopP = None,
    seed: Seed = None,
    nbest: NBest = None,
    show_attention: Annotated[
        bool, typer.Option("--show-attention", help="Draw a map of attention for each word in the terminal.")
    ] = False,
    attention: Annotated[
        str | None,
        typer.Option(
            "--attention",
            metavar="FILE",
            help="Write each image with a map of attention for each word (.html), that of the first image alone "
            "(.svg), or attention as JSON lines.",
        ),
    ] = None,
    as_json: Annotated[
        bool,
        typer.Option("--json", help="Print one JSON object per image: image, text, score, log-probability, tokens."),
    ] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with code 3 if an image cannot be read.")] = False,
    force: Force = False,
    precision: Precision = "auto",
    device: Device = "auto",
    threads: Threads = None,
    wait: Wait = 0.0,
    no_server: NoServer = False,
    verbose: Verbose = False,
) -> None:
    """Describe images with a model: one line per image, in the order given.

    An image that cannot be read gets an empty line, and is counted at the end on standard error.

    Examples:
        s2s caption scenes-attention picture.png
        s2s caption scenes-attention pictures/ -o captions.txt
        s2s caption scenes-attention picture.png --attention maps.html
        ls pictures/*.png | s2s caption scenes-attention - --json
    """
    from s2s.cli.line_progress import line_progress
    from s2s.cli.output import OutputOptions, TranslationWriter, open_output, refuse_same_output
    from s2s.decoding.captioning import caption_files
    from s2s.decoding.config import TranslatorConfig
    from s2s.errors import DataError
    from s2s.registry.store import Registry
    from s2s.serving.client import open_translator

    refuse_same_output(output, attention)
    show_log(verbose=verbose)
    need_attention = show_attention or attention is not None
    version = Registry.default().resolve(model)
    size = version.recipe().data.image_size
    config = TranslatorConfig(
        models=[version.reference],
        command=f"s2s caption {model}",
        engine="pytorch",
        precision=precision,
        device=device,
        wait=wait,
        decoding={
            "beam_size": beam_size,
            "length_penalty": length_penalty,
            "max_caption_length": max_length,
            "no_repeat_ngram": no_repeat_ngram,
            "sample": sample,
            "temperature": temperature,
            "top_k": top_k,
            "top_p": top_p,
            "seed": seed,
        },
        nbest=nbest or 1,
        need_attention=need_attention,
        images=True,
    )
    paths = _paths(images, features=size is not None and bool(size.features))
    outputs = OutputOptions(output, attention, as_json, False, show_attention, nbest is not None, of_images=True)
    with (
        open_output(output, images, force) as text_file,
        open_output(attention, images, force) as attention_file,
        open_translator(config, use_server=not (no_server or threads)) as translator,
        TranslationWriter(text_file, attention_file, outputs) as writer,
        line_progress(output) as progress,
    ):
        counts = caption_files(
            translator, paths, writer.write, nbest=nbest or 1, need_attention=need_attention, progress=progress
        )
    for warning in counts.warnings():
        note(f"warning: {warning}")
    if output != "-":
        note(f"wrote {output}: {counts.images:,} captions")
    if attention:
        note(f"wrote {attention}")
    if strict and counts.unreadable:
        raise DataError("--strict: some images cannot be read; the warning above counts them")


def _paths(names: list[str], *, features: bool) -> "Iterator[str]":
    """Return the image files that arguments stand for.

    Raises: UsageError if one that is named does not exist, or a directory has no images, before any is captioned.
    """
    from itertools import chain
    from pathlib import Path

    from s2s.data.image_inputs import list_inputs
    from s2s.errors import UsageError
    from s2s.io.inputs import refuse_twice

    refuse_twice(names)
    for name in names:
        if name != "-" and not Path(name).exists():
            raise UsageError(f"cannot read {name}: no such file or directory", "name image files, or a directory")
    return chain.from_iterable(
        [
            _listed() if name == "-" else list_inputs(name, features=features) if Path(name).is_dir() else [name]
            for name in names
        ]
    )


def _listed() -> "Iterator[str]":
    """Yield the files that standard input lists, one per line. Raises DataError if a name has a NUL byte."""
    import os

    from s2s.errors import DataError
    from s2s.io.inputs import open_input, read_lines

    for line in filter(None, read_lines(open_input("-"), "standard input")):
        if b"\0" in line:
            hint = "list one file per line, as find does without -print0"
            raise DataError("standard input: file names are separated by NUL bytes", hint)
        yield os.fsdecode(line)
