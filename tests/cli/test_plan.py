import json
import math
import os
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
    assert found.err == f"Next: s2s train numbers/attention {' '.join(SMALL)}\n"
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


# of a small process: a child counts the memory of the process that it was forked from
MEASURE = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr)
"""


@pytest.fixture(scope="module")
def measured() -> tuple[list[dict], int]:
    """The published systems, and the memory in KiB that the command took."""
    command = [sys.executable, "-m", "s2s", "plan", "--table", "--devices", "4", "--memory", "40GiB", "--json"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, *command], capture_output=True, check=True, text=True, env=environment
    )
    return json.loads(done.stdout), int(done.stderr.split()[-1])


@pytest.fixture
def systems(measured) -> list[dict]:
    return measured[0]


def test_table_takes_little_memory(measured):
    assert measured[1] * 1024 < 2**30


def test_table_as_json_has_an_object_for_each_system(systems):
    assert len(systems) == 14
    assert all(one["name"] and one["counted"] > one["without_embeddings"] > 0 for one in systems)
    assert [one["name"] for one in systems if abs(one["counted"] / one["published"] - 1) > 0.04] == [
        "XLNet large",
        "GPT-2 small",
    ]
    largest = systems[-1]
    assert (largest["name"], largest["published"], largest["counted"]) == (
        "Megatron-LM 8.3B", 8_300_000_000, 8_317_040_640,
    )  # fmt: skip
    assert largest["layers"] == {"decoder": 72}
    assert largest["context"] == 1024
    alone = largest["training"]["bf16"]["one_device"]
    assert alone["optimizer"] == 8 * largest["counted"]
    assert alone["total"] == sum(size for kind, size in alone.items() if kind != "total")
    assert largest["training"]["bf16"]["fsdp"]["weights"] == pytest.approx(largest["counted"], rel=1e-4)  # a quarter
    assert largest["decoding"]["bf16"]["cache"] == 2 * 2 * 72 * 1024 * 3072  # keys and values, two bytes each
    assert 0.9 < 6 * largest["without_embeddings"] / largest["training_flops"] < 1
    bert = systems[2]
    assert (bert["name"], bert["decoding"], bert["context"]) == ("BERT base", None, 512)


def test_more_devices_are_needed_without_recomputing(systems):
    needed = [one["training"]["bf16"]["devices_needed_recomputed"] for one in systems]
    stored = [one["training"]["bf16"]["devices_needed"] for one in systems]
    assert needed[0] == stored[0] == 1
    assert all(few <= (more or math.inf) for few, more in zip(needed, stored, strict=True))
    assert needed[-1] > 4


def test_table_for_people_is_whole_in_a_pipe(run, systems):
    lines = run("plan", "--table").out.splitlines()
    for one in systems:
        (counted,) = [line for line in lines if line.startswith(f"{one['name']} ") and f"{one['counted']:,}" in line]
        assert f"{one['without_embeddings']:,}" in counted
        assert sum(line.startswith(one["name"]) and one["trained_with"] in line for line in lines) == 1
    assert "8 P100 for 12 hours" in "\n".join(lines)


def advised(run, *arguments) -> dict:
    return json.loads(run("plan", "scaling/gpt2-small", *arguments, "--json").out)["devices"]["advised"]


def test_what_fits_as_it_is(run):
    found = run("plan", "scaling/gpt2-small", "--devices", "8", "--memory", "80GiB")
    assert "It fits as it is, in bf16: DDP over 8" in found.out
    assert found.err == "Next: s2s train scaling/gpt2-small --processes 8\n"


def test_what_fits_with_fsdp(run):
    changed = "training.batch_tokens=8192"
    found = run("plan", "scaling/gpt2-small", "--devices", "8", "--memory", "3.2GiB", "--set", changed)
    assert "it fits with --set training.parallel=fsdp: " in found.out
    assert found.err == (
        f"Next: s2s train scaling/gpt2-small --set {changed} --set training.parallel=fsdp --processes 8\n"
    )


def test_what_a_recipe_sets_is_no_change(run):
    own = ["training.batch_tokens=8192", "training.parallel=fsdp", "training.recompute=true"]
    values = [part for value in own for part in ("--set", value)]
    found = run("plan", "scaling/gpt2-small", "--devices", "8", "--memory", "3.2GiB", *values)
    assert "It fits as it is, in bf16: FSDP over 8, recomputing" in found.out
    assert found.err == f"Next: s2s train scaling/gpt2-small {' '.join(values)} --processes 8\n"


def test_what_fits_with_several_changes_or_more_devices(run):
    assert advised(run, "--devices", "8", "--memory", "2GiB")["settings"] == [
        "training.parallel=fsdp",
        "training.recompute=true",
        "training.micro_batch_tokens=1024",
    ]
    more = advised(run, "--memory", "2.5GiB")
    assert more["devices"] == 2
    assert more["memory"]["bf16"]["fits"]


def test_what_fits_nowhere(run):
    found = run("plan", "scaling/gpt2-small", "--devices", "2", "--memory", "100MB")
    assert found.code == 0
    assert "nothing fits" in found.out
    assert found.err == ""


def test_encoder_only_models_are_planned_but_not_trained(run, in_directory, own_home):
    plan = run("plan", "scaling/bert-base")
    assert plan.code == 0
    assert "109,482,240" in plan.out
    assert plan.err == ""
    for arguments in ([], ["--check"]):
        refused = run("train", "scaling/bert-base", *arguments)
        assert refused.code == 2
        assert "encoder-only models are planned, not trained" in refused.err
    assert list(own_home.iterdir()) == []


@pytest.mark.parametrize("arguments", [[], ["numbers/attention", "--table"], ["--table", "--set", "training.lr=1"]])
def test_a_recipe_or_the_table(run, arguments):
    found = run("plan", *arguments)
    assert found.code == 2
    assert "--table" in found.err
