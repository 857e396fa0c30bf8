"""What a server tells its clients of models."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from s2s.decoding.config import TranslatorConfig
from s2s.decoding.described_models import DescribedModel, combine
from s2s.errors import ArtefactError, UsageError
from s2s.registry.store import Registry


@pytest.fixture
def models(many_models: Path) -> dict[str, DescribedModel]:
    """Models of several kinds, by name."""
    registry = Registry(many_models / "registry")
    return {name: DescribedModel.of(registry.resolve(name)) for name in registry.names()}


def test_a_description_survives_its_way_as_json(models: dict[str, DescribedModel]) -> None:
    assert len({(one.settings.has_attention, one.settings.grid) for one in models.values()}) == 3
    for model in models.values():
        tagged = replace(model.settings, tags={"<2en>": ("de", "en")}, all_tagged=True)
        for one in (model, replace(model, settings=tagged)):
            assert DescribedModel.from_dict(json.loads(json.dumps(one.as_dict()))) == one


def test_settings_are_those_of_the_recipe(models: dict[str, DescribedModel], many_models: Path) -> None:
    for name, one in models.items():
        recipe, settings = Registry(many_models / "registry").resolve(name).recipe(), one.settings
        assert (settings.name, settings.decoding) == (recipe.name, recipe.decoding)
        assert settings.source_language == recipe.data.source_language
        assert settings.max_source_length >= recipe.data.max_length
        assert (settings.image_size is None, settings.natural) == (recipe.data.image_size is None, False)


def test_a_tokenizer_that_has_changed_is_refused(models: dict[str, DescribedModel], tmp_path: Path) -> None:
    values = models["numbers-attention"].as_dict()
    (tmp_path / "tokenizer.model").write_bytes(Path(values["tokenizer"]).read_bytes() + b"x")
    changed = DescribedModel.from_dict(values | {"tokenizer": str(tmp_path / "tokenizer.model")})
    with pytest.raises(ArtefactError, match=r"tokenizer\.model: its content has changed"):
        changed.read_tokenizer()


@pytest.mark.parametrize(
    ("names", "values", "message"),
    [
        (["numbers-bottleneck"], {"need_attention": True}, "has no attention"),
        (["numbers-attention"], {"images": True}, "translates text"),
        (["numbers-attention"], {"nbest": 99}, "--nbest 99 exceeds"),
        (["numbers-attention"], {"decoding": {"temperature": 2.0}}, "--temperature only applies with --sample"),
        (["numbers-attention"], {"tag": "<2en>"}, "--tag <2en>: numbers-attention has no such tag"),
        (["numbers-attention", "numbers-transformer"], {}, "do not share a vocabulary"),
    ],
)
def test_models_and_options_must_suit_each_other(
    models: dict[str, DescribedModel], names: list[str], values: dict, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        combine([models[name] for name in names], TranslatorConfig(names, "test", **values))
