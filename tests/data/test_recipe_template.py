import random
import tomllib

import pytest

from s2s.data.recipe_template import Measured, draft_recipe, held_out, measure, vocab_size
from s2s.errors import DataError
from s2s.recipe.explain import recipe_keys
from s2s.recipe.load import parse_recipe
from s2s.recipe.tokenizer import TokenizerOptions
from s2s.text.tokenizer import Tokenizer
from s2s.text.tokenizer_training import train_tokenizer

WORDS = [f"{first}{last}" for first in ("ka", "lo", "mi", "tu", "ze") for last in ("nd", "rst", "ppe", "ging", "bal")]


def made_lines(count: int, seed: int) -> list[str]:
    generator = random.Random(seed)
    return [" ".join(generator.choices(WORDS, k=generator.randint(3, 9))) for _ in range(count)]


@pytest.fixture
def two_files(tmp_path):
    def make(source: list[str], target: list[str]) -> tuple[str, str]:
        paths = tmp_path / "a.de", tmp_path / "a.en"
        for path, lines in zip(paths, (source, target), strict=True):
            path.write_text("".join(f"{line}\n" for line in lines))
        return str(paths[0]), str(paths[1])

    return make


def test_measure(two_files):
    found = measure(*two_files(["ab c", "ab c", "", "d", "e"], ["xy", "z", "z", "xy", "xy ab"]))
    assert found == Measured(lines=5, pairs=3, words=len({"ab", "c", "d", "e", "xy", "z"}), characters=len("abcdexyz"))


def test_too_few_different_sentences(two_files):
    with pytest.raises(DataError, match="2 different sentences"):
        measure(*two_files(["a", "b", "a", " "], ["c", "d", "e", "f"]))


@pytest.mark.parametrize(
    ("pairs", "held"), [(3, 1), (10, 1), (30, 3), (500, 50), (900, 50), (3000, 150), (20_000, 1000), (10**7, 1000)]
)
def test_held_out(pairs, held):
    assert held_out(pairs) == held
    assert 2 * held < pairs


def test_vocabulary_sizes_grow_with_the_text_up_to_a_bound():
    sizes = [vocab_size(words, 60) for words in (0, 10, 100, 1000, 10_000, 100_000, 10**6)]
    assert sizes == sorted(sizes)
    assert sizes[0] > 60
    assert sizes[-1] == 8000


def test_a_vocabulary_has_room_for_every_character():
    assert vocab_size(20_000, 9_000) > 9_000


@pytest.mark.parametrize("count", [10, 50, 400, 2500])
def test_a_tokenizer_can_be_trained_on_the_remaining_pairs(two_files, count):
    source, target = made_lines(count, 1), made_lines(count, 2)
    found = measure(*two_files(source, target))
    size = vocab_size(found.words, found.characters)
    kept = count - 2 * held_out(found.pairs)
    model = train_tokenizer([*source[:kept], *target[:kept]], TokenizerOptions(vocab_size=size))
    assert Tokenizer(model).size == size


@pytest.mark.parametrize("pairs", [3, 700, 5_000, 60_000, 4_000_000])
def test_the_draft_is_a_recipe_and_explains_every_key(pairs):
    measured = Measured(lines=pairs + 1, pairs=pairs, words=pairs, characters=70)
    text = draft_recipe("mine", ('odd "name\\.de', "b.en"), ("de", "en"), measured, "drop")
    recipe = parse_recipe(tomllib.loads(text), "draft")
    assert recipe.name == "mine"
    assert recipe.data.train.source == ['odd "name\\.de']
    assert (recipe.data.source_language, recipe.data.target_language) == ("de", "en")
    assert recipe.data.on_invalid == "drop"
    comments = " ".join(line.removeprefix("# ") for line in text.splitlines() if line.startswith("# "))
    written = {f"{table}.{key}" for table, key in leaves(tomllib.loads(text))}
    explained = {key.key: key.description for key in reversed(recipe_keys())}
    assert {"training.stop_after", "training.lr", "tokenizer.vocab_size", "model.decoder.context"} <= written
    for key in written:
        assert explained[key] in comments


def leaves(values: dict, table: str = ""):
    for key, value in values.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{table}.{key}".removeprefix("."))
        elif table:
            yield table, key


def test_small_corpora_have_small_networks_and_many_epochs():
    small, large = (
        tomllib.loads(draft_recipe("m", ("a", "b"), ("", ""), Measured(pairs, pairs, pairs, 70)))
        for pairs in (500, 500_000)
    )
    assert small["model"]["encoder"]["hidden_size"] < large["model"]["encoder"]["hidden_size"]
    assert small["training"]["batch_tokens"] < large["training"]["batch_tokens"]
    assert int(small["training"]["stop_after"].split()[0]) > int(large["training"]["stop_after"].split()[0])
