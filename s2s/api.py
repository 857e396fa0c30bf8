"""The Python API: load a published model, train a recipe."""

from collections.abc import Sequence
from contextlib import ExitStack
from os import PathLike, fspath
from types import TracebackType
from typing import TYPE_CHECKING, Self, get_args

from s2s.decoding.config import EngineName, TranslatorConfig
from s2s.decoding.engine import Engine
from s2s.decoding.loading import load_translator, reference_translator
from s2s.decoding.translation import Translation
from s2s.decoding.translator import Translator
from s2s.devices.select import resolve_device
from s2s.errors import DataError, UsageError, did_you_mean
from s2s.recipe.load import load_recipe
from s2s.registry.store import Registry
from s2s.registry.version import Version
from s2s.report.format import counted

if TYPE_CHECKING:
    from s2s.decoding.pytorch_engine import PyTorchEngine
    from s2s.decoding.scoring import ScoredLine


class Model:
    """A published model that holds a device until it is closed or its `with` block ends."""

    def __init__(self, version: Version, translator: Translator[Engine], resources: ExitStack) -> None:
        self.version = version
        self._translator = translator
        self._resources = resources
        self._reference: Translator[PyTorchEngine] | None = None

    def translate(self, lines: Sequence[str], *, attention: bool = False) -> list[Translation]:
        """Return the best translation of each line, in order; a blank line gives an empty one.

        The sentences of a line are translated one by one if the model was trained on single sentences.

        Args:
            lines: raw text.
            attention: also return attention, which a notebook shows as a heat map; lines are translated whole.

        Raises:
            UsageError: the model captions images, or `attention` is set, but the model has none; `lines` is one text.
        """
        settings = self._translator.settings
        settings.require_task(images=False)
        _require_list("lines", lines)
        if attention:
            settings.require_attention()
        split = self._translator.single_sentences and not attention
        return self._translator.translate(lines, need_attention=attention, split=split)

    def caption(self, images: Sequence[str | PathLike[str]], *, attention: bool = False) -> list[Translation]:
        """Return the best caption of each image file, in order.

        Args:
            images: paths of image files, or of files of features.
            attention: also return attention over the grid of each image.

        Raises:
            UsageError: the model translates text, or `attention` is set, but the model has none; `images` is one path;
                a file does not exist.
            DataError: a file is not an image.
        """
        from s2s.data.image_inputs import read_input

        settings = self._translator.settings
        settings.require_task(images=True)
        _require_list("images", images)
        if attention:
            settings.require_attention()
        assert settings.image_size is not None
        sources = [read_input(fspath(image), settings.image_size) for image in images]
        return self._translator.translate(sources, need_attention=attention)

    def score(self, sources: Sequence[str], targets: Sequence[str]) -> "list[ScoredLine]":
        """Return the log-probability of each target given its source, token by token, computed in fp32 by PyTorch.

        Raises:
            UsageError: the model captions images; `sources` or `targets` is one text.
            DataError: there are more sources than targets, or fewer.
        """
        from s2s.decoding.scoring import score_lines

        self._translator.settings.require_task(images=False)
        _require_list("sources", sources)
        _require_list("targets", targets)
        if len(sources) != len(targets):
            raise DataError(f"{counted(len(sources), 'source')}, but {counted(len(targets), 'target')}")
        if self._reference is None:
            self._reference = reference_translator(self.version, resolve_device(str(self._translator.engine.device)))
        return score_lines(self._reference, sources, targets)

    def close(self) -> None:
        """Release the device."""
        self._resources.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _require_list(name: str, values: object) -> None:
    """Raise UsageError if `values` is one text or path, which would be taken for a list of characters."""
    if isinstance(values, str | PathLike):
        raise UsageError(f"{name}: expected a list, not {values!r} alone", f"pass [{values!r}]")


def load(
    model: str, *, engine: EngineName = "auto", precision: str = "auto", device: str = "auto", wait: float = 0.0
) -> Model:
    """Load a published model.

    Args:
        model: `name` (its newest version), `name:3` or `name@alias`.
        engine: auto (CTranslate2 if it supports the model, else PyTorch), pytorch or ctranslate2.
        precision: auto, fp32, bf16, on GPUs tf32, or with CTranslate2 also int8 and fp16.
        device: auto, cpu, cuda or cuda:N.
        wait: seconds to wait for a busy device; math.inf waits forever.

    Raises:
        UsageError: the model or engine does not exist, or the model does not support the engine or precision.
        ResourceError: the device is busy or missing.
    """
    if engine not in (known := get_args(EngineName)):
        raise UsageError(f"engine {engine}: expected one of {', '.join(known)}", did_you_mean(engine, list(known)))
    version = Registry.default().resolve(model)
    images = version.card.of_images
    config = TranslatorConfig([version.reference], "s2s.load", engine, precision, device, wait, images=images)
    with ExitStack() as resources:
        return Model(version, resources.enter_context(load_translator(config)), resources.pop_all())


def train(
    recipe: str | PathLike[str],
    *,
    overrides: Sequence[str] = (),
    device: str = "auto",
    wait: float = 0.0,
    fresh: bool = False,
) -> Version:
    """Train a recipe and return the published version; if it exists already, return it without training.

    Args:
        recipe: a file, or the name of a built-in recipe.
        overrides: recipe keys to override, such as `"training.lr=1e-3"`.
        device: auto, cpu, cuda or cuda:N.
        wait: seconds to wait for a busy device; math.inf waits forever.
        fresh: train even if the recipe has been trained before.

    Raises:
        UsageError: the recipe is invalid.
        ResourceError: the device is busy, or an unfinished run of this recipe exists.
    """
    from s2s.training.runs.lifecycle import train as run

    return run(load_recipe(fspath(recipe), overrides), device=device, wait=wait, fresh=fresh)
