"""`s2s models load|stop|pin`: load and unload models of the server of this machine."""

from typing import TYPE_CHECKING, Annotated

import typer

from s2s.cli.console import note
from s2s.cli.options import EngineChoice, KeepAlive, ModelReference, Precision

if TYPE_CHECKING:
    from s2s.serving.client import Connection


def load(
    model: ModelReference,
    keep_alive: KeepAlive = None,
    engine: EngineChoice = "auto",
    precision: Precision = "auto",
) -> None:
    """Load a model into the server of this machine (s2s serve), before it is needed.

    Examples:
        s2s models load numbers-attention
        s2s models load numbers-attention --keep-alive forever
    """
    from s2s.decoding.config import TranslatorConfig
    from s2s.decoding.described_models import DescribedModel, combine
    from s2s.registry.store import Registry
    from s2s.report.format import format_size
    from s2s.serving.client import wanted_of

    version = Registry.default().resolve(model)
    images = version.recipe().model.of_images
    config = TranslatorConfig([version.reference], "s2s models load", engine, precision, images=images)
    wanted = wanted_of(combine([DescribedModel.of(version)], config), config).model_copy(
        update={"keep_alive": keep_alive}
    )
    with _server() as server:
        loaded = server.load(wanted).values
    note(f"loaded {version.reference}: {loaded['engine']}, {format_size(loaded['bytes'])}")


def stop(model: ModelReference) -> None:
    """Unload a model from the server of this machine, as soon as its requests are answered.

    Examples:
        s2s models stop numbers-attention
    """
    reference = _resolve(model)
    with _server() as server:
        server.ask(type="stop", model=reference)
    note(f"unloaded {reference}")


def pin(
    model: ModelReference,
    off: Annotated[bool, typer.Option("--off", help="Let it be unloaded again.")] = False,
) -> None:
    """Keep a model loaded in the server of this machine, even if nobody uses it or others need its memory.

    Examples:
        s2s models pin numbers-attention
        s2s models pin numbers-attention --off
    """
    reference = _resolve(model)
    with _server() as server:
        server.ask(type="pin", model=reference, pinned=not off)
    note(f"{reference} {'may be unloaded again' if off else 'stays loaded until s2s models stop unloads it'}")


def _resolve(model: str) -> str:
    from s2s.registry.store import Registry

    return Registry.default().resolve(model).reference


def _server() -> "Connection":
    from s2s.errors import ResourceError
    from s2s.serving.client import Connection

    connection = Connection.open()
    if connection is None:
        raise ResourceError("no server of this registry runs on this machine", "s2s serve starts one")
    return connection
