"""The translator: raw lines in, raw lines out."""

import pytest
import torch
from publishing import publish

from s2s.decoding import pytorch_engine
from s2s.decoding.engine import Request
from s2s.decoding.loading import reference_translator
from s2s.decoding.pytorch_engine import PyTorchEngine
from s2s.decoding.translator import RecipeTranslator
from s2s.errors import ArtefactError, UsageError
from s2s.registry.store import Registry


def load(name: str) -> RecipeTranslator[PyTorchEngine]:
    return reference_translator(Registry.default().resolve(name), torch.device("cpu"))


LINES = [
    "einundzwanzig",
    "",
    "12. März 1999",
    " \t ",
    "neunhundertachtundachtzig ; 3. Mai 2020",
    "x\u2028y",
    "<s> ▁ \ufffd",
]


@pytest.mark.usefixtures("trained_home")
class TestTranslator:
    def test_output_line_i_belongs_to_input_line_i(self) -> None:
        translator = load("numbers-attention")
        together = [found.text for found in translator.translate(LINES)]
        alone = [translator.translate([line])[0].text for line in LINES]
        assert together == alone
        assert [together[1], together[3]] == ["", ""]
        assert all("\n" not in text for text in together)

    def test_blank_lines_do_not_run_the_model(self, monkeypatch: pytest.MonkeyPatch) -> None:
        translator = load("numbers-attention")
        monkeypatch.setattr(pytorch_engine, "BeamSearch", lambda *_, **__: pytest.fail("the model was run"))
        assert [found.text for found in translator.translate(["", "  ", "\t"])] == ["", "", ""]

    def test_each_sentence_carries_its_length_limits(self, monkeypatch: pytest.MonkeyPatch) -> None:
        translator = load("numbers-attention")
        requests: list[Request] = []
        monkeypatch.setattr(translator.engine, "start", requests.append)
        options = translator.recipe.decoding.model_copy(update={"min_ratio": 0.5, "max_ratio": 2.0})
        lines, prefixes = ["einundzwanzig", "", "12. März 1999"], ["twenty", "", ""]
        translator.start(lines, options, prefixes=prefixes, line_numbers=[40, 43, 47])
        first, last = requests[0].inputs
        assert first.max_length == 2 * len(first.source) + 10 + len(first.prefix)
        assert (first.min_length, last.min_length) == (len(first.source) // 2, len(last.source) // 2)
        assert first.prefix == translator.encode(["twenty"])[0]
        assert last.prefix == []
        assert last.max_length == 2 * len(last.source) + 10
        assert (first.sample_key, last.sample_key) == ((40, 0), (47, 0))

    def test_attention_comes_with_its_tokens(self) -> None:
        (found,) = load("numbers-attention").translate(["einundzwanzig"], need_attention=True)
        assert len(found.attention) == len(found.tokens) > 0
        assert all(len(row) == len(found.source_tokens) for row in found.attention)
        assert all(sum(row) == pytest.approx(1, abs=1e-4) for row in found.attention)
        assert found.source_tokens[-1] == "</s>"
        assert "".join(found.source_tokens[:-1]).replace("▁", "") == "einundzwanzig"

    def test_model_without_attention(self) -> None:
        translator = load("numbers-bottleneck")
        (found,) = translator.translate(["einundzwanzig"], need_attention=True)
        assert found.attention == ()
        with pytest.raises(UsageError, match="no attention"):
            translator.settings.require_attention()

    def test_weights_that_do_not_fit_the_recipe_are_refused(self) -> None:
        attention, bottleneck = (
            Registry.default().resolve(name) for name in ("numbers-attention", "numbers-bottleneck")
        )
        files = {name: attention.read(name) for name in attention.files}
        mixed = publish(
            Registry.default(),
            "mixed",
            files | {"weights.safetensors": bottleneck.read("weights.safetensors")},
            attention.card,
        )
        with pytest.raises(ArtefactError, match="mixed:1: weights and recipe do not fit together"):
            reference_translator(mixed, torch.device("cpu"))
