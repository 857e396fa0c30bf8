"""A decoder-only model through the commands of a user."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from s2s.registry.store import Registry


def test_a_decoder_only_model_is_planned_trained_and_used(
    run: Callable, tiny: list[str], trained_home: Path, in_directory: Path
) -> None:
    small = [setting for setting in tiny if "hidden_size" not in setting]
    small += ["model.source_attention=causal", "model.decoder.layers=2", "name=alone"]
    settings = [part for setting in small for part in ("--set", setting)]
    planned = json.loads(run("plan", "numbers/decoder-only", *settings, "--json").out)
    done = run("train", "numbers/decoder-only", *settings)
    assert done.code == 0, done.err
    assert "model alone:1. Next: s2s translate alone" in done.err
    assert Registry.default().resolve("alone").card.parameters == planned["parameters"]

    (in_directory / "a.de").write_text("drei\n\neinundzwanzig\n")
    (in_directory / "a.en").write_text("three\n\ntwenty-one\n")
    for options in ([], ["--beam-size", "1"], ["--sample", "--seed", "3"], ["--nbest", "2"]):
        assert run("translate", "alone", "a.de", *options).code == 0
    assert len(run("score", "alone", "a.de", "a.en").out.splitlines()) == 3
    assert run("translate", "alone", "a.de", "--attention", "a.jsonl").code == 0
    first, _, last = (json.loads(line) for line in (in_directory / "a.jsonl").read_text().splitlines())
    for row in first["attention"] + last["attention"]:
        assert sum(row) == pytest.approx(1, abs=0.02)
    assert "bleu" in json.loads(run("evaluate", "alone", "a.de", "a.en", "--json").out)["scores"]

    compared = run("compare", "alone", "numbers-attention")
    assert compared.code == 0, compared.err
    assert "model.architecture" in compared.out + compared.err
    refused = run("models", "export", "alone", "out", "--format", "ctranslate2")
    assert refused.code == 2
    assert "the CTranslate2 engine does not support decoder-only models" in refused.err
