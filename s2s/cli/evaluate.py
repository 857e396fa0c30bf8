"""`s2s evaluate`: translate a test set and score it."""

from typing import Annotated, Literal, cast

import typer

from s2s.cli.console import note, out, print_json
from s2s.cli.options import AsJson, Beam, Device, Force, LengthPenalty, ModelReference, Precision, Wait


def evaluate(
    model: ModelReference,
    source: Annotated[str, typer.Argument(metavar="SRC", help="Source sentences, one a line; plain or .gz.")],
    reference: Annotated[str, typer.Argument(metavar="REF", help="Their translations, line by line.")],
    beam: Beam = None,
    length_penalty: LengthPenalty = None,
    output: Annotated[
        str | None, typer.Option("-o", "--output", metavar="FILE", help="Write the translations, too.")
    ] = None,
    force: Force = False,
    engine: Annotated[
        Literal["pytorch", "ctranslate2"], typer.Option("--engine", help="What computes; pytorch is the reference.")
    ] = "pytorch",
    precision: Precision = "fp32",
    device: Device = "auto",
    wait: Wait = False,
    as_json: AsJson = False,
) -> None:
    """Translate a test set with a model and score it: BLEU, chrF, TER, exact match, each with its signature, and
    perplexity.

    Examples:
        s2s evaluate numbers-attention test.de test.en
        s2s evaluate numbers-attention test.de test.en --beam 1 --json
    """
    from pathlib import Path

    from s2s.decoding import evaluation
    from s2s.decoding.loading import Wish, loaded_translator
    from s2s.decoding.pytorch import PyTorchEngine
    from s2s.decoding.translator import Translator
    from s2s.files import refuse_existing, write_bytes

    if output:
        refuse_existing(Path(output), force)
    sources, references = evaluation.read_test_set(source, reference)
    changes = {"beam": beam, "length_penalty": length_penalty}
    wish = Wish([model], f"s2s evaluate {model}", engine, precision, device, wait, changes)
    with loaded_translator(wish, note) as translator:
        found = evaluation.evaluate(translator, sources, references)
        perplexity = None
        if isinstance(translator.engine, PyTorchEngine):
            known = cast(Translator[PyTorchEngine], translator)
            perplexity = evaluation.perplexity(known, sources, references)
        how = f"{found.decoding.in_words()}; {translator.engine.in_words()}"
    if output:
        write_bytes(Path(output), "".join(f"{line}\n" for line in found.outputs).encode())
        note(f"wrote {output}")
    scores = {name: {"value": score.value, "signature": score.signature} for name, score in found.scores.items()}
    if as_json:
        print_json({"model": model, "decoding": how, "scores": scores, "perplexity": perplexity})
        return
    for score in found.scores.values():
        out.print(f"{score.metric:10} {score.value:6.1f}  {score.signature}", soft_wrap=True)
    if perplexity is not None:
        out.print(f"{'perplexity':10} {perplexity:6.2f}  teacher-forced, per piece", soft_wrap=True)
    note(f"translated by {how}")
