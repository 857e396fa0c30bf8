"""The key of a corpus: what it depends on."""

from typing import Any

from s2s.data.corpus import SCHEMA, SPLITS
from s2s.io.digests import digest_bytes, digest_json
from s2s.recipe.data import DataOptions
from s2s.recipe.pairs import HeldOutOptions
from s2s.recipe.tokenizer import TokenizerOptions

# Data options that name inputs, of whose contents the corpus key has digests, and those that training alone uses.
NAMES = {*SPLITS, "augmentation", "root", "images", "max_damaged", "hub", "hub_config", "generator"}
MIXING = {"temperature", "stages"}  # of a mixture, which training alone uses; and the weight of a dataset


def corpus_key(
    data: DataOptions,
    tokenizer: TokenizerOptions,
    inputs: dict[str, dict[str, str]],
    tokenizer_model: bytes | None = None,
) -> str:
    """Return the corpus key: a digest of the contents of the inputs, the options and the tokenizer."""
    contents: dict[str, Any] = {}
    for name in SPLITS:
        digests = inputs[name]
        lists = data.split(name).file_lists if isinstance(data, HeldOutOptions) else []
        ordered = [[digests[file] for file in files] for files in lists]
        others = [digest for file, digest in digests.items() if not any(file in files for files in lists)]
        contents[name] = [*ordered, others] if any(ordered) else others
    left_out = dict.fromkeys([*NAMES, *MIXING, "filter_preset", "filters"], True)
    of_datasets = dict.fromkeys([*NAMES, "weight"], True)
    options = data.model_dump(mode="json", exclude={**left_out, "datasets": {"__all__": of_datasets}})
    options["filters"] = [one.model_dump(mode="json") for one in data.all_filters()]
    tokens = tokenizer.model_dump(mode="json") if tokenizer_model is None else digest_bytes(tokenizer_model)
    return digest_json({"schema": SCHEMA, "contents": contents, "data": options, "tokenizer": tokens})
