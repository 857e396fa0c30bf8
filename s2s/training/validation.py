"""Validation: the loss on all validation pairs, and BLEU of some translations, with the code of the final test."""

from dataclasses import dataclass
from math import isfinite

from s2s.data.corpus import Split
from s2s.decoding.evaluation import evaluate, scoring_of
from s2s.decoding.forced import forced_score, without_empty
from s2s.decoding.pytorch_engine import PyTorchEngine
from s2s.decoding.translator import Translator
from s2s.metrics.scores import Headline


@dataclass(frozen=True, slots=True)
class Validation:
    """The result of a validation."""

    loss: float  # nats per token, without label smoothing
    bleu: float | None = None  # None if nothing was translated
    chrf: float | None = None  # None if nothing was translated
    signature: str = ""  # of BLEU
    sample: tuple[str, str, str] | None = None  # source, translation, reference
    headline: Headline = "bleu"  # chrF if most references are too short for BLEU

    def metric(self, name: str) -> float:
        """Return the metric that selects the best checkpoint (loss, bleu or chrf); larger is better."""
        return -self.loss if name == "loss" else {"bleu": self.bleu, "chrf": self.chrf}[name] or 0.0

    def deciding(self, best_metric: str) -> str:
        """Return the metric to select by: `best_metric`, but chrF instead of BLEU if references are too short."""
        return self.headline if best_metric == "bleu" else best_metric


def validate(translator: Translator[PyTorchEngine], split: Split, lines: int, sample_index: int) -> Validation:
    """Validate on `split`, translating its first `lines` greedily; `sample_index` selects the sample, cyclically."""
    sources, targets = split.tokens(range(len(split)))
    forced = forced_score(translator.engine.model, *without_empty(sources, targets), translator.engine.device)
    loss = forced.nll / max(forced.tokens, 1)
    if not lines or not isfinite(loss):
        return Validation(loss)
    texts, references = split.texts(range(min(lines, len(split))))
    greedy = translator.recipe.decoding.model_copy(update={"beam_size": 1})
    evaluation = evaluate(translator, texts, references, decoding=greedy, metrics=("bleu", "chrf"))
    index = sample_index % len(texts)
    bleu, chrf = evaluation.scores["bleu"], evaluation.scores["chrf"]
    sample = (texts[index], evaluation.outputs[index], references[index])
    headline = scoring_of(translator.recipe).headline(references)
    return Validation(loss, bleu.value, chrf.value, bleu.signature, sample, headline)
