"""Validation: the loss on all validation pairs, and BLEU of translating some, by the same code as the final test."""

from dataclasses import dataclass

from s2s.data.corpus import Split
from s2s.decoding.evaluation import evaluate
from s2s.decoding.forced import forced_score
from s2s.decoding.pytorch_engine import PyTorchEngine
from s2s.decoding.translator import Translator


@dataclass(frozen=True, slots=True)
class Validation:
    """What a validation found.

    Loss in nats per token without label smoothing, BLEU with its signature and chrF (None where nothing is translated),
    and one sample: source, translation, reference.
    """

    loss: float
    bleu: float | None = None
    chrf: float | None = None
    signature: str = ""
    sample: tuple[str, str, str] | None = None

    def figure(self, best_metric: str) -> float:
        """The figure that decides which checkpoint is best; larger is better."""
        return -self.loss if best_metric == "loss" else {"bleu": self.bleu, "chrf": self.chrf}[best_metric] or 0.0


def validate(translator: Translator[PyTorchEngine], split: Split, lines: int, turn: int) -> Validation:
    """Validate on `split`, translating its first `lines` greedily; `turn` chooses the sample."""
    sources, targets = split.tokens(range(len(split)))
    forced = forced_score(translator.engine.model, sources, targets, translator.engine.device)
    loss = forced.nll / forced.tokens
    if not lines:
        return Validation(loss)
    texts, references = split.texts(range(min(lines, len(split))))
    greedy = translator.recipe.decoding.model_copy(update={"beam_size": 1})
    evaluation = evaluate(translator, texts, references, decoding=greedy, metrics=("bleu", "chrf"))
    shown = turn % len(texts)
    bleu, chrf = evaluation.scores["bleu"], evaluation.scores["chrf"]
    sample = (texts[shown], evaluation.outputs[shown], references[shown])
    return Validation(loss, bleu.value, chrf.value, bleu.signature, sample)
