"""`s2s evaluate`: translate a test set, or caption its images, and score them; or score an output."""

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from s2s.cli.console import note, print_json
from s2s.cli.decoding_options import Tag
from s2s.cli.options import AsJson, BeamSize, Device, Force, LengthPenalty, Precision, Threads, Wait
from s2s.report.console import out

if TYPE_CHECKING:
    from collections.abc import Mapping

    from s2s.decoding.config import TranslatorConfig
    from s2s.metrics.scores import Score
    from s2s.registry.version import Version

WITH_HYP = {"model", "source", "reference", "hyp", "ref", "language", "as_json"}  # parameters


def evaluate(
    context: typer.Context,
    model: Annotated[
        str | None,
        typer.Argument(
            metavar="MODEL",
            help="NAME, NAME:VERSION or NAME@ALIAS in the registry. With --hyp it may be left out.",
            show_default=False,
        ),
    ] = None,
    source: Annotated[
        str | None,
        typer.Argument(
            metavar="SRC",
            help="Source sentences, one per line, plain or compressed; for captioners, the directory of the images. "
            "Default: the test split of the model's corpus.",
            show_default=False,
        ),
    ] = None,
    reference: Annotated[
        str | None,
        typer.Argument(
            metavar="REF",
            help="Reference translations, one per line; for captioners, a table of images and captions: .tsv, .jsonl "
            "or COCO-style .json. An image may have several captions.",
            show_default=False,
        ),
    ] = None,
    hyp: Annotated[
        str | None,
        typer.Option(
            "--hyp",
            metavar="FILE",
            help="Score FILE, the output of any system, instead of translating: one line for each source, plain or "
            "compressed; - is standard input.",
        ),
    ] = None,
    ref: Annotated[
        list[str] | None,
        typer.Option(
            "--ref",
            metavar="FILE",
            help="With --hyp: references, instead of MODEL, SRC and REF; repeatable, for several of each line.",
        ),
    ] = None,
    language: Annotated[
        str,
        typer.Option(
            "--language",
            metavar="CODE",
            help="With --hyp, without MODEL: target language, which decides BLEU's tokenizer. Default: the end of the "
            "first references' name, as in test.zh; else 13a is the tokenizer.",
            show_default=False,
        ),
    ] = "",
    beam_size: BeamSize = None,
    length_penalty: LengthPenalty = None,
    tag: Tag = "",
    output: Annotated[
        str | None, typer.Option("-o", "--output", metavar="FILE", help="Also write the translations or captions.")
    ] = None,
    force: Force = False,
    engine: Annotated[
        Literal["pytorch", "ctranslate2"],
        typer.Option("--engine", help="Inference engine; pytorch is the reference."),
    ] = "pytorch",
    precision: Precision = "fp32",
    device: Device = "auto",
    threads: Threads = None,
    wait: Wait = 0.0,
    as_json: AsJson = False,
) -> None:
    """Translate a test set with a model, or caption its images, and print scores with their signatures.

    These are BLEU, chrF, TER, exact match, bits per byte and perplexity; of captions also CIDEr-D and distinct words.
    Captions of generated scenes have the F1 of the objects they name instead of CIDEr-D, and the share of attention
    near them.

    With --hyp, the output of any system is scored instead, without perplexity. Warnings name what looks wrong with it,
    such as shifted lines, tokenized or lower-cased text, marks of subwords, or another language. If MODEL is also
    named, it sets the target language and, without SRC and REF, the test set.

    Examples:
        s2s evaluate numbers-attention
        s2s evaluate numbers-attention test.de test.en
        s2s evaluate numbers-attention test.de test.en --beam-size 1 --json
        s2s evaluate scenes-attention
        s2s evaluate scenes-attention pictures pictures/captions.tsv
        s2s evaluate --hyp system.en test.de test.en
        s2s evaluate --hyp system.en --ref test.en --json
        s2s evaluate numbers-attention test.de test.en --hyp system.en
    """
    from s2s.errors import UsageError

    if hyp is not None:
        _refuse_decoding_options(context)
        _score_output(hyp, [name for name in (model, source, reference) if name], ref or [], language, as_json)
        return
    if ref or language:
        option = "--ref" if ref else "--language"
        raise UsageError(f"{option} only applies with --hyp", "s2s evaluate MODEL SRC REF translates and scores")
    if model is None:
        raise UsageError("no model is named", "s2s models list shows the models; --hyp FILE scores an output")
    if output == "-":
        raise UsageError("-o -: standard output is for the scores", "write the translations to a file")

    from s2s.decoding.config import TranslatorConfig
    from s2s.registry.store import Registry

    version = Registry.default().resolve(model)
    changes = {"beam_size": beam_size, "length_penalty": length_penalty}
    config = TranslatorConfig(
        [version.reference],
        f"s2s evaluate {model}",
        engine,
        precision,
        device,
        wait,
        changes,
        images=version.card.of_images,
        tag=tag,
    )
    _score_model(model, version, config, source, reference, output, force, as_json)


def _score_model(
    model: str,
    version: "Version",
    config: "TranslatorConfig",
    source: str | None,
    reference: str | None,
    output: str | None,
    force: bool,
    as_json: bool,
) -> None:
    """Print the scores of a model, and write its outputs to a file if one is named."""
    from s2s.cli.output import open_output
    from s2s.cli.test_sets import test_lines
    from s2s.decoding import evaluation
    from s2s.decoding.loading import load_translator

    test = test_lines(version, source, reference)
    scenes = test.names if source is None and evaluation.is_scenes(version.recipe()) else ()
    inputs = [name for name in (source, reference) if name]
    with open_output(output, inputs, force) as file, load_translator(config) as translator:
        result = evaluation.evaluate(translator, test.sources, test.references, scenes=scenes)
        decoding = f"{result.decoding.describe()}; {translator.engine.describe()}"
        if file:  # before printing: the reader may have gone away
            file.write("".join(f"{line}\n" for line in result.outputs).encode())
    if as_json:
        scores = _json_scores(result.scores)
        print_json({"model": model, "decoding": decoding, "scores": scores, "perplexity": result.perplexity})
    else:
        _print_scores(result.scores, result.perplexity)
        note(f"translated by {decoding}")
    for warning in result.warnings():
        note(f"warning: {warning}")
    if output:
        note(f"wrote {output}")


def _refuse_decoding_options(context: typer.Context) -> None:
    """Raise UsageError if the command line has an option that does not apply with --hyp."""
    from s2s.errors import UsageError

    for parameter in context.command.params:
        given = context.get_parameter_source(parameter.name or "")
        if parameter.name not in WITH_HYP and given is not None and given.name == "COMMANDLINE":
            hint = "leave it out: nothing is translated, the lines of FILE are scored as they are"
            raise UsageError(f"{parameter.opts[-1]} cannot be combined with --hyp", hint)


def _score_output(hyp: str, names: list[str], refs: list[str], language: str, as_json: bool) -> None:
    """Print the scores of a system's output, and warnings."""
    from s2s.cli.test_sets import read_output
    from s2s.io.inputs import shown_name
    from s2s.metrics.cider import MIN_LINES, TOO_FEW_LINES
    from s2s.metrics.output_checks import check_output
    from s2s.metrics.scores import score_corpus

    output = read_output(hyp, names, refs, language)
    scores = score_corpus(output.lines, output.references, output.metrics, output.scoring)
    found = check_output(output.lines, output.references, scores, sources=output.sources, scoring=output.scoring)
    shown, count = shown_name(hyp), len(output.lines)
    if as_json:
        warnings = [{"kind": warning.kind, "message": warning.message} for warning in found]
        print_json({"hypotheses": hyp, "lines": count, "scores": _json_scores(scores), "warnings": warnings})
    else:
        _print_scores(scores, None)
        note(f"scored {count:,} lines of {shown}")
    for warning in found:
        note(f"warning: {shown}: {warning.message}")
    if "cider" in scores and count < MIN_LINES:
        note(f"warning: {TOO_FEW_LINES}")


def _json_scores(scores: "Mapping[str, Score]") -> dict[str, dict[str, float | str]]:
    """Return the scores with their signatures as JSON values."""
    return {name: {"value": score.value, "signature": score.signature} for name, score in scores.items()}


def _print_scores(scores: "Mapping[str, Score]", perplexity: float | None) -> None:
    """Print the scores, each with its signature."""
    width = max(len("perplexity"), *map(len, scores))
    for score in scores.values():
        out.print(f"{score.metric:{width}} {score.shown:>6}  {score.signature}", soft_wrap=True)
    if perplexity is not None:
        out.print(f"{'perplexity':{width}} {perplexity:6.2f}  teacher-forced, per token", soft_wrap=True)
