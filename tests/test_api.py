"""The Python API as a notebook uses it."""

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import s2s
from s2s.decoding.loading import reference_translator
from s2s.decoding.pytorch_engine import PyTorchEngine
from s2s.decoding.translator import Translator
from s2s.errors import DataError, UsageError
from s2s.recipe.image_size import ImageSize
from s2s.registry.version import Version

README = Path(__file__).parents[1] / "README.md"


def test_all_names_exist() -> None:
    assert {name for name in s2s.__all__ if not hasattr(s2s, name)} == set()
    assert set(s2s.__all__) <= set(dir(s2s))
    with pytest.raises(AttributeError, match="nothing"):
        _ = s2s.nothing


def test_import_is_light() -> None:
    code = "import sys, s2s; print(sorted({'torch', 'pydantic', 'rich', 'numpy'} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"


def test_translate_and_score(trained_home: Path) -> None:
    with s2s.load("numbers-attention", device="cpu") as model:
        first, blank = model.translate(["zwei", ""], attention=True)
        (scored,) = model.score(["zwei"], [first.text])
    assert len(first.attention) == len(first.tokens)
    assert (blank.text, blank.tokens) == ("", ())
    assert scored.log_probability < 0


def test_scoring_loads_the_network_once(trained_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    devices = []

    def counted(version: Version, device: torch.device) -> Translator[PyTorchEngine]:
        devices.append(str(device))
        return reference_translator(version, device)

    monkeypatch.setattr("s2s.api.reference_translator", counted)
    with s2s.load("numbers-attention") as model:
        first, second = model.score(["zwei"], ["two"]), model.score(["zwei"], ["two"])
    assert first == second
    assert devices == ["cpu"]


def test_notebook_representation(trained_home: Path) -> None:
    with s2s.load("numbers-attention", device="cpu") as model:
        (plain,), (shown,) = model.translate(["<b>"]), model.translate(["zwei"], attention=True)
    assert "<svg" not in plain._repr_html_()
    assert "<svg" in shown._repr_html_()


def test_missing_attention_is_refused(trained_home: Path) -> None:
    with s2s.load("numbers-bottleneck", device="cpu") as model, pytest.raises(UsageError, match="attention"):
        model.translate(["zwei"], attention=True)


def test_wrong_arguments_are_refused(trained_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="engine pytorhc: expected one of auto, pytorch, ctranslate2"):
        s2s.load("numbers-attention", engine="pytorhc")  # type: ignore[arg-type]
    with s2s.load("numbers-attention", device="cpu") as model:
        for call in (model.translate, lambda text: model.score(text, ["two"]), lambda text: model.score(["two"], text)):
            with pytest.raises(UsageError, match="expected a list, not 'zwei' alone"):
                call("zwei")
        with pytest.raises(DataError, match="2 sources, but 1 target"):
            model.score(["zwei", "drei"], ["two"])
        captioner = replace(model._translator.settings, image_size=ImageSize(9, 11))
        monkeypatch.setattr(model._translator, "settings", captioner)
        with pytest.raises(UsageError, match="captions images"):
            model.score(["zwei"], ["two"])
        with pytest.raises(UsageError, match=r"expected a list, not PosixPath\('a.png'\) alone"):
            model.caption(Path("a.png"))  # type: ignore[arg-type]


def test_close_releases_the_device(trained_home: Path) -> None:
    from s2s.devices.leases import holders

    model = s2s.load("numbers-bottleneck", device="cpu")
    assert len(holders()) == 1
    model.close()
    assert holders() == []


def test_train_returns_the_published_version(trained_home: Path, tiny: list[str]) -> None:
    assert s2s.train("numbers/attention", overrides=tiny, device="cpu").reference == "numbers-attention:1"


def test_readme_example(trained_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    names: dict[str, object] = {}
    exec(code, names)
    assert capsys.readouterr().out.count("\n") == 2
    names["model"].close()  # type: ignore[attr-defined]
