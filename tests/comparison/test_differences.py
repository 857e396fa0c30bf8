"""What sets recipes apart."""

from s2s.comparison.differences import differences
from s2s.recipe.load import load_recipe


def test_one_line_for_each_key_that_differs() -> None:
    names = ("numbers/bottleneck", "numbers/attention")
    recipes = [
        load_recipe(name, [f"training.lr={rate}"]).as_dict() for name, rate in zip(names, (0.004, 0.001), strict=True)
    ]
    assert differences(recipes) == ["model.decoder.context: fixed | attention", "training.lr: 0.004 | 0.001"]
    assert differences(recipes[:1] * 2) == []


def test_keys_that_change_no_model_are_left_out() -> None:
    changed = ["name=other", "training.log_every=7", "training.keep_checkpoints=9"]
    shared = ["training.parallel=fsdp", "training.recompute=true"]
    recipes = [load_recipe("numbers/transformer", settings).as_dict() for settings in ([], changed + shared)]
    assert differences(recipes) == []


def test_a_key_that_only_one_has() -> None:
    assert differences([{"a": {"b": 1}}, {"a": {"b": 1, "c": 2}}]) == ["a.c: – | 2"]


def test_keys_of_another_family_are_told_by_the_family():
    rnn, blocks = {"family": "rnn", "stored": "gru", "layers": 1}, {"family": "transformer", "heads": 4, "layers": 2}
    recipes = [{"model": {"encoder": rnn}}, {"model": {"encoder": blocks}}]
    assert differences(recipes) == ["model.encoder.family: rnn | transformer", "model.encoder.layers: 1 | 2"]
    assert differences([{"a": {"family": "rnn", "b": 1}}, {"a": {"family": "rnn"}}]) == ["a.b: 1 | –"]


def test_keys_that_only_some_recipes_have_are_listed_if_those_disagree() -> None:
    names = (
        "numbers/rnn",
        "numbers/lstm",
        "numbers/bottleneck",
        "numbers/attention",
        "numbers/luong",
        "numbers/transformer",
    )
    found = dict(line.split(": ", 1) for line in differences([load_recipe(name).as_dict() for name in names]))
    assert found["model.decoder.context"] == "fixed | fixed | fixed | attention | attention | –"
    assert found["model.decoder.cell"] == "rnn | lstm | gru | gru | gru | –"
    assert found["model.decoder.score"].split(" | ")[3:] == ["additive", "general", "–"]
    assert "model.encoder.heads" not in found
