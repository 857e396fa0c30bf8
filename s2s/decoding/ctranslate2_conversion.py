"""Conversions: a published Transformer as CTranslate2 reads it, straight from the stored weights.

D width, F units of a feed-forward layer, V vocabulary. CTranslate2's descriptions of networks import torch, so they are
imported where something is converted, and nowhere else.
"""

import contextlib
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import numpy as np
import numpy.typing as npt

from s2s.decoding.hypothesis import longest_source
from s2s.errors import ArtefactError, ResourceError, S2SError, UsageError, wrap_os_errors
from s2s.io.atomic import atomic_directory, read_json, write_bytes, write_json
from s2s.io.digests import digest_file, digest_json
from s2s.io.paths import cache_dir
from s2s.recipe.model import BlockOptions, TransformerDecoderOptions, TransformerEncoderOptions
from s2s.recipe.recipe import Recipe
from s2s.registry.version import Version
from s2s.text.tokenizer import BOS, EOS, UNK, Tokenizer

SCHEMA = 1  # number of the conversion; raised when the same version would be written differently
COMPUTE_TYPES = {"fp32": "float32", "int8": "int8", "int8_bf16": "int8_bfloat16", "bf16": "bfloat16"}
ACTIVATIONS = {"relu": "RELU", "gelu": "GELU", "swiglu": "SWISH"}  # as CTranslate2 calls them
TABLES = {  # embeddings that are stored, for each choice of `tied_embeddings`; the output's is `weight`, shared or not
    "all": ("weight",),
    "target": ("weight", "encoder.embedding.weight"),
    "none": ("weight", "encoder.embedding.weight", "decoder.embedding.weight"),
}
MOST_TOKENS = 16_384  # of an output, however large `decoding.max_ratio` is: each has a row [D] in the file
SPARE = 8  # rows of positions beyond those of the tokens: EOS, and what CTranslate2 rounds lengths up to on a GPU
FILES = ("weights.safetensors", "tokenizer.model", "recipe.json")  # of a version: all that a conversion is made from
RECORD = "digests.json"  # in the cache: sha256 of each file

Array = npt.NDArray[np.float32]


def unsupported_reason(recipe: Recipe) -> str | None:
    """Why CTranslate2 cannot express a recipe's network, in a few words; None where it can."""
    for side, options in (("encoder", recipe.model.encoder), ("decoder", recipe.model.decoder)):
        if not isinstance(options, BlockOptions):
            return f"CTranslate2 does not support RNN {side}s"
    return None


def longest_output(recipe: Recipe) -> int:
    """Most tokens that a conversion can write, EOS included."""
    return min(recipe.decoding.max_length(longest_source(recipe)), MOST_TOKENS)


def converted(version: Version, compute: str) -> Path:
    """Return the directory of a version's conversion in the user's cache; convert if it is missing or damaged.

    `compute`: one of `COMPUTE_TYPES`.
    Raises: UsageError where CTranslate2 cannot express the network, ArtefactError where the version is damaged,
    ResourceError where the cache cannot be written.
    """
    directory = cache_dir() / "ctranslate2" / _key(version, compute)
    if _whole(directory):
        return directory
    recipe = _expressible(version)
    try:
        _discard(directory)
        with atomic_directory(directory) as unfinished:
            _write(version, recipe, unfinished, compute)
            write_json(unfinished / RECORD, {path.name: digest_file(path) for path in unfinished.iterdir()})
    except (ResourceError, UsageError) as error:
        if not _whole(directory):  # or else another process was quicker
            hint = "S2S_CACHE names the cache's directory: it must be writable and have room"
            raise ResourceError(error.message, hint) from error
    return directory


def export(version: Version, directory: Path, compute: str) -> None:
    """Write a version's conversion and its tokenizer as a new directory, complete or not at all.

    `compute`: one of `COMPUTE_TYPES`.
    Raises: UsageError where the directory exists or CTranslate2 cannot express the network, ArtefactError where the
    version is damaged, ResourceError where the directory cannot be written.
    """
    if directory.exists() or directory.is_symlink():
        raise UsageError(f"{directory} exists", "give another name")
    recipe = _expressible(version)
    with atomic_directory(directory) as unfinished:
        _write(version, recipe, unfinished, compute)
        write_bytes(unfinished / "tokenizer.model", version.read("tokenizer.model"))


def _key(version: Version, compute: str) -> str:
    """Return a digest of everything a conversion depends on."""
    import ctranslate2

    digests = {name: version.files[name].digest for name in FILES if name in version.files}
    made = {"schema": SCHEMA, "ctranslate2": ctranslate2.__version__, "compute": compute}
    return digest_json(made | {"files": digests})


def _whole(directory: Path) -> bool:
    """Whether the files of a conversion in the cache are there, and as they were written."""
    try:
        digests = read_json(directory / RECORD)
        return (
            isinstance(digests, dict)
            and bool(digests)
            and all(digest_file(directory / name) == digests[name] for name in digests)
        )
    except S2SError:
        return False


def _discard(directory: Path) -> None:
    """Delete what is left of a damaged conversion, if anything; out of the way first, so that no half of it is read."""
    aside = directory.with_name(f".{directory.name}.{uuid4().hex}.tmp")
    with wrap_os_errors(directory, "replace"), contextlib.suppress(FileNotFoundError):
        directory.rename(aside)
        shutil.rmtree(aside, ignore_errors=True)


def _expressible(version: Version) -> Recipe:
    """Return a version's recipe. Raises UsageError if CTranslate2 does not support its model."""
    recipe = version.recipe()
    if reason := unsupported_reason(recipe):
        raise UsageError(f"CTranslate2 cannot express model {version.reference}: {reason}")
    return recipe


def _write(version: Version, recipe: Recipe, directory: Path, compute: str) -> None:
    """Convert a published version into an empty directory."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    tokenizer = Tokenizer(version.read("tokenizer.model"))
    try:
        convert(load_file(version.path("weights.safetensors")), tokenizer, recipe, directory, compute)
    except (ValueError, SafetensorError) as error:
        raise ArtefactError(f"model {version.reference}: weights and recipe do not fit together: {error}") from error


def convert(
    weights: Mapping[str, npt.NDArray[Any]], tokenizer: Tokenizer, recipe: Recipe, directory: Path, compute: str
) -> None:
    """Write the network of a recipe that is not `unsupported_reason` into an empty directory, as CTranslate2 reads it.

    `weights`: arrays by the names that `EncoderDecoder.weights` gives; `compute`: one of `COMPUTE_TYPES`.
    Raises ValueError where a weight is missing, not known or of another shape than the recipe's.
    """
    stored = WeightReader(weights)
    specification = _specification(stored, recipe, tokenizer.size)
    stored.finish()
    tokens = tokenizer.tokens(range(tokenizer.size))
    specification.register_source_vocabulary(tokens)
    specification.register_target_vocabulary(tokens)
    config = specification.config
    config.unk_token, config.bos_token, config.eos_token = (tokens[special] for special in (UNK, BOS, EOS))
    config.decoder_start_token = tokens[BOS]
    config.add_source_eos = True
    specification.validate()
    specification.optimize(COMPUTE_TYPES[compute])
    specification.save(str(directory))


class WeightReader:
    """Stored weights, each taken once."""

    def __init__(self, weights: Mapping[str, npt.NDArray[Any]]) -> None:
        self._left = dict(weights)

    def take(self, name: str, *shape: int) -> Array:
        """Take a weight as an array of its own, since CTranslate2 quantizes in place. Raises ValueError."""
        if name not in self._left:
            raise ValueError(f"{name} is missing")
        value = self._left.pop(name)
        if value.shape != shape:
            raise ValueError(f"{name} has shape {value.shape} instead of {shape}")
        return value.astype(np.float32)

    def finish(self) -> None:
        """Raise ValueError where a weight was not taken."""
        if self._left:
            raise ValueError(f"these weights are not known: {', '.join(sorted(self._left))}")


def _specification(stored: WeightReader, recipe: Recipe, vocab_size: int) -> Any:
    """Build CTranslate2's specification of the model."""
    from ctranslate2.specs.transformer_spec import TransformerDecoderSpec, TransformerEncoderSpec, TransformerSpec

    options, D = recipe.model, recipe.model.embedding_size
    encoder = cast(TransformerEncoderOptions, options.encoder)
    decoder = cast(TransformerDecoderOptions, options.decoder)
    reading = TransformerEncoderSpec(encoder.layers, **_described(encoder))
    writing = TransformerDecoderSpec(
        decoder.layers,
        **_described(decoder),
        alignment_layer=decoder.attention_layer - (decoder.attention_layer > 0),
        alignment_heads=decoder.heads,
    )
    tables = {name: stored.take(name, vocab_size, D) for name in TABLES[options.tied_embeddings]}
    output = tables["weight"]
    reading.embeddings[0].weight = tables.get("encoder.embedding.weight", output)
    writing.embeddings.weight = tables.get("decoder.embedding.weight", output)
    writing.projection.weight = output
    if options.output_bias:
        writing.projection.bias = stored.take("bias", vocab_size)
    LayerConverter("encoder", encoder, D, stored).fill(reading, longest_source(recipe) + SPARE)
    LayerConverter("decoder", decoder, D, stored).fill(writing, longest_output(recipe) + SPARE)
    return TransformerSpec(reading, writing)


def _described(options: BlockOptions) -> dict[str, Any]:
    """Translate one side's options to CTranslate2's names."""
    from ctranslate2.specs.common_spec import Activation

    described = {
        "num_heads": options.heads,
        "pre_norm": options.norm == "pre",
        "activation": Activation[ACTIVATIONS[options.activation]],
        "ffn_glu": options.activation == "swiglu",
        "rms_norm": options.norm_kind == "rms",
    }
    if options.positions == "rotary":
        described |= {"rotary_dim": 0, "rotary_interleave": True, "rotary_base": 10_000.0}
    return described


@dataclass(frozen=True, slots=True)
class LayerConverter:
    """One side of a network: fills CTranslate2's layers with what is stored under `encoder` or `decoder`."""

    name: str
    options: BlockOptions
    width: int
    stored: WeightReader

    def fill(self, spec: Any, rows: int) -> None:
        """Positions, so many rows of them, all blocks, and the norm behind the last one."""
        if self.options.positions != "rotary":
            spec.position_encodings.encodings = self._positions(rows)
        for index, block in enumerate(spec.layer):
            self._block(block, f"{self.name}.blocks.{index}")
        if self.options.norm == "pre":
            self._norm(spec.layer_norm, f"{self.name}.norm")

    def _positions(self, rows: int) -> Array:
        """Return the position embeddings [rows, D]; rows beyond a learned table repeat its last one."""
        if self.options.positions == "sinusoidal":
            return sinusoidal_rows(rows, self.width)
        table = self.stored.take(
            f"{self.name}.positional_encoding.positions.table", self.options.max_positions, self.width
        )
        return table[np.arange(rows).clip(max=len(table) - 1)]

    def _block(self, spec: Any, name: str) -> None:
        """Fill a block and all of its layers."""
        if self.name == "encoder":
            self._attention(spec.self_attention, f"{name}.attention", {"qkv_proj": 3})
        else:
            self._attention(spec.self_attention, f"{name}.self_attention", {"qkv_proj": 3})
            self._attention(spec.attention, f"{name}.cross_attention", {"q_proj": 1, "kv_proj": 2})
        self._feed_forward(spec.ffn, f"{name}.feed_forward")

    def _attention(self, spec: Any, name: str, projections: dict[str, int]) -> None:
        """`projections`: the matrices, and how many times D rows each has."""
        self._norm(spec.layer_norm, f"{name}.norm")
        for linear, (projection, count) in zip(spec.linear, [*projections.items(), ("out_proj", 1)], strict=True):
            self._linear(linear, f"{name}.{projection}", count * self.width, self.width, self.options.attention_bias)

    def _feed_forward(self, spec: Any, name: str) -> None:
        """Fill the feed-forward layer; the first rows of SwiGLU's fc1 matrix [2F, D] are the gate's."""
        D, F = self.width, self.options.ffn_size or 4 * self.width
        self._norm(spec.layer_norm, f"{name}.norm")
        if self.options.activation == "swiglu":
            both = self.stored.take(f"{name}.fc1.weight", 2 * F, D)
            spec.linear_0.weight, spec.linear_0_noact.weight = both[:F], both[F:]
            self._linear(spec.linear_1, f"{name}.fc2", D, F, bias=False)
        else:
            self._linear(spec.linear_0, f"{name}.fc1", F, D, bias=True)
            self._linear(spec.linear_1, f"{name}.fc2", D, F, bias=True)

    def _linear(self, spec: Any, name: str, outputs: int, inputs: int, bias: bool) -> None:
        spec.weight = self.stored.take(f"{name}.weight", outputs, inputs)
        if bias:
            spec.bias = self.stored.take(f"{name}.bias", outputs)

    def _norm(self, spec: Any, name: str) -> None:
        """Its ε is not stored: CTranslate2's own are ours, 1e-5 of LayerNorm and 1e-6 of RMSNorm."""
        spec.gamma = self.stored.take(f"{name}.weight", self.width)
        if self.options.norm_kind == "layer":
            spec.beta = self.stored.take(f"{name}.bias", self.width)


def sinusoidal_rows(count: int, width: int) -> Array:
    """Return sinusoidal position embeddings [count, width], sines and cosines interleaved."""
    rates = np.float32(10_000) ** (-np.arange(0, width, 2, dtype=np.float32) / np.float32(width))
    angles = np.arange(count, dtype=np.float32)[:, None] * rates
    return np.stack((np.sin(angles), np.cos(angles)), axis=-1).reshape(count, width)
