"""The models of a scaling measurement: which sizes are trained, and at which learning rates."""

from collections.abc import Sequence
from dataclasses import dataclass

from s2s.errors import UsageError
from s2s.models.profile import meta_model, parts, training_cost, training_shape
from s2s.recipe.kinds import GeneratorOptions
from s2s.recipe.load import load_recipe
from s2s.recipe.recipe import Recipe

RECIPE = "scaling/grammar"


@dataclass(frozen=True, slots=True)
class LadderModel:
    """The sizes of a model, and how its learning rate differs from the rule lr ∝ 1 / width."""

    width: int  # embedding_size
    encoder_layers: int  # 0: decoder-only
    decoder_layers: int
    ffn_size: int | None = None  # of decoder-only models; others have 4 × width
    lr_factor: float = 1.0

    @property
    def name(self) -> str:
        """Name of the model: `scaling-64-2-2`, or `scaling-decoder-only-96-3`."""
        kind = f"{self.width}-{self.encoder_layers}" if self.encoder_layers else f"decoder-only-{self.width}"
        factor = "" if self.lr_factor == 1 else f"-lr-{self.lr_factor:g}"
        return f"scaling-{kind}-{self.decoder_layers}{factor}"

    def recipe(self, overrides: Sequence[str]) -> Recipe:
        """Return the model's recipe; `training.lr` is that of the narrowest model before it is scaled.

        Raises: UsageError if the overrides leave the grammar task, or change a size.
        """
        base = load_recipe(RECIPE, overrides)
        grammar_of(base)
        sizes = [
            f'name="{self.name}"',
            f"model.embedding_size={self.width}",
            f"model.decoder.layers={self.decoder_layers}",
            f"training.lr={base.training.lr * self.lr_factor * base.model.embedding_size / self.width}",
        ]
        if self.encoder_layers:
            sizes.append(f"model.encoder.layers={self.encoder_layers}")
        else:
            sizes += ['model.architecture="decoder_only"', f"model.decoder.ffn_size={self.ffn_size}"]
        return load_recipe(RECIPE, [*overrides, *sizes])


@dataclass(frozen=True, slots=True)
class Ladder:
    """All models of a measurement."""

    models: Sequence[LadderModel]  # that the law is fitted to
    decoder_only: Sequence[tuple[LadderModel, LadderModel]]  # each after the one of the ladder with equal FLOPs
    lr_checks: Sequence[LadderModel]  # models of the ladder at other learning rates
    large: LadderModel  # whose loss is predicted

    def all(self) -> list[LadderModel]:
        """Return the models to train before the large one."""
        return [*self.models, *(other for _, other in self.decoder_only), *self.lr_checks]


LADDER = Ladder(
    models=[
        LadderModel(32, 2, 2),
        LadderModel(48, 2, 2),
        LadderModel(64, 2, 2),
        LadderModel(64, 1, 3),
        LadderModel(64, 4, 1),
        LadderModel(96, 2, 2),
        LadderModel(96, 1, 3),
        LadderModel(96, 4, 1),
        LadderModel(128, 3, 1),
        LadderModel(128, 2, 2),
        LadderModel(128, 1, 3),
    ],
    decoder_only=[
        (LadderModel(48, 2, 2), LadderModel(48, 0, 3, ffn_size=144)),
        (LadderModel(96, 2, 2), LadderModel(96, 0, 3, ffn_size=304)),
        (LadderModel(128, 2, 2), LadderModel(128, 0, 3, ffn_size=408)),
    ],
    lr_checks=[LadderModel(width, 2, 2, lr_factor=factor) for width in (48, 96) for factor in (0.5, 2)],
    large=LadderModel(192, 2, 2),
)


def grammar_of(recipe: Recipe) -> GeneratorOptions:
    """Return the options of the grammar task. Raises UsageError if the recipe has other data."""
    data = recipe.data
    if data.kind != "generator" or data.generator.name != "grammar":
        raise UsageError("scaling is measured on the grammar task alone", "leave data.kind and data.generator.name out")
    return data.generator


def sizes(recipe: Recipe) -> tuple[int, int, float]:
    """Return the parameters of encoder and decoder without embeddings, and the training FLOPs per target token."""
    network, shape = meta_model(recipe), training_shape(recipe)
    counts = {part.name: part.parameters for part in parts(network)}
    flops = training_cost(network, shape, "fp32").flops / (shape.sentences * shape.positions)
    return counts.get("encoder", 0), counts["decoder"], flops
