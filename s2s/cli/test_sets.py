"""Read what `s2s evaluate` scores: a test set, or the output of a system and its references."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from s2s.data.file_names import language_of_file
from s2s.errors import DataError, UsageError
from s2s.io.inputs import refuse_twice, shown_name
from s2s.metrics.scores import TEXT_SCORES, Reference, Scoring
from s2s.recipe.languages import is_language_code
from s2s.text.parallel import read_parallel

if TYPE_CHECKING:
    from s2s.decoding.evaluation import TestLines
    from s2s.registry.version import Version


def test_lines(version: "Version", source: str | None, reference: str | None) -> "TestLines":
    """Read the test set that the arguments name, or that of the model's corpus."""
    from s2s.decoding import evaluation

    if source is None:
        return evaluation.own_test_lines(version)
    if reference is None:
        raise UsageError(f"{source}: no references are named", "name them after the sources")
    if not version.card.of_images:
        sources, references = read_parallel((source, reference))
        return evaluation.TestLines(sources, sources, [*references])
    size = version.recipe().data.image_size
    assert size is not None
    return evaluation.read_captioned_images(source, reference, size)


@dataclass(frozen=True, slots=True)
class Output:
    """The output of a system, and how it is scored."""

    lines: list[str]
    sources: Sequence[str]  # none of images, or if they are not named
    references: Sequence[Reference]
    metrics: Sequence[str]
    scoring: Scoring


def read_output(hyp: str, names: Sequence[str], refs: Sequence[str], language: str) -> Output:
    """Read the output of a system.

    `names`: SRC and REF, before them a model that it is scored like, or only that model for its own test split; none
    with `refs`, files of references alone. `language`: of the references if no model is named; empty if unknown.
    Raises: UsageError for anything else; DataError if line counts differ, or for what cannot be read.
    """
    if len(names) in {1, 3}:
        return _output_like_model(hyp, names, refs, language)
    if names and refs:
        raise UsageError(f"--ref cannot be combined with {' '.join(names)}", "name SRC REF, or only --ref REF")
    if not names and not refs:
        raise UsageError(f"no references for the output {hyp}", "name SRC REF, or only the references: --ref REF")
    if language and not is_language_code(language):
        raise UsageError(f"--language {language}: not the code of a language", "such as de, pt_BR or zh")
    sources, refs = names[:1], refs or names[1:]
    lines, *sides = read_parallel([hyp, *refs, *sources])
    references = sides[0] if len(refs) == 1 else [list(texts) for texts in zip(*sides, strict=True)]
    scoring = Scoring.of(language or language_of_file(refs[0]))
    return Output(lines, sides[-1] if sources else (), references, TEXT_SCORES, scoring)


def _output_like_model(hyp: str, names: Sequence[str], refs: Sequence[str], language: str) -> Output:
    """Read an output that is scored like a model: on SRC and REF, or on the model's own test split."""
    from s2s.decoding import evaluation
    from s2s.registry.store import Registry

    if refs or language:
        option, hint = ("--ref", "name SRC REF after it") if refs else ("--language", f"it is that of {names[0]}")
        raise UsageError(f"{option} cannot be combined with the model {names[0]}", hint)
    try:
        version = Registry.default().resolve(names[0])
    except UsageError as error:
        if len(names) == 1 and Path(names[0]).is_file():
            hint = f"references without sources are named with --ref: s2s evaluate --hyp {hyp} --ref {names[0]}"
            raise UsageError(error.message, hint) from error
        raise
    recipe = version.recipe()
    metrics, scoring = evaluation.metrics_of(recipe), evaluation.scoring_of(recipe)
    refuse_twice([hyp, *names[1:]])
    test = test_lines(version, names[1], names[2]) if len(names) > 1 else test_lines(version, None, None)
    (lines,) = read_parallel([hyp])
    if len(lines) != len(test.references):
        scored = names[2] if len(names) > 1 else f"the test split of {version.reference}"
        raise DataError(
            f"line counts differ: {shown_name(hyp)} has {len(lines):,}, {scored} has {len(test.references):,}",
            "line N of the output must belong to line N of the test set",
        )
    return Output(lines, () if version.card.of_images else test.names, test.references, metrics, scoring)
