import random
import tomllib

import pytest
from pydantic import TypeAdapter

from s2s.data.recipe_sizes import accepted_vocab_size, fine_tuning, held_out, network, training, vocab_size
from s2s.data.recipe_template import Measured, draft_recipe, inherited_tables, measure
from s2s.errors import DataError
from s2s.recipe.data import DataOptions
from s2s.recipe.explain import recipe_keys
from s2s.recipe.load import parse_recipe
from s2s.recipe.tokenizer import TokenizerOptions
from s2s.text.tokenizer import Tokenizer
from s2s.text.tokenizer_training import train_tokenizer

WORDS = [f"{first}{last}" for first in ("ka", "lo", "mi", "tu", "ze") for last in ("nd", "rst", "ppe", "ging", "bal")]
HAN = [chr(code) for code in range(0x4E00, 0x4E00 + 900)]


def made_lines(count: int, seed: int) -> list[str]:
    generator = random.Random(seed)
    return [" ".join(generator.choices(WORDS, k=generator.randint(3, 9))) for _ in range(count)]


def without_spaces(count: int, seed: int) -> list[str]:
    """Lines of Han characters, a few of them frequent."""
    generator = random.Random(seed)
    weights = [1 / rank for rank in range(1, len(HAN) + 1)]
    return ["".join(generator.choices(HAN, weights, k=generator.randint(5, 25))) for _ in range(count)]


def codes(count: int, seed: int) -> list[str]:
    """Lines of a word that occurs once."""
    generator = random.Random(seed)
    return ["".join(generator.choices("0123456789abcdef", k=12)) for _ in range(count)]


@pytest.fixture
def measured(tmp_path):
    """Measure two files with these lines."""

    def of(source: list[str], target: list[str]) -> Measured:
        paths = tmp_path / "a.de", tmp_path / "a.en"
        for path, lines in zip(paths, (source, target), strict=True):
            path.write_text("".join(f"{line}\n" for line in lines))
        files = {"source": str(paths[0]), "target": str(paths[1])}
        data = {"kind": "lines", "train": files, "hold_out_validation": 1, "hold_out_test": 1}
        return measure(TypeAdapter(DataOptions).validate_python(data))

    return of


def test_measure(measured):
    found = measured(["ab c", "ab c", "", "d", "e\u0301"], ["xy", "z", "z", "xy", "xy ab"])
    words = {"ab", "c", "d", "é", "xy", "z"}
    sample = [("ab c", "xy"), ("ab c", "z"), ("d", "xy"), ("é", "xy ab")]
    assert found == Measured(5, 3, len(words), len({"ab", "c", "xy", "z"}), len("abcdéxyz"), sample)


def test_too_few_different_sentences(measured):
    with pytest.raises(DataError, match="2 different source sentences"):
        measured(["a", "b", "a", " "], ["c", "d", "e", "f"])


@pytest.mark.parametrize(
    ("pairs", "held"), [(3, 1), (10, 1), (30, 3), (500, 50), (900, 50), (3000, 150), (20_000, 1000), (10**7, 1000)]
)
def test_held_out(pairs, held):
    assert held_out(pairs) == held
    assert 2 * held < pairs


@pytest.mark.parametrize(
    ("pairs", "size"), [(200, 320), (5_000, 2_000), (29_000, 5_300), (160_000, 13_900), (5_000_000, 32_000)]
)
def test_vocabularies_grow_with_the_corpus(pairs, size):
    assert vocab_size(pairs, 10**6, 60) == size


def test_texts_of_few_words_have_small_vocabularies():
    assert vocab_size(10**6, 100, 30) == 60
    assert [vocab_size(10**6, words, 30) for words in (0, 10_000)] == [35, 2_500]


def test_a_vocabulary_has_room_for_every_character_and_byte():
    assert vocab_size(100, 20_000, 9_000) == 9_000 + 5 + 256
    assert vocab_size(100, 20_000, 1_000) == 1_000 + 5


@pytest.mark.parametrize(("made", "count"), [(made_lines, 10), (made_lines, 2500), (without_spaces, 500), (codes, 40)])
def test_a_tokenizer_can_be_trained_on_the_remaining_pairs(measured, made, count):
    source, target = made(count, 1), made(count, 2)
    found = measured(source, target)
    size = vocab_size(found.pairs, found.words, found.characters)
    size = accepted_vocab_size(size, found.repeated, found.characters, found.sample)
    left = 2 * held_out(found.pairs)
    model = train_tokenizer([*source[left:], *target[left:]], TokenizerOptions(vocab_size=size))
    assert Tokenizer(model).size == size


def test_a_vocabulary_that_the_text_does_not_give_is_lowered():
    sample = list(zip(codes(200, 1), codes(200, 2), strict=True))
    size = accepted_vocab_size(5000, 0, 16, sample)
    assert 100 < size < 1000
    kept = [text for pair in sample[: -2 * held_out(200)] for text in pair]
    assert Tokenizer(train_tokenizer(kept, TokenizerOptions(vocab_size=size))).size == size


DATA = {
    "data": {"kind": "lines", "source_language": "de", "hold_out_validation": 1, "hold_out_test": 1},
    "data.train": {"source": 'odd "name\\.de', "target": "b.en"},
}


def drafted(pairs: int, family: str = "rnn", size: str | None = None) -> dict:
    model = network(pairs, family, size)
    rest = {"tokenizer": {"vocab_size": 40}, "training": training(pairs, family, model["model"]["embedding_size"])}
    return DATA | model | rest


@pytest.mark.parametrize("pairs", [3, 700, 5_000, 60_000, 4_000_000])
@pytest.mark.parametrize("family", ["rnn", "transformer"])
def test_the_draft_is_a_recipe_and_explains_every_key(pairs, family):
    text = draft_recipe("mine", 'a "test"', drafted(pairs, family), "s2s train mine.toml")
    recipe = parse_recipe(tomllib.loads(text), "draft")
    assert (recipe.name, recipe.description) == ("mine", 'a "test"')
    assert recipe.data.train.source == ['odd "name\\.de']
    assert recipe.model.encoder.family == recipe.model.decoder.family == family
    comments = " ".join(line.removeprefix("# ") for line in text.splitlines() if line.startswith("# "))
    written = {f"{table}.{key}" for table, key in leaves(tomllib.loads(text))}
    explained = {key.key: key.description for key in reversed(recipe_keys())}
    assert {"training.stop_after", "training.lr", "tokenizer.vocab_size", "model.encoder.family"} <= written
    for key in written:
        assert explained[key] in comments


@pytest.mark.parametrize(("kind", "comment"), [("jsonl", "name of the source column"), ("po", "side of an entry")])
def test_keys_are_explained_as_those_of_their_kind(kind, comment):
    tables = drafted(700) | {"data": {"kind": kind, "source_column": "msgid"}, "data.train": {"files": "a"}}
    assert f"# {comment}" in draft_recipe("m", "", tables, "").partition("source_column")[0]


def leaves(values: dict, table: str = ""):
    for key, value in values.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{table}.{key}".removeprefix("."))
        elif table:
            yield table, key


def test_small_corpora_have_small_networks_and_many_epochs():
    small, large = drafted(500), drafted(500_000)
    assert small["model.encoder"]["hidden_size"] < large["model.encoder"]["hidden_size"]
    assert small["training"]["batch_tokens"] < large["training"]["batch_tokens"]
    assert int(small["training"]["stop_after"].split()[0]) > int(large["training"]["stop_after"].split()[0])


@pytest.mark.parametrize("family", ["rnn", "transformer"])
@pytest.mark.parametrize("size", ["tiny", "small", "base", "big"])
def test_sizes_are_the_presets_of_recipes(family, size):
    recipe = parse_recipe(tomllib.loads(draft_recipe("m", "", drafted(700, family, size), "")), "draft")
    sides = {side: {"family": family} for side in ("encoder", "decoder")}
    values = {"name": "m", "data": recipe.data, "model": {"size": size, "dropout": 0.3, **sides}}
    assert recipe.model == parse_recipe(values, "preset").model.model_copy(update={"size": None})


def test_wide_networks_learn_slower():
    assert [training(10**6, "transformer", width)["lr"] for width in (64, 256, 512, 1024)] == [2e-3, 2e-3, 1e-3, 5e-4]


@pytest.mark.parametrize(
    "network",
    [
        {"encoder": {"family": "transformer"}, "decoder": {"score": "general"}},
        {"architecture": "decoder_only", "source_attention": "causal", "decoder": {"family": "transformer"}},
    ],
    ids=["both", "decoder only"],
)
def test_a_parents_tables_give_its_tokenizer_and_network(network):
    parent = parse_recipe(
        {
            "name": "parent",
            "data": {"kind": "generator"},
            "tokenizer": {"vocab_size": 300, "algorithm": "bpe"},
            "model": {"size": "tiny", **network},
        },
        "parent",
    )
    tables = DATA | inherited_tables(parent) | {"training": fine_tuning(5000, 2e-3)}
    recipe = parse_recipe(tomllib.loads(draft_recipe("m", "", tables, "")), "draft")
    assert recipe.tokenizer == parent.tokenizer
    assert recipe.model == parent.model.model_copy(update={"size": None})
    assert (recipe.training.lr, recipe.training.stop_after) == (5e-4, "10 epochs")
