"""`s2s evaluate`: translate a test set, or caption its images, and score the results."""

from typing import TYPE_CHECKING, Annotated, Literal, cast

import typer

from s2s.cli.console import note, print_json
from s2s.cli.decoding_options import Tag
from s2s.cli.options import AsJson, BeamSize, Device, Force, LengthPenalty, ModelReference, Precision, Threads, Wait
from s2s.report.console import out

if TYPE_CHECKING:
    from s2s.decoding.evaluation import Evaluation, TestLines
    from s2s.registry.version import Version


def evaluate(
    model: ModelReference,
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

    These are BLEU, chrF, TER, exact match and perplexity; of captions also CIDEr-D and distinct words. Captions of
    generated scenes have the F1 of the objects they name instead of CIDEr-D, and the share of attention near them.

    Examples:
        s2s evaluate numbers-attention
        s2s evaluate numbers-attention test.de test.en
        s2s evaluate numbers-attention test.de test.en --beam-size 1 --json
        s2s evaluate scenes-attention
        s2s evaluate scenes-attention pictures pictures/captions.tsv
    """
    from s2s.cli.output import open_output
    from s2s.decoding import evaluation
    from s2s.decoding.config import TranslatorConfig
    from s2s.decoding.loading import load_translator
    from s2s.decoding.pytorch_engine import PyTorchEngine
    from s2s.decoding.translator import Translator
    from s2s.errors import UsageError
    from s2s.registry.store import Registry

    if output == "-":
        raise UsageError("-o -: standard output is for the scores", "write the translations to a file")
    version = Registry.default().resolve(model)
    test = _test_lines(version, source, reference)
    scenes = test.names if source is None and evaluation.is_scenes(version.recipe()) else ()
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
    inputs = [name for name in (source, reference) if name]
    with open_output(output, inputs, force) as file, load_translator(config) as translator:
        result = evaluation.evaluate(translator, test.sources, test.references, scenes=scenes)
        perplexity = None
        if isinstance(translator.engine, PyTorchEngine):
            pytorch_translator = cast(Translator[PyTorchEngine], translator)
            perplexity = evaluation.perplexity(pytorch_translator, test.sources, test.references)
        decoding = f"{result.decoding.describe()}; {translator.engine.describe()}"
        if as_json:
            _print_json(model, result, perplexity, decoding)
        else:
            _print_scores(result, perplexity, decoding)
        if file:
            file.write("".join(f"{line}\n" for line in result.outputs).encode())
    for warning in result.warnings():
        note(f"warning: {warning}")
    if output:
        note(f"wrote {output}")


def _test_lines(version: "Version", source: str | None, reference: str | None) -> "TestLines":
    """Read the test set that the arguments name, or that of the model's corpus."""
    from s2s.decoding import evaluation
    from s2s.errors import UsageError

    if source is None:
        return evaluation.own_test_lines(version)
    if reference is None:
        raise UsageError(f"{source}: no references are named", "name them after the sources")
    if not version.card.of_images:
        sources, references = evaluation.read_test_set(source, reference)
        return evaluation.TestLines(sources, sources, [*references])
    size = version.recipe().data.image_size
    assert size is not None
    return evaluation.read_captioned_images(source, reference, size)


def _print_json(model: str, result: "Evaluation", perplexity: float | None, decoding: str) -> None:
    """Print the scores with their signatures as JSON."""
    scores = {name: {"value": score.value, "signature": score.signature} for name, score in result.scores.items()}
    print_json({"model": model, "decoding": decoding, "scores": scores, "perplexity": perplexity})


def _print_scores(result: "Evaluation", perplexity: float | None, decoding: str) -> None:
    """Print the scores, each with its signature."""
    width = max(len("perplexity"), *map(len, result.scores))
    for score in result.scores.values():
        out.print(f"{score.metric:{width}} {score.shown:>6}  {score.signature}", soft_wrap=True)
    if perplexity is not None:
        out.print(f"{'perplexity':{width}} {perplexity:6.2f}  teacher-forced, per token", soft_wrap=True)
    note(f"translated by {decoding}")
