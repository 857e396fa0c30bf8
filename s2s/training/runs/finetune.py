"""Fine-tuning: start training from the tokenizer and weights of a published model."""

from s2s.errors import ArtefactError, UsageError
from s2s.models.network import Network
from s2s.models.weights import read_weights
from s2s.recipe.flat import flattened
from s2s.recipe.recipe import Recipe
from s2s.registry.version import Version


def inherit_from(recipe: Recipe, parent: Version) -> Recipe:
    """Return the recipe with the parent's tokenizer and normalization, and its model unless the recipe sets one.

    Raises: UsageError if the recipe sets another tokenizer; the message lists the differences.
    """
    own = parent.recipe()
    if "tokenizer" in recipe.model_fields_set and recipe.tokenizer != own.tokenizer:
        wanted, inherited = (flattened(one.tokenizer.model_dump(mode="json")) for one in (recipe, own))
        differences = "; ".join(
            f"tokenizer.{key}: {inherited[key]} → {wanted[key]}" for key in inherited if inherited[key] != wanted[key]
        )
        raise UsageError(
            f"training from {parent.reference} keeps its vocabulary, because its weights belong to its tokens; "
            f"the recipe sets another ({differences})",
            "leave [tokenizer] out of the recipe, or train without --from",
        )
    data = recipe.data.model_copy(update={"normalization": own.data.normalization})
    update: dict[str, object] = {"data": data, "tokenizer": own.tokenizer}
    if "model" not in recipe.model_fields_set:
        update["model"] = own.model
    return recipe.model_copy(update=update)


def load_parent(network: Network, parent: Version) -> None:
    """Load the parent's weights into the network. Raises UsageError if it is another network."""
    own = parent.recipe()
    path = parent.path("weights.safetensors")
    try:
        network.load_weights(read_weights(path, network, f"model {parent.reference}"))
    except ValueError as error:
        raise UsageError(
            f"the recipe's network is not that of {parent.reference} ({own.model.describe()}): {error}",
            "leave [model] out of the recipe to use the model's",
        ) from error


def find_parent(reference: str) -> Version:
    """Return the version that a run fine-tunes. Raises ArtefactError if it was removed."""
    from s2s.registry.store import Registry

    try:
        return Registry.default().resolve(reference)
    except UsageError as error:
        raise ArtefactError(f"the parent model of this run is missing: {error.message}", error.hint) from error
