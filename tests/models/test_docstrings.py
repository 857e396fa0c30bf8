"""Shapes in docstrings, checked against the tensors that pass through the functions in traced runs."""

import functools
import importlib
import inspect
import itertools
import pkgutil
import re
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest
import torch
from networks import pairs
from torch import Tensor, nn

import s2s.models
from s2s.models.build import build_model
from s2s.models.cells import Cell
from s2s.models.encoder_decoder import EncoderDecoder
from s2s.models.interface import MemorySpec, TokenInput
from s2s.models.rnn_encoder import RnnLayer
from s2s.recipe.model import ModelOptions

B, K, S, T, V, E, STEPS = 3, 2, 5, 7, 17, 48, 8
HEADS, ENCODER, DECODER, A, F = 4, 11, 9, 10, 19
LENGTHS = torch.tensor([5, 2, 4])

RNN_ENCODER = {"family": "rnn", "hidden_size": ENCODER, "layers": 2}
BLOCKS = {"family": "transformer", "layers": 2, "heads": HEADS, "ffn_size": F}
RNN_DECODER = {"family": "rnn", "hidden_size": DECODER, "layers": 2, "context": "attention", "attention_size": A}
MODELS: dict[str, tuple[dict[str, Any] | None, dict[str, Any]]] = {
    "fixed": (RNN_ENCODER, {**RNN_DECODER, "context": "fixed", "attention_size": None}),
    "previous": (RNN_ENCODER, RNN_DECODER),
    "previous scaled_dot": ({**RNN_ENCODER, "cell": "lstm"}, {**RNN_DECODER, "cell": "rnn", "score": "scaled_dot"}),
    "current": (RNN_ENCODER, {**RNN_DECODER, "cell": "lstm", "query": "current"}),
    "general": (RNN_ENCODER, {**RNN_DECODER, "score": "general", "attention_size": None}),
    "dot": (RNN_ENCODER, {**RNN_DECODER, "hidden_size": 2 * ENCODER, "score": "dot", "attention_size": None}),
    "transformer": (BLOCKS, {**BLOCKS, "attention_dropout": 0.1}),
    "rotary": ({**BLOCKS, "positions": "rotary"}, {**BLOCKS, "positions": "rotary"}),
    "learned": ({**BLOCKS, "positions": "learned"}, {**BLOCKS, "positions": "learned"}),
    "decoder only": (None, {**BLOCKS, "positions": "learned"}),
    "rotary decoder only": (None, {**BLOCKS, "positions": "rotary"}),
}
SHAPE = re.compile(r"\[((?:\.\.\.|[A-Zd0-9×+/' ,]|max_steps)+)\]")


def sizes(model: nn.Module, module: str) -> dict[str, set[int]]:
    """Return the possible sizes of each letter in a module of s2s.models."""
    spec = model.encoder.spec if isinstance(model, EncoderDecoder) else MemorySpec(states=E, summary=0)
    cells = [part.kind for part in model.modules() if isinstance(part, (Cell, RnnLayer))]
    decoder = next((part.hidden_size for part in model.modules() if isinstance(part, Cell)), E)
    hidden = {"rnn_encoder": {ENCODER}, "transformer": {E}, "blocks": {E}, "positions": {E}}.get(module, {decoder})
    letters = {"B": {B}, "K": {1, K}, "S": {S}, "T": {T}, "V": {V}, "E": {E}, "H": hidden, "N": {HEADS}, "L": {2}}
    letters |= {"D": {spec.states}, "M": {spec.summary}, "A": {A}, "F": {F}, "R": {1, 2}, "d": {E // HEADS}}
    letters |= {"G": {cell.gates for cell in cells}, "P": {cell.parts for cell in cells}, "max_steps": {STEPS}}
    if module in ("recurrence", "blocks", "positions"):  # positions of a source, of a target, or of one step
        letters |= {"B": {B, B * K}, "S": {S, T, S + T}, "T": {S, T, 1, K, STEPS}}
    if module == "transformer":  # positions of a source, of a target or of both
        letters |= {"T": {S, T}, "S": {S, S + T}}
    if module == "decoder_only":
        letters |= {"T": {S, T}, "P": {1, 2}}
    if module in ("cells", "recurrence"):
        letters["H"] = {ENCODER, decoder}
    return letters


def values(term: str, letters: dict[str, set[int]]) -> set[int]:
    """Return the possible values of a term such as `G × H`, `2H`, `d / 2` or `A + 3H`."""
    names = re.findall(r"max_steps|[A-Z]'|[A-Zd]", term)
    python = re.sub(r"max_steps|[A-Z]'|[A-Zd]", "{}", re.sub(r"(\d)([A-Z])", r"\1*\2", term))
    python = python.replace("×", "*").replace("/", "//")
    return {eval(python.format(*chosen)) for chosen in itertools.product(*(letters[name] for name in names))}


def fits(shape: tuple[int, ...], documented: str, letters: dict[str, set[int]]) -> bool:
    """Return whether a shape is an instance of a documented one."""
    terms = [term.strip() for term in documented.split(",")]
    if "..." in terms:
        at = terms.index("...")
        extra = len(shape) - len(terms) + 1
        if extra < 0:
            return False
        shape = shape[:at] + shape[at + extra :]
        terms.remove("...")
    return len(shape) == len(terms) and all(
        size in values(term, letters) for size, term in zip(shape, terms, strict=True)
    )


def tensors(value: Any) -> Iterator[Tensor]:
    """Yield the tensors of an argument or result; structures that document their own fields are left out."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, (tuple, list)):
        for part in value:
            yield from tensors(part)


def modules() -> list[ModuleType]:
    return [importlib.import_module(info.name) for info in pkgutil.iter_modules(s2s.models.__path__, "s2s.models.")]


def documented(value: Any) -> bool:
    """Return whether a value is a public function whose docstring states shapes."""
    return inspect.isfunction(value) and not value.__name__.startswith("_") and bool(SHAPE.search(value.__doc__ or ""))


class Tracer:
    """Wraps the functions and methods of s2s.models, and records calls whose tensors have no documented shape."""

    def __init__(self) -> None:
        self.model: nn.Module | None = None
        self.called: set[str] = set()
        self.wrong: set[str] = set()

    def wrap(self, function: Callable[..., Any]) -> Callable[..., Any]:
        shapes = SHAPE.findall(inspect.getdoc(function) or "")
        name = f"{function.__module__.rpartition('.')[2]}: {function.__qualname__}"

        @functools.wraps(function)
        def traced(*args: Any, **kwargs: Any) -> Any:
            result = function(*args, **kwargs)
            if self.model is not None and not isinstance(args[0], (nn.Linear, nn.Embedding)):
                self.called.add(name)
                letters = sizes(self.model, name.partition(":")[0])
                for tensor in tensors((args, tuple(kwargs.values()), result)):
                    shape = tuple(tensor.shape)
                    if not any(fits(shape, text, letters) for text in shapes):
                        self.wrong.add(f"{name}: {list(shape)} is none of {shapes}")
            return result

        return traced


@pytest.fixture
def tracer(monkeypatch: pytest.MonkeyPatch) -> Tracer:
    tracer = Tracer()
    for module in modules():
        for name, value in list(vars(module).items()):
            if documented(value) and value.__module__ == module.__name__:
                wrapped = tracer.wrap(value)
                for other in modules():
                    if vars(other).get(name) is value:
                        monkeypatch.setattr(other, name, wrapped)
            elif inspect.isclass(value) and value.__module__ == module.__name__ and issubclass(value, nn.Module):
                for method in list(vars(value)):
                    function = vars(value).get(method)
                    if documented(function):
                        monkeypatch.setattr(value, method, tracer.wrap(function))
    return tracer


def run(model: Any) -> None:
    """Train on a batch and decode two steps."""
    ids, targets = torch.randint(4, V, (B, S)), torch.randint(4, V, (B, T))
    source = TokenInput(ids, LENGTHS)
    sums = model(pairs(source, targets, targets))
    sums.loss.backward()
    model.eval()
    with torch.no_grad():
        model.decoder(model.encode(source), targets, need_attention=True)
        state = model.start(source, max_steps=STEPS)
        _, state = model.step(torch.full((B, 1), 5), state, need_attention=True)
        state = state.select(None, torch.zeros(B, K, dtype=torch.long))
        model.step(torch.full((B, K), 5), state, need_attention=True)


def test_shapes_match_traced_runs(tracer: Tracer) -> None:
    for encoder, decoder in MODELS.values():
        sides = {"encoder": encoder} if encoder else {"architecture": "decoder_only"}
        model = build_model(ModelOptions(**sides, embedding_size=E, decoder=decoder, dropout=0.1), V)
        tracer.model = model
        run(model)
        tracer.model = None
    assert not tracer.wrong, "\n".join(sorted(tracer.wrong))
    assert len(tracer.called) > 50


def documented_methods() -> Iterator[tuple[str, str | None]]:
    for module in modules():
        for kind in vars(module).values():
            if not inspect.isclass(kind) or kind.__module__ != module.__name__ or kind.__name__.startswith("_"):
                continue
            for name in ("forward", "step"):
                if name in vars(kind):
                    yield f"{kind.__qualname__}.{name}", inspect.unwrap(getattr(kind, name)).__doc__


@pytest.mark.parametrize(("name", "doc"), list(documented_methods()))
def test_forward_and_step_state_shapes(name: str, doc: str | None) -> None:
    assert SHAPE.search(doc or ""), f"{name} states no shape"
