import json
import subprocess
import sys

import pytest

SMALL = ("--set", "tokenizer.vocab_size=50", "--set", "model.embedding_size=8", "--set", "model.encoder.hidden_size=6")
SMALL = (*SMALL, "--set", "model.decoder.hidden_size=10", "--set", "model.decoder.attention_size=7")
BLOCKS = ("--set", "model.encoder.family=transformer", "--set", "model.decoder.family=transformer")


def test_the_network_in_words_and_figures(run):
    found = run("plan", "numbers/attention", *SMALL)
    assert found.code == 0
    lines = found.out.splitlines()
    assert lines[0] == "numbers-attention: bidirectional GRU encoder; GRU decoder with additive attention"
    figures = [
        line.rsplit(maxsplit=1) for line in lines if line.startswith(("embeddings", "encoder", "output", "all "))
    ]
    assert figures[0] == ["embeddings: source, target, output (one table)", "400"]
    assert figures[1] == ["encoder", "576"]
    assert figures[2] == ["output bias", "50"]
    for title in ("training, 32 × 32 tokens", "decoding, 25 × 32 tokens, beam 5"):
        assert any(line.startswith(title) and line.split()[-2:] == ["fp32", "bf16"] for line in lines)
    assert found.err == "Next: s2s train numbers/attention\n"
    assert [line for line in lines if len(line) > 80 and line != lines[0]] == []
    assert [line for line in lines if line != line.rstrip()] == []


def test_json_has_the_same_and_adds_up(run):
    found = run("plan", "numbers/attention", *SMALL, "--json")
    plan = json.loads(found.out)
    assert plan["architecture"].startswith("bidirectional GRU encoder")
    assert plan["parameters"] == sum(part["parameters"] for part in plan["parts"])
    assert plan["training_memory"]["bf16"]["weights"] == 4 * plan["parameters"]
    assert plan["decoding_memory"]["bf16"]["weights"] == 2 * plan["parameters"]
    assert plan["training"] == {"sentences": 32, "positions": 32, "hypotheses": 1, "image_size": None}
    assert plan["training_flops"] > 0
    assert f"{plan['parameters']:,}" in run("plan", "numbers/attention", *SMALL).out


def test_neither_data_nor_a_home_is_needed(run, in_directory, own_home):
    found = run("plan", "multi30k/attention", *BLOCKS, "--set", "data.root=nowhere", "--set", "decoding.beam_size=1")
    assert found.code == 0
    assert "multi30k-attention: 6-layer Transformer encoder; 6-layer Transformer decoder\n" in found.out
    assert "decoding, greedy" in found.out
    assert list(own_home.iterdir()) == []
    assert list(in_directory.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["numbers/atention"], "numbers/attention"),
        (["numbers/attention", "--set", "model.decoder.hiden_size=3"], "hidden_size"),
    ],
)
def test_a_mistake_names_what_is_near(run, arguments, message):
    found = run("plan", *arguments)
    assert found.code == 2
    assert message in found.err
    assert found.out == ""


def test_compiler_of_torch_is_not_needed_to_build_shapes():
    """It takes a second to import, and what counts parameters alone does without."""
    code = (
        "import sys; from s2s.models.profile import meta_model; from s2s.recipe.load import load_recipe;"
        "meta_model(load_recipe('numbers/attention')); print('torch._dynamo' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True)
    assert done.stdout == "False\n"
