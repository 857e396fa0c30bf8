"""`s2s evaluate`: translate a test set and score it."""

from typing import TYPE_CHECKING, Annotated, Literal, cast

import typer

from s2s.cli.console import note, print_json
from s2s.cli.options import AsJson, BeamSize, Device, Force, LengthPenalty, ModelReference, Precision, Threads, Wait
from s2s.report.console import out

if TYPE_CHECKING:
    from s2s.decoding.evaluation import Evaluation


def evaluate(
    model: ModelReference,
    source: Annotated[str, typer.Argument(metavar="SRC", help="Source sentences, one per line; plain or .gz.")],
    reference: Annotated[str, typer.Argument(metavar="REF", help="Reference translations, one per line.")],
    beam_size: BeamSize = None,
    length_penalty: LengthPenalty = None,
    output: Annotated[
        str | None, typer.Option("-o", "--output", metavar="FILE", help="Also write the translations.")
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
    """Translate a test set with a model and print BLEU, chrF, TER, exact match (with signatures) and perplexity.

    Examples:
        s2s evaluate numbers-attention test.de test.en
        s2s evaluate numbers-attention test.de test.en --beam-size 1 --json
    """
    from s2s.cli.output import open_output
    from s2s.decoding import evaluation
    from s2s.decoding.loading import TranslatorConfig, load_translator
    from s2s.decoding.pytorch_engine import PyTorchEngine
    from s2s.decoding.translator import Translator
    from s2s.errors import UsageError

    if output == "-":
        raise UsageError("-o -: standard output is for the scores", "write the translations to a file")
    sources, references = evaluation.read_test_set(source, reference)
    changes = {"beam_size": beam_size, "length_penalty": length_penalty}
    config = TranslatorConfig([model], f"s2s evaluate {model}", engine, precision, device, wait, changes)
    with open_output(output, [source, reference], force) as file, load_translator(config) as translator:
        result = evaluation.evaluate(translator, sources, references)
        perplexity = None
        if isinstance(translator.engine, PyTorchEngine):
            pytorch_translator = cast(Translator[PyTorchEngine], translator)
            perplexity = evaluation.perplexity(pytorch_translator, sources, references)
        decoding = f"{result.decoding.describe()}; {translator.engine.describe()}"
        if as_json:
            _print_json(model, result, perplexity, decoding)
        else:
            _print_scores(result, perplexity, decoding)
        if file:
            file.write("".join(f"{line}\n" for line in result.outputs).encode())
    if output:
        note(f"wrote {output}")


def _print_json(model: str, result: "Evaluation", perplexity: float | None, decoding: str) -> None:
    """Print the scores with their signatures as JSON."""
    scores = {name: {"value": score.value, "signature": score.signature} for name, score in result.scores.items()}
    print_json({"model": model, "decoding": decoding, "scores": scores, "perplexity": perplexity})


def _print_scores(result: "Evaluation", perplexity: float | None, decoding: str) -> None:
    """Print the scores, each with its signature."""
    for score in result.scores.values():
        out.print(f"{score.metric:10} {score.value:6.1f}  {score.signature}", soft_wrap=True)
    if perplexity is not None:
        out.print(f"{'perplexity':10} {perplexity:6.2f}  teacher-forced, per token", soft_wrap=True)
    note(f"translated by {decoding}")
