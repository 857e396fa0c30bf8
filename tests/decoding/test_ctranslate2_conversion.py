"""Compare conversions to CTranslate2 with PyTorch, for every option of a Transformer."""

import json
import shutil
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ctranslate2
import numpy as np
import pytest
import torch
from publishing import publish
from sentencepiece import SentencePieceProcessor
from torch import Tensor, nn

from s2s.decoding import ctranslate2_conversion as module
from s2s.decoding.ctranslate2_conversion import (
    COMPUTE_TYPES,
    MAX_OUTPUT_TOKENS,
    cached_conversion,
    convert,
    export,
    max_output_length,
    sinusoidal_rows,
    unsupported_network,
)
from s2s.decoding.loading import reference_translator
from s2s.decoding.settings import max_source_length
from s2s.errors import ArtefactError, ResourceError, UsageError
from s2s.models.build import build_model
from s2s.models.encoder_decoder import EncoderDecoder
from s2s.models.interface import TokenInput
from s2s.models.positions import SinusoidalPositions
from s2s.recipe.recipe import Recipe
from s2s.recipe.tokenizer import TokenizerOptions
from s2s.registry.store import Registry
from s2s.registry.version import Version
from s2s.text.tokenizer import BOS, EOS, Tokenizer
from s2s.text.tokenizer_training import train_tokenizer

V, D = 60, 12
SOURCES, TARGETS = (4, 2, 6), (7, 8, 1)  # tokens of B = 3 sentences
ENCODER = {"family": "transformer", "layers": 2, "heads": 3, "ffn_size": 14}
DECODER = {"family": "transformer", "layers": 3, "heads": 2, "ffn_size": 10}
NETWORKS: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = {  # options of encoder, decoder, model
    "defaults": ({}, {}, {}),
    "post, gelu, no biases": (
        {"norm": "post", "activation": "gelu", "attention_bias": False},
        {"norm_kind": "rms", "activation": "swiglu", "attention_layer": 1},
        {"tied_embeddings": "none", "output_bias": False},
    ),
    "learned positions": (
        {"norm_kind": "rms", "activation": "swiglu", "positions": "learned", "max_positions": 4},
        {"norm": "post", "activation": "gelu", "positions": "learned", "max_positions": 5, "attention_layer": 2},
        {"tied_embeddings": "target"},
    ),
    "post, rms": (
        {"norm": "post", "norm_kind": "rms"},
        {"norm": "post", "norm_kind": "rms", "attention_bias": False, "attention_layer": -3},
        {"tied_embeddings": "none"},
    ),
    "rotary": ({"positions": "rotary"}, {"positions": "rotary", "attention_bias": False}, {}),
    "rotary and learned": ({"positions": "rotary", "norm": "post"}, {"positions": "learned"}, {"output_bias": False}),
}


def recipe_of(encoder: dict[str, Any], decoder: dict[str, Any], model: dict[str, Any]) -> Recipe:
    options = {"embedding_size": D, "encoder": ENCODER | encoder, "decoder": DECODER | decoder} | model
    return Recipe.model_validate({"name": "tiny", "data": {"kind": "generator"}, "model": options})


@dataclass
class Pair:
    """A network and its conversion."""

    network: EncoderDecoder
    converted: ctranslate2.Translator
    tokenizer: Tokenizer

    @classmethod
    def of(
        cls, recipe: Recipe, tokenizer: Tokenizer, directory: Path, compute: str = "fp32", std: float = 0.4
    ) -> "Pair":
        torch.manual_seed(1)
        network = build_model(recipe.model, V).eval()
        for parameter in network.parameters():
            nn.init.normal_(parameter, std=std)
        weights = {name: value.numpy() for name, value in network.weights().items()}
        before = {name: value.copy() for name, value in weights.items()}
        directory.mkdir()
        convert(weights, tokenizer, recipe, directory, compute)
        assert all(np.array_equal(before[name], weights[name]) for name in weights)
        return cls(network, ctranslate2.Translator(str(directory), intra_threads=1), tokenizer)

    @torch.no_grad()
    def forced(self, source: list[int], target: list[int]) -> tuple[Tensor, Tensor]:
        """Return PyTorch's logits [T, V] and attention [T, S] of a target after BOS."""
        ids = torch.tensor([[*source, EOS]])
        memory = self.network.encoder(TokenInput(ids, torch.tensor([ids.shape[1]])))
        decoded = self.network.decoder(memory, torch.tensor([[BOS, *target]]), need_attention=True)
        logits = nn.functional.linear(decoded.hidden, self.network.weight, self.network.bias)
        assert decoded.attention is not None
        return logits[0], decoded.attention[0]

    def ids(self, tokens: list[str]) -> list[int]:
        return [self.tokenizer.tokens(range(V)).index(token) for token in tokens]

    def max_difference(self, sources: list[list[int]], targets: list[list[int]]) -> float:
        """Return the largest difference between log-probabilities of a token, EOS included."""
        tokens = self.tokenizer.tokens
        found = self.converted.score_batch(
            [tokens(source) for source in sources], [tokens(target) for target in targets], max_input_length=0
        )
        worst = 0.0
        for source, target, score in zip(sources, targets, found, strict=True):
            logits, _ = self.forced(source, target)
            expected = logits.log_softmax(-1)[torch.arange(len(target) + 1), torch.tensor([*target, EOS])]
            assert len(score.log_probs) == len(target) + 1
            worst = max(worst, float(np.abs(expected.numpy() - np.array(score.log_probs)).max()))
        return worst


def sentences(lengths: tuple[int, ...], seed: int = 1) -> list[list[int]]:
    draw = np.random.default_rng(seed)
    return [draw.integers(EOS + 1, V, length).tolist() for length in lengths]


@pytest.fixture(scope="module")
def tokenizer(transformer: dict[str, bytes]) -> Tokenizer:
    return Tokenizer(transformer["tokenizer.model"])


@pytest.fixture(params=NETWORKS.values(), ids=NETWORKS.keys())
def pair(request: pytest.FixtureRequest, tokenizer: Tokenizer, tmp_path: Path) -> Pair:
    recipe = recipe_of(*request.param)
    assert unsupported_network(recipe) is None
    return Pair.of(recipe, tokenizer, tmp_path / "converted")


class TestConvert:
    def test_scores(self, pair: Pair) -> None:
        assert pair.max_difference(sentences(SOURCES), sentences(TARGETS, 2)) < 1e-4

    def test_scores_of_user_symbols(self, tmp_path: Path) -> None:
        symbols = ["<blank>", "<unknown>", '",b', "%s", "\\\\", "[2]", "#"]
        texts = ["%s a [2] b" + "cdefgh"[number % 6 :] for number in range(40)]
        options = TokenizerOptions(vocab_size=V, algorithm="bpe", user_symbols=symbols)
        tokenizer = Tokenizer(train_tokenizer(texts, options))
        pair = Pair.of(recipe_of({}, {}, {}), tokenizer, tmp_path / "converted")
        assert pair.max_difference([tokenizer.encode(["".join(symbols)])[0]], [[*range(4, 11)]]) < 1e-4

    @pytest.mark.parametrize("beam_size", [1, 3])
    def test_attention(self, pair: Pair, beam_size: int) -> None:
        """Search one sentence at a time, as in a batch CTranslate2 mixes up the attention of the first token."""
        sources = sentences(SOURCES)
        answers = pair.converted.translate_batch(
            [pair.tokenizer.tokens(source) for source in sources],
            beam_size=beam_size,
            max_batch_size=1 if beam_size > 1 else 0,
            max_decoding_length=9,
            return_attention=True,
            return_end_token=True,
        )
        for source, answer in zip(sources, answers, strict=True):
            found = np.array(answer.attention[0])
            _, attention = pair.forced(source, pair.ids(answer.hypotheses[0]))
            assert found.shape == (len(answer.hypotheses[0]), len(source))  # the source's EOS is left out
            np.testing.assert_allclose(found, attention[: len(found), :-1].numpy(), atol=1e-5)
            np.testing.assert_allclose(1 - found.sum(1), attention[: len(found), -1].numpy(), atol=1e-5)

    def test_beam_search_scores(self, pair: Pair) -> None:
        sources, never = sentences(SOURCES), pair.tokenizer.tokens(range(EOS))
        answers = pair.converted.translate_batch(
            [pair.tokenizer.tokens(source) for source in sources],
            beam_size=3,
            max_decoding_length=9,
            min_decoding_length=0,
            suppress_sequences=[[token] for token in never],
            return_scores=True,
            return_end_token=True,
        )
        for source, answer in zip(sources, answers, strict=True):
            found = pair.ids(answer.hypotheses[0])
            logits, _ = pair.forced(source, found)
            logits[:, :EOS] = -torch.inf
            expected = logits.log_softmax(-1)[torch.arange(len(found)), torch.tensor(found)].mean()
            assert answer.scores[0] == pytest.approx(expected.item(), abs=1e-5)

    @pytest.mark.parametrize("compute", ["int8", "int8_bf16", "bf16"])
    def test_low_precision_is_close(self, tokenizer: Tokenizer, tmp_path: Path, compute: str) -> None:
        recipe = recipe_of({}, {}, {})
        pair = Pair.of(recipe, tokenizer, tmp_path / "converted", compute, std=0.2)  # as in a trained network
        assert 1e-5 < pair.max_difference(sentences(SOURCES), sentences(TARGETS, 2)) < 0.1
        whole = Pair.of(recipe, tokenizer, tmp_path / "whole")
        assert whole.converted.compute_type == "float32"
        sizes = [(tmp_path / name / "model.bin").stat().st_size for name in ("converted", "whole")]
        assert sizes[0] < 0.9 * sizes[1]

    def test_precisions_exist_in_ctranslate2(self) -> None:
        from ctranslate2.specs.model_spec import ACCEPTED_MODEL_TYPES

        assert set(COMPUTE_TYPES.values()) <= set(ACCEPTED_MODEL_TYPES)

    @pytest.mark.parametrize("positions", ["sinusoidal", "learned", "rotary"])
    def test_maximum_lengths(self, tokenizer: Tokenizer, tmp_path: Path, positions: str) -> None:
        sides = {"positions": positions, "max_positions": 50}
        recipe = recipe_of(sides, sides, {})
        pair = Pair.of(recipe, tokenizer, tmp_path / "converted")
        assert (max_source_length(recipe), max_output_length(recipe)) == (400, 1210)
        assert pair.max_difference(sentences((400, 3)), sentences((1210, 5))) < 1e-4
        if positions != "rotary":
            with pytest.raises(RuntimeError, match="position"):
                pair.max_difference(sentences((3,)), sentences((1220,)))

    def test_padding_changes_nothing(self, pair: Pair) -> None:
        sources, targets = sentences(SOURCES), sentences(TARGETS, 2)
        together = pair.converted.score_batch(*([pair.tokenizer.tokens(ids) for ids in b] for b in (sources, targets)))
        for source, target, score in zip(sources, targets, together, strict=True):
            alone = pair.converted.score_batch([pair.tokenizer.tokens(source)], [pair.tokenizer.tokens(target)])[0]
            np.testing.assert_allclose(score.log_probs, alone.log_probs, atol=1e-5)

    def test_mismatched_weights_are_refused(self, tokenizer: Tokenizer, tmp_path: Path) -> None:
        recipe = recipe_of({}, {}, {})
        weights = {name: value.numpy() for name, value in build_model(recipe.model, V).weights().items()}
        name = "decoder.blocks.1.cross_attention.kv_proj.weight"
        others = {key: value for key, value in weights.items() if key != name}
        for wrong, message in (
            (others, f"{name} is missing"),
            (others | {name: weights[name][1:]}, rf"{name} has shape \(23, 12\) instead of \(24, 12\)"),
            (weights | {"more": weights["bias"]}, "unknown weights: more"),
        ):
            with pytest.raises(ValueError, match=message):
                convert(wrong, tokenizer, recipe, tmp_path, "fp32")


class TestUnsupportedNetwork:
    @pytest.mark.parametrize("side", ["encoder", "decoder"])
    def test_recurrent_networks(self, side: str) -> None:
        recipe = recipe_of({}, {}, {side: {"family": "rnn"}})
        assert unsupported_network(recipe) == f"CTranslate2 does not support RNN {side}s"

    def test_convolutions(self) -> None:
        recipe = recipe_of({"convolution": 3}, {}, {})
        assert unsupported_network(recipe) == "CTranslate2 does not support convolutions"


class TestLengths:
    def test_limits_cover_training_lengths(self) -> None:
        values = recipe_of({}, {}, {}).as_dict()
        data = {"kind": "generator", "filter_preset": "none", "filters": [{"name": "length", "max": 500}]}
        longer = Recipe.model_validate(values | {"data": data})
        assert (max_source_length(longer), max_output_length(longer)) == (500, 1510)

    def test_position_table_is_bounded(self) -> None:
        values = recipe_of({}, {}, {}).as_dict()
        assert max_output_length(Recipe.model_validate(values | {"decoding": {"max_ratio": 1000}})) == MAX_OUTPUT_TOKENS


def test_sinusoidal_rows() -> None:
    rows = SinusoidalPositions(D).added(1500, torch.zeros(1))
    np.testing.assert_allclose(sinusoidal_rows(1500, D), rows.numpy(), atol=1e-4)


@pytest.fixture
def version(transformer: dict[str, bytes], card: Any) -> Version:
    return publish(Registry.default(), "tiny", transformer, card)


class TestCachedConversion:
    @pytest.fixture
    def count(self, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """The compute type of each conversion."""
        conversions: list[str] = []

        def counted(*arguments: Any) -> None:
            conversions.append(arguments[-1])
            convert(*arguments)

        monkeypatch.setattr(module, "convert", counted)
        return conversions

    def test_converts_once(self, version: Version, own_home: Path, count: list[str]) -> None:
        directory = cached_conversion(version, "fp32")
        assert directory.parent == own_home / "cache" / "ctranslate2"
        assert (own_home / "cache" / "CACHEDIR.TAG").read_text().startswith("Signature: 8a477f597d28d172789f0")
        assert cached_conversion(version, "fp32") == directory
        assert count == ["fp32"]
        assert list(directory.parent.iterdir()) == [directory]
        ctranslate2.Translator(str(directory))

    def test_directory_depends_on_files_and_precision(self, version: Version, card: Any, count: list[str]) -> None:
        files = {name: version.read(name) for name in version.files}
        recipe = json.loads(files["recipe.json"])
        recipe["decoding"]["max_ratio"] = 2.0
        other = publish(Registry.default(), "tiny", files | {"recipe.json": json.dumps(recipe).encode()}, card)
        again = publish(Registry.default(), "same", files, card)
        directories = [cached_conversion(one, "fp32") for one in (version, other, again)]
        assert directories[0] == directories[2] != directories[1]
        assert cached_conversion(version, "int8") not in directories
        assert count == ["fp32", "fp32", "int8"]

    @pytest.mark.parametrize("name", ["model.bin", "config.json", "shared_vocabulary.json", module.DIGESTS])
    @pytest.mark.parametrize("damage", ["changed", "gone"])
    def test_damaged_conversion_is_replaced(self, version: Version, count: list[str], name: str, damage: str) -> None:
        directory = cached_conversion(version, "fp32")
        whole = {path.name: path.read_bytes() for path in directory.iterdir()}
        if damage == "changed":
            (directory / name).write_bytes(
                whole[name][:-3] + b"?" + whole[name][-2:] if name != module.DIGESTS else b"{}"
            )
        else:
            (directory / name).unlink()
        assert cached_conversion(version, "fp32") == directory
        assert count == ["fp32", "fp32"]
        assert {path.name: path.read_bytes() for path in directory.iterdir()} == whole
        assert list(directory.parent.iterdir()) == [directory]

    def test_concurrent_conversions(self, version: Version, count: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
        both, write, found = threading.Barrier(2), module._write, []

        def meeting(*arguments: Any) -> None:
            both.wait(60)
            write(*arguments)
            both.wait(60)

        monkeypatch.setattr(module, "_write", meeting)
        threads = [threading.Thread(target=lambda: found.append(cached_conversion(version, "fp32"))) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert found[0] == found[1]
        assert count == ["fp32", "fp32"]
        assert list(found[0].parent.iterdir()) == [found[0]]
        ctranslate2.Translator(str(found[0]))

    def test_interrupted_conversion_leaves_nothing(
        self, version: Version, own_home: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def interrupted(weights: Any, tokenizer: Any, recipe: Any, directory: Path, compute: str) -> None:
            (directory / "model.bin").write_bytes(b"half")
            raise KeyboardInterrupt

        monkeypatch.setattr(module, "convert", interrupted)
        with pytest.raises(KeyboardInterrupt):
            cached_conversion(version, "fp32")
        assert list((own_home / "cache" / "ctranslate2").iterdir()) == []

    def test_unwritable_cache(self, version: Version, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("S2S_CACHE", "/proc/here")
        with pytest.raises(ResourceError) as caught:
            cached_conversion(version, "fp32")
        assert "S2S_CACHE" in (caught.value.hint or "")

    def test_inconsistent_version(self, version: Version, card: Any) -> None:
        files = {name: version.read(name) for name in version.files}
        recipe = json.loads(files["recipe.json"])
        recipe["model"]["embedding_size"] = 14
        other = publish(Registry.default(), "tiny", files | {"recipe.json": json.dumps(recipe).encode()}, card)
        with pytest.raises(ArtefactError, match="tiny:2: weights and recipe do not fit together: weight has shape"):
            cached_conversion(other, "fp32")

    @pytest.mark.usefixtures("trained_home")
    def test_unsupported_network(self) -> None:
        with pytest.raises(UsageError, match="numbers-attention:1: CTranslate2 does not support RNN encoders"):
            cached_conversion(Registry.default().resolve("numbers-attention"), "fp32")


class TestExport:
    def test_plain_ctranslate2_and_sentencepiece_agree_with_s2s(self, version: Version, tmp_path: Path) -> None:
        export(version, tmp_path / "out", "fp32")
        line = "abc fgh d"
        processor = SentencePieceProcessor(model_file=str(tmp_path / "out" / "tokenizer.model"))
        tokens = processor.encode(line, out_type=str)
        answer = ctranslate2.Translator(str(tmp_path / "out")).translate_batch(
            [tokens],
            beam_size=1,
            max_decoding_length=3 * len(tokens) + 10,
            min_decoding_length=0,
            suppress_sequences=[["<pad>"], ["<unk>"], ["<s>"]],
        )[0]
        ours = reference_translator(version, torch.device("cpu"))
        greedy = ours.recipe.decoding.model_copy(update={"beam_size": 1})
        assert processor.decode(answer.hypotheses[0]) == ours.translate([line], greedy)[0].text

    def test_export_is_independent_of_s2s(self, version: Version, tmp_path: Path) -> None:
        export(version, tmp_path / "out", "int8")
        shutil.move(tmp_path / "out", tmp_path / "elsewhere")
        ctranslate2.Translator(str(tmp_path / "elsewhere"))
        assert not (tmp_path / "elsewhere" / module.DIGESTS).exists()

    def test_existing_directory_is_refused(self, version: Version, tmp_path: Path) -> None:
        (tmp_path / "out").mkdir()
        with pytest.raises(UsageError, match="exists"):
            export(version, tmp_path / "out", "fp32")
        assert [path.name for path in tmp_path.iterdir()] == ["out"]
