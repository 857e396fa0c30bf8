"""Fine-tuning: training that begins from a published model's tokenizer and weights."""

from safetensors.torch import load_file

from s2s.errors import ArtefactError, UsageError
from s2s.models.encoder_decoder import EncoderDecoder
from s2s.recipe.flat import flattened
from s2s.recipe.recipe import Recipe
from s2s.registry.version import Version


def inherit(recipe: Recipe, parent: Version) -> Recipe:
    """Return the recipe with the parent's tokenizer and normalization, and its model unless the recipe sets one.

    Raises: UsageError with the difference in words where the recipe asks for another tokenizer.
    """
    own = parent.recipe()
    if "tokenizer" in recipe.model_fields_set and recipe.tokenizer != own.tokenizer:
        wanted, given = (flattened(one.tokenizer.model_dump(mode="json")) for one in (recipe, own))
        apart = "; ".join(
            f"tokenizer.{key}: {given[key]} → {wanted[key]}" for key in given if given[key] != wanted[key]
        )
        raise UsageError(
            f"training from {parent.reference} keeps its vocabulary, because its weights belong to its tokens; "
            f"the recipe asks for another ({apart})",
            "leave [tokenizer] out of the recipe, or train without --from",
        )
    data = recipe.data.model_copy(update={"normalization": own.data.normalization})
    update: dict[str, object] = {"data": data, "tokenizer": own.tokenizer}
    if "model" not in recipe.model_fields_set:
        update["model"] = own.model
    return recipe.model_copy(update=update)


def load_parent(network: EncoderDecoder, parent: Version) -> None:
    """Give the network the parent's weights. Raises UsageError where it is another network, in words."""
    own = parent.recipe()
    weights = load_file(parent.path("weights.safetensors"))
    try:
        network.load_weights(weights)
    except ValueError as error:
        raise UsageError(
            f"the recipe's network is not that of {parent.reference} ({own.model.describe()}): {error}",
            "leave [model] out of the recipe: it is then the model's own",
        ) from error


def parent_of(reference: str) -> Version:
    """Return the version that training starts from. Raises ArtefactError if it is gone."""
    from s2s.registry.store import Registry

    try:
        return Registry.default().resolve(reference)
    except UsageError as error:
        raise ArtefactError(f"the model that this run began from is gone: {error.message}", error.hint) from error
