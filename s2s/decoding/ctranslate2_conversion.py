"""Convert published Transformers to CTranslate2, directly from the stored weights.

D embedding size, F feed-forward size, V vocabulary size, P positions. CTranslate2's model specifications import torch,
so they are imported only inside the functions that convert.
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

from s2s.decoding.settings import max_source_length
from s2s.errors import ArtefactError, ResourceError, S2SError, UsageError, wrap_os_errors
from s2s.io.atomic import atomic_directory, mark_as_cache, write_bytes, write_json
from s2s.io.digests import digest_file, digest_json
from s2s.io.json_values import read_json
from s2s.io.paths import cache_dir
from s2s.recipe.recipe import Recipe
from s2s.recipe.sides import BlockOptions, TransformerDecoderOptions, TransformerEncoderOptions
from s2s.registry.version import Version
from s2s.text.tokenizer import BOS, EOS, UNK, Tokenizer

SCHEMA = 1  # raised when the same version would be converted differently
COMPUTE_TYPES = {
    "fp32": "float32",
    "int8": "int8",
    "int8_bf16": "int8_bfloat16",
    "bf16": "bfloat16",
    "int8_fp16": "int8_float16",
    "fp16": "float16",
}
ACTIVATIONS = {"relu": "RELU", "gelu": "GELU", "swiglu": "SWISH"}  # in CTranslate2
EMBEDDINGS = {  # stored embeddings for each choice of `tied_embeddings`; the output projection's is always `weight`
    "all": ("weight",),
    "target": ("weight", "encoder.embedding.weight"),
    "none": ("weight", "encoder.embedding.weight", "decoder.embedding.weight"),
}
MAX_OUTPUT_TOKENS = 16_384  # bounds the position table, however large `decoding.max_ratio` is
EXTRA_POSITIONS = 8  # beyond the longest sequence, for EOS and for lengths that CTranslate2 rounds up on a GPU
FILES = ("weights.safetensors", "tokenizer.model", "recipe.json")  # of a version, which determine its conversion
DIGESTS = "digests.json"  # in the cache: sha256 of each file of a conversion

Array = npt.NDArray[np.float32]


def unsupported_network(recipe: Recipe) -> str | None:
    """Return why CTranslate2 does not support a recipe's network, or None if it does."""
    if recipe.model.architecture == "decoder_only":
        return "the CTranslate2 engine does not support decoder-only models"
    for side, options in recipe.model.sides.items():
        if not isinstance(options, BlockOptions):
            return f"CTranslate2 does not support {options.family.upper()} {side}s"
        if getattr(options, "convolution", 0):
            return "CTranslate2 does not support convolutions"
    return None


def max_output_length(recipe: Recipe) -> int:
    """Return the maximum output length of a conversion in tokens, EOS included."""
    return min(recipe.decoding.max_length(max_source_length(recipe)), MAX_OUTPUT_TOKENS)


def cached_conversion(version: Version, compute: str) -> Path:
    """Return the directory of a version's conversion in the user's cache; convert if it is missing or damaged.

    `compute`: one of `COMPUTE_TYPES`.
    Raises: UsageError if CTranslate2 does not support the network, ArtefactError if the version is damaged,
    ResourceError if the cache cannot be written.
    """
    directory = cache_dir() / "ctranslate2" / _key(version, compute)
    if _is_intact(directory):
        return directory
    recipe = _supported_recipe(version)
    try:
        _discard(directory)
        mark_as_cache(cache_dir())
        with atomic_directory(directory) as unfinished:
            _write(version, recipe, unfinished, compute)
            write_json(unfinished / DIGESTS, {path.name: digest_file(path) for path in unfinished.iterdir()})
    except (ResourceError, UsageError) as error:
        if not _is_intact(directory):  # otherwise another process has just converted it
            hint = "set S2S_CACHE to a writable directory with enough space"
            raise ResourceError(error.message, hint) from error
    return directory


def export(version: Version, directory: Path, compute: str) -> None:
    """Write a version's conversion and its tokenizer to a new directory, complete or not at all.

    `compute`: one of `COMPUTE_TYPES`.
    Raises: UsageError if the directory exists or CTranslate2 does not support the network, ArtefactError if the version
    is damaged, ResourceError if the directory cannot be written.
    """
    if directory.exists() or directory.is_symlink():
        raise UsageError(f"{directory} exists", "give another name")
    recipe = _supported_recipe(version)
    with atomic_directory(directory) as unfinished:
        _write(version, recipe, unfinished, compute)
        write_bytes(unfinished / "tokenizer.model", version.read("tokenizer.model"))


def _key(version: Version, compute: str) -> str:
    """Return a digest of everything a conversion depends on."""
    import ctranslate2

    digests = {name: version.files[name].digest for name in FILES if name in version.files}
    settings = {"schema": SCHEMA, "ctranslate2": ctranslate2.__version__, "compute": compute}
    return digest_json(settings | {"files": digests})


def _is_intact(directory: Path) -> bool:
    """Return whether the cache holds a conversion with unchanged files."""
    try:
        digests = read_json(directory / DIGESTS)
        return (
            isinstance(digests, dict)
            and bool(digests)
            and all(digest_file(directory / name) == digests[name] for name in digests)
        )
    except S2SError:
        return False


def _discard(directory: Path) -> None:
    """Delete a damaged conversion if it exists; move it away first, so that nobody reads half of it."""
    trash = directory.with_name(f".{directory.name}.{uuid4().hex}.tmp")
    with wrap_os_errors(directory, "replace"), contextlib.suppress(FileNotFoundError):
        directory.rename(trash)
        shutil.rmtree(trash, ignore_errors=True)


def _supported_recipe(version: Version) -> Recipe:
    """Return a version's recipe. Raises UsageError if CTranslate2 does not support its model."""
    recipe = version.recipe()
    if reason := unsupported_network(recipe):
        raise UsageError(f"cannot convert model {version.reference}: {reason}")
    return recipe


def _write(version: Version, recipe: Recipe, directory: Path, compute: str) -> None:
    """Convert a published version into an empty directory."""
    tokenizer, weights = Tokenizer(version.read("tokenizer.model")), version.weights()
    try:
        convert({name: value.numpy() for name, value in weights.items()}, tokenizer, recipe, directory, compute)
    except ValueError as error:
        raise ArtefactError(f"model {version.reference}: weights and recipe do not fit together: {error}") from error


def convert(
    weights: Mapping[str, npt.NDArray[Any]], tokenizer: Tokenizer, recipe: Recipe, directory: Path, compute: str
) -> None:
    """Convert a supported network into an empty directory.

    `weights`: arrays by their names in `Network.weights`; `compute`: one of `COMPUTE_TYPES`.
    Raises: ValueError if a weight is missing or unknown, or its shape does not match the recipe.
    """
    reader = WeightReader(weights)
    specification = _specification(reader, recipe, tokenizer.size)
    reader.check_all_read()
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
    """Reads each stored weight once."""

    def __init__(self, weights: Mapping[str, npt.NDArray[Any]]) -> None:
        self._unread = dict(weights)

    def read(self, name: str, *shape: int) -> Array:
        """Return a copy of a weight, since CTranslate2 quantizes in place. Raises ValueError."""
        if name not in self._unread:
            raise ValueError(f"{name} is missing")
        value = self._unread.pop(name)
        if value.shape != shape:
            raise ValueError(f"{name} has shape {value.shape} instead of {shape}")
        return value.astype(np.float32)

    def check_all_read(self) -> None:
        """Raise ValueError if a weight has not been read."""
        if self._unread:
            raise ValueError(f"unknown weights: {', '.join(sorted(self._unread))}")


def _specification(reader: WeightReader, recipe: Recipe, vocab_size: int) -> Any:
    """Build CTranslate2's specification of the model."""
    from ctranslate2.specs.transformer_spec import TransformerDecoderSpec, TransformerEncoderSpec, TransformerSpec

    options, D = recipe.model, recipe.model.embedding_size
    encoder = cast(TransformerEncoderOptions, options.encoder)
    decoder = cast(TransformerDecoderOptions, options.decoder)
    encoder_spec = TransformerEncoderSpec(encoder.layers, **_spec_options(encoder))
    decoder_spec = TransformerDecoderSpec(
        decoder.layers,
        **_spec_options(decoder),
        alignment_layer=decoder.attention_layer - (decoder.attention_layer > 0),
        alignment_heads=decoder.heads,
    )
    embeddings = {name: reader.read(name, vocab_size, D) for name in EMBEDDINGS[options.tied_embeddings]}
    output = embeddings["weight"]
    encoder_spec.embeddings[0].weight = embeddings.get("encoder.embedding.weight", output)
    decoder_spec.embeddings.weight = embeddings.get("decoder.embedding.weight", output)
    decoder_spec.projection.weight = output
    if options.output_bias:
        decoder_spec.projection.bias = reader.read("bias", vocab_size)
    LayerConverter("encoder", encoder, D, reader).fill(encoder_spec, max_source_length(recipe) + EXTRA_POSITIONS)
    LayerConverter("decoder", decoder, D, reader).fill(decoder_spec, max_output_length(recipe) + EXTRA_POSITIONS)
    return TransformerSpec(encoder_spec, decoder_spec)


def _spec_options(options: BlockOptions) -> dict[str, Any]:
    """Translate the options of an encoder or decoder to CTranslate2's names."""
    from ctranslate2.specs.common_spec import Activation

    spec_options = {
        "num_heads": options.heads,
        "pre_norm": options.norm == "pre",
        "activation": Activation[ACTIVATIONS[options.activation]],
        "ffn_glu": options.activation == "swiglu",
        "rms_norm": options.norm_kind == "rms",
    }
    if options.positions == "rotary":
        spec_options |= {"rotary_dim": 0, "rotary_interleave": True, "rotary_base": 10_000.0}
    return spec_options


@dataclass(frozen=True, slots=True)
class LayerConverter:
    """Fills CTranslate2's specification of an encoder or decoder with stored weights."""

    name: str  # prefix of the weights' names: `encoder` or `decoder`
    options: BlockOptions
    embedding_size: int  # D
    reader: WeightReader

    def fill(self, spec: Any, positions: int) -> None:
        """Fill the position table with that many rows, all blocks and the final norm."""
        if self.options.positions != "rotary":
            spec.position_encodings.encodings = self._position_table(positions)
        for index, block in enumerate(spec.layer):
            self._block(block, f"{self.name}.blocks.{index}")
        if self.options.norm == "pre":
            self._norm(spec.layer_norm, f"{self.name}.norm")

    def _position_table(self, positions: int) -> Array:
        """Return the position embeddings [P, D]; rows beyond a learned table repeat its last one."""
        if self.options.positions == "sinusoidal":
            return sinusoidal_rows(positions, self.embedding_size)
        table = self.reader.read(
            f"{self.name}.positional_encoding.positions.table", self.options.max_positions, self.embedding_size
        )
        return table[np.arange(positions).clip(max=len(table) - 1)]

    def _block(self, spec: Any, name: str) -> None:
        """Fill the layers of a block."""
        if self.name == "encoder":
            self._attention(spec.self_attention, f"{name}.attention", {"qkv_proj": 3})
        else:
            self._attention(spec.self_attention, f"{name}.self_attention", {"qkv_proj": 3})
            self._attention(spec.attention, f"{name}.cross_attention", {"q_proj": 1, "kv_proj": 2})
        self._feed_forward(spec.ffn, f"{name}.feed_forward")

    def _attention(self, spec: Any, name: str, projections: dict[str, int]) -> None:
        """Fill an attention layer; `projections` maps each input projection to its number of D-row matrices."""
        D = self.embedding_size
        self._norm(spec.layer_norm, f"{name}.norm")
        for linear, (projection, count) in zip(spec.linear, [*projections.items(), ("out_proj", 1)], strict=True):
            self._linear(linear, f"{name}.{projection}", count * D, D, self.options.attention_bias)

    def _feed_forward(self, spec: Any, name: str) -> None:
        """Fill the feed-forward layer; the first F rows of SwiGLU's fc1 matrix [2F, D] are the gate's."""
        D, F = self.embedding_size, self.options.ffn_size or 4 * self.embedding_size
        self._norm(spec.layer_norm, f"{name}.norm")
        if self.options.activation == "swiglu":
            fc1 = self.reader.read(f"{name}.fc1.weight", 2 * F, D)
            spec.linear_0.weight, spec.linear_0_noact.weight = fc1[:F], fc1[F:]
            self._linear(spec.linear_1, f"{name}.fc2", D, F, bias=False)
        else:
            self._linear(spec.linear_0, f"{name}.fc1", F, D, bias=True)
            self._linear(spec.linear_1, f"{name}.fc2", D, F, bias=True)

    def _linear(self, spec: Any, name: str, outputs: int, inputs: int, bias: bool) -> None:
        spec.weight = self.reader.read(f"{name}.weight", outputs, inputs)
        if bias:
            spec.bias = self.reader.read(f"{name}.bias", outputs)

    def _norm(self, spec: Any, name: str) -> None:
        """Fill a norm; ε is not stored, as CTranslate2 uses the same: 1e-5 in LayerNorm, 1e-6 in RMSNorm."""
        spec.gamma = self.reader.read(f"{name}.weight", self.embedding_size)
        if self.options.norm_kind == "layer":
            spec.beta = self.reader.read(f"{name}.bias", self.embedding_size)


def sinusoidal_rows(positions: int, embedding_size: int) -> Array:
    """Return sinusoidal position embeddings [P, D], sines and cosines interleaved."""
    rates = np.float32(10_000) ** (-np.arange(0, embedding_size, 2, dtype=np.float32) / np.float32(embedding_size))
    angles = np.arange(positions, dtype=np.float32)[:, None] * rates
    return np.stack((np.sin(angles), np.cos(angles)), axis=-1).reshape(positions, embedding_size)
