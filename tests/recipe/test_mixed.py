"""Mixtures of datasets: what they share, what each has for itself, and what is refused."""

from pathlib import Path
from typing import Any

import pytest

from s2s.errors import UsageError
from s2s.recipe.data import parts_of
from s2s.recipe.load import load_recipe, parse_recipe
from s2s.recipe.mixed import MixedDataOptions
from s2s.recipe.recipe import Recipe

NEWS = {"name": "news", "train": {"source": "n.de", "target": "n.en"}, "target_language": "en", "tag": "<2en>"}
WEB = {"name": "web", "kind": "csv", "train": {"files": "w.csv"}, "delimiter": ";", "weight": 2.5, "tag": "<2fr>"}
HELD = {"hold_out_validation": 3, "hold_out_test": 5}


def recipe_of(*datasets: dict[str, Any], tokenizer: dict[str, Any] | None = None, **data: Any) -> Recipe:
    values = {"kind": "mixed", "datasets": [*datasets], **HELD, **data}
    return parse_recipe({"name": "any", "data": values, "tokenizer": tokenizer or {}}, "recipe any")


def mixed(*datasets: dict[str, Any], **data: Any) -> MixedDataOptions:
    options = recipe_of(*datasets, **data).data
    assert isinstance(options, MixedDataOptions)
    return options


def refused(*datasets: dict[str, Any], **data: Any) -> str:
    with pytest.raises(UsageError) as caught:
        recipe_of(*datasets, **data)
    return f"{caught.value.message}; {caught.value.hint}"


def test_each_dataset_is_data_of_its_kind_with_what_all_share() -> None:
    data = mixed(NEWS, WEB, normalization="nfkc", root="/data", on_invalid="drop", filter_preset="clean")
    news, web = data.parts
    assert (news.kind, news.split("train").file_lists, web.kind, web.split("train").file_lists) == (
        "lines", [["n.de"], ["n.en"]], "csv", [["w.csv"]]
    )  # fmt: skip
    assert [(one.normalization, one.root, one.on_invalid, one.filter_preset) for one in (news, web)] == [
        ("nfkc", "/data", "drop", "clean")
    ] * 2
    assert web.delimiter == ";"
    assert (data.tags, data.split("train").file_lists) == (["<2en>", "<2fr>"], [["n.de"], ["n.en"], ["w.csv"]])
    assert parts_of(data) == data.parts
    assert [part.root for part in data.with_root("/elsewhere").parts] == ["/elsewhere"] * 2


def test_languages_come_from_the_data_and_go_there_if_all_share_them() -> None:
    data = mixed(NEWS, WEB | {"target_language": "fr"}, source_language="de")
    assert [(one.source_language, one.target_language) for one in data.parts] == [("de", "en"), ("de", "fr")]
    assert (data.source_language, data.target_language) == ("de", "")
    own = [one | {"source_language": code, "target_language": "en"} for one, code in ((NEWS, "de"), (WEB, "nl"))]
    assert (mixed(*own).source_language, mixed(*own).target_language) == ("", "en")


def test_a_stored_recipe_is_read_as_it_was() -> None:
    stages = [{"until": "1 epoch", "weights": {"web": 0}}, {"until": "3 epochs"}, {"weights": {"news": 4}}]
    recipe = recipe_of(NEWS, WEB, stages=stages, temperature=5)
    assert parse_recipe(recipe.as_dict(), "stored") == recipe
    assert isinstance(recipe.data, MixedDataOptions)
    assert recipe.data.schedule == [(1, [1, 0]), (3, [1, 2.5]), (None, [4, 2.5])]
    assert mixed(NEWS).schedule == [(None, [1])]


def test_splits_are_those_of_any_dataset_or_held_out_from_all() -> None:
    data = mixed(NEWS | {"validation": NEWS["train"]}, WEB, hold_out_validation=0)
    assert (data.split("validation").given, data.split("test").given) == (True, False)
    assert mixed({"name": "made", "kind": "generator"}, NEWS, hold_out_validation=0, hold_out_test=0)
    assert "set either validation or hold_out_validation" in refused(NEWS | {"validation": NEWS["train"]}, WEB)
    assert "set either test or hold_out_test" in refused(NEWS, WEB, hold_out_test=0)


@pytest.mark.parametrize(
    ("changes", "data", "message"),
    [
        ({"name": "web"}, {}, "two are called web"),
        ({"name": "N"}, {}, "data.datasets.name: "),
        ({"tag": "<2 en>"}, {}, "tag '<2 en>': expected no spaces"),
        ({"tag": "<2fr>"}, {"source_language": "de"}, "en and fr are both targets of de with the tag <2fr>"),
        ({"train": {"source": "n.de"}}, {}, "datasets: news: train needs both source and target"),
        ({"train": {}}, {}, "datasets: news: train names no data"),
        ({"kind": "image"}, {}, "data.datasets.kind: expected one of lines, tsv"),
        ({"kind": "tmx", "train": {"files": "a.tmx"}}, {}, "news: kind tmx needs source_language"),
        ({"weights": 2}, {}, "data.datasets.weights: unknown key; did you mean weight?"),
        ({"src_prefix": "<2en>"}, {}, "data.datasets.src_prefix: unknown key; did you mean tag?"),
        ({"normalization": "none"}, {}, "unknown key; did you mean data.normalization"),
        ({"delimiter": ","}, {}, "data.datasets.delimiter: unknown key for kind lines (known for kind csv)"),
        ({"weight": -1}, {}, "data.datasets.weight: input should be greater than or equal to 0"),
        ({}, {"datasets": []}, "data.datasets: list should have at least 1 item"),
        ({}, {"temperature": 0.5}, "data.temperature: "),
        ({}, {"filters": [{"name": "script"}]}, "news: the filter script needs source_language"),
        ({}, {"stages": [{"weights": {"wbe": 1}}]}, "stage 1 names wbe, which is no dataset; did you mean web?"),
        ({}, {"stages": [{"weights": {"web": 0, "news": 0}}]}, "in stage 1 all weights are 0"),
        ({}, {"stages": [{}, {}]}, "stage 1 needs until"),
        ({}, {"stages": [{"until": "2 epochs"}]}, "leave until out in the last stage"),
        ({}, {"stages": [{"until": "2 epochs"}, {"until": "2 epochs"}, {}]}, "each must exceed the one before"),
        ({}, {"stages": [{"until": "2 updates"}, {}]}, "data.stages.until: "),
        ({}, {"stages": [{"untl": "2 epochs"}, {}]}, "data.stages.untl: unknown key; did you mean until?"),
        ({}, {"tokenizer": {"algorithm": "word"}}, "data.datasets.tag is not supported"),
        ({"tag": "e\u0301"}, {}, "data.datasets.tag: 'e\u0301' never occurs in NFC: write 'é'"),
    ],
)
def test_what_is_wrong_with_a_mixture_is_named(changes: dict[str, Any], data: dict[str, Any], message: str) -> None:
    other = WEB | {"target_language": "fr"}
    datasets = {} if "datasets" in data else {"datasets": [NEWS | changes, other]}
    assert message in refused(**datasets | data)


def test_pictures_and_data_without_weight_are_refused() -> None:
    scenes = {"name": "made", "kind": "generator", "generator": {"name": "scenes"}}
    assert "made: sources are pictures" in refused(scenes, NEWS, hold_out_validation=0, hold_out_test=0)
    assert "datasets: all weights are 0" in refused(NEWS | {"weight": 0})


def test_files_are_relative_to_the_recipe_and_keys_may_be_overridden(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(
        "name = 'a'\n[data]\nkind = 'mixed'\nhold_out_validation = 1\nhold_out_test = 1\n"
        "[[data.datasets]]\nname = 'news'\ntrain = {source = 'a', target = 'b'}\n"
    )
    data = load_recipe(str(tmp_path / "a.toml"), ["data.temperature=7", "data.stages=[{weights={news=3}}]"]).data
    assert isinstance(data, MixedDataOptions)
    assert [part.root for part in data.parts] == [str(tmp_path)]
    assert (data.temperature, data.schedule) == (7, [(None, [3])])
