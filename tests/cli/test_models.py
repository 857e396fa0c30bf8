import json
import os
import re
import subprocess
import sys
from pathlib import Path

import ctranslate2
import pytest
from publishing import publish
from sentencepiece import SentencePieceProcessor

import s2s
from s2s.devices.leases import lease
from s2s.registry.store import Registry
from s2s.report.console import out

HEAVY = {"torch", "datasets", "sacrebleu", "sentencepiece", "matplotlib", "pyarrow"}
LOOK = """
import json, sys
from s2s.cli.app import main
for line in (
    "list", "show plain", "alias plain best", "history plain", "diff plain numbers-attention", "verify", "gc",
    "export plain plain.s2s", "push plain team", "pull team/plain", "rm plain --force", "ps"
):
    assert main(["models", *line.split()]) == 0
print(json.dumps(list(sys.modules)))
"""


@pytest.fixture
def registry(card) -> Registry:
    """Two versions of one model, the first with an alias, and one of another."""
    found = Registry.default()
    publish(found, "numbers-attention", {"weights.safetensors": b"first"}, card)
    publish(found, "numbers-attention", {"weights.safetensors": b"second"}, card)
    found.set_alias("numbers-attention:1", "best")
    plain = {
        "attention": False,
        "architecture": "GRU with a fixed context",
        "parameters": 9,
        "scores": [],
        "source_language": "",
    }
    publish(found, "plain", {}, card.model_copy(update=plain))
    return found


def test_a_list_is_a_line_for_each_model_where_it_is_piped(run, registry):
    head, first, second = run("models", "list").out.splitlines()
    assert head.split() == ["model", "aliases", "direction", "score", "parameters", "published", "architecture"]
    what = "bidirectional GRU encoder; GRU decoder with additive attention"
    day = registry.resolve("plain").published[:10]
    assert " ".join(first.split()) == f"numbers-attention:2 best:1 de → en BLEU 98.7 412,345 {day} {what}"
    assert second.split()[-5:] == ["GRU", "with", "a", "fixed", "context"]
    assert head == head.rstrip()


def test_a_list_fits_the_terminal(run, registry, monkeypatch):
    monkeypatch.setattr(out, "_force_terminal", True)
    monkeypatch.setattr(out, "width", 80)
    lines = run("models", "list").out.splitlines()
    assert max(map(len, lines)) <= 80
    assert any(line.startswith("numbers-attention:2  best:1") for line in lines)
    for part in ("de → en", "bidirectional", "attention", "BLEU 98.7", "412,345"):
        assert any(part in line for line in lines)


def test_a_list_as_json(run, registry):
    first, second = json.loads(run("models", "list", "--json").out)
    assert first["model"] == "numbers-attention"
    assert first["version"] == 2
    assert first["aliases"] == {"best": 1}
    assert first["score"]["signature"].startswith("BLEU|")
    assert second["attention"] is False
    assert second["score"] is None


def test_a_list_is_sorted_by_what_is_asked(run, registry, card):
    first = card.scores[0]
    for name, values in {
        "yak": {"bits_per_byte": 0.5},
        "zebra": {"bleu": 99.5, "bits_per_byte": 0.75, "perplexity": 1.01},
    }.items():
        scores = [first.model_copy(update={"metric": metric, "value": value}) for metric, value in values.items()]
        publish(registry, name, {}, card.model_copy(update={"scores": scores, "parameters": 7 + len(name)}))

    def names(key: str) -> list[str]:
        found = run("models", "list", "--sort", key)
        return [line.partition(":")[0] for line in found.out.splitlines()[1:]]

    assert names("name") == ["numbers-attention", "plain", "yak", "zebra"]
    assert names("bleu") == ["zebra", "numbers-attention", "plain", "yak"]
    assert names("published") == ["zebra", "yak", "plain", "numbers-attention"]
    assert names("parameters") == ["numbers-attention", "zebra", "yak", "plain"]
    assert names("perplexity") == ["zebra", "numbers-attention", "plain", "yak"]
    assert names("bits_per_byte") == ["yak", "zebra", "numbers-attention", "plain"]
    assert "perplexity 1.03" in run("models", "list", "--sort", "perplexity").out
    wrong = run("models", "list", "--sort", "blue")
    assert (wrong.code, wrong.out) == (2, "")
    assert "did you mean bleu?" in wrong.err


def test_an_empty_list_names_the_next_command(run):
    found = run("models", "list")
    assert (found.code, found.out) == (0, "")
    assert "s2s train numbers/attention" in found.err
    assert json.loads(run("models", "list", "--json").out) == []


def test_a_damaged_version_hides_no_other(run, registry):
    (registry.root / "models" / "plain" / "1.json").write_text("{")
    found = run("models", "list")
    assert found.code == 4
    assert "numbers-attention:2" in found.out
    assert "plain" not in found.out
    assert "plain" in found.err


def test_show_says_what_it_is_and_how_each_score_was_got(run, registry):
    lines = run("models", "show", "numbers-attention@best").out.splitlines()
    assert lines[0] == "numbers-attention:1 @best"
    text = " ".join("\n".join(lines).split())
    for part in (
        "attention yes",
        "de → en: translation",
        "train 20,000, validation 500, test 1,000; 7 of the test sentences also in training; corpus 5e5e5e5e5e5e",
        "412,345 parameters",
        "1 min 15 s, 12 epochs, 3,120 updates (best at 2,860), 12,500 tokens/s, seed 1",
        "on cpu in bf16, 2 threads",
        "avx2, amx_bf16",
        "torch 2.13.0",
        "BLEU 98.7 test · beam 5, length penalty 1 · BLEU|nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:2.6.0",
        "perplexity 1.03 test · teacher-forced|unit:token",
    ):
        assert part in text


def test_show_of_a_model_without_attention_or_scores(run, registry):
    found = run("models", "show", "plain")
    assert "no (fixed context)" in found.out
    assert "scores" not in found.out


def test_show_as_json_holds_the_whole_card(run, registry, card):
    found = json.loads(run("models", "show", "numbers-attention:1", "--json").out)
    assert found["card"] == card.as_dict()
    assert (found["model"], found["version"], found["files"]["weights.safetensors"]["size"]) == (
        "numbers-attention",
        1,
        5,
    )


def test_a_card_of_others_cannot_drive_the_terminal(run, registry, card):
    hostile = card.model_copy(
        update={"architecture": "[red]x[/red] \x1b[2J :smile:\nparameters 7", "description": "\x1b]0;a\x07"}
    )
    publish(registry, "hostile", {}, hostile)
    for arguments in (("list",), ("show", "hostile")):
        found = run("models", *arguments)
        assert found.code == 0
        assert "\x1b" not in found.out + found.err
        assert r"[red]x[/red] \x1b[2J :smile: parameters 7" in found.out


def test_an_unknown_model_is_told_with_the_nearest_names(run, registry):
    found = run("models", "show", "numbers-atention")
    assert (found.code, found.out) == (2, "")
    assert found.err == "s2s: error: model numbers-atention: no such model\nhint: did you mean numbers-attention?\n"


def test_an_alias_can_move(run, registry):
    found = run("models", "alias", "numbers-attention", "best")
    assert found.code == 0
    assert "s2s translate numbers-attention@best" in found.err
    assert registry.resolve("numbers-attention@best").number == 2
    assert run("models", "alias", "numbers-attention", "../x").code == 2


def test_history_and_rollback(run, registry):
    run("models", "alias", "numbers-attention:2", "best", "--why", "better")
    found = run("models", "rollback", "numbers-attention@best", "--why", "worse after all")
    assert (found.code, registry.resolve("numbers-attention@best").number) == (0, 1)
    assert "numbers-attention@best is numbers-attention:1" in found.err
    head, *rows = run("models", "history", "numbers-attention").out.splitlines()
    assert head.split() == ["time", "alias", "version", "user", "why"]
    assert [row.split("best")[1].split()[:3] for row in rows] == [["–", "→", "1"], ["1", "→", "2"], ["2", "→", "1"]]
    assert rows[1].endswith("better")
    assert "(rollback)" in rows[2]
    (moves,) = json.loads(run("models", "history", "numbers-attention@best", "--json").out).values()
    assert [(move["before"], move["after"], move["rollback"]) for move in moves] == [
        (None, 1, False), (1, 2, False), (2, 1, True),
    ]  # fmt: skip
    assert run("models", "rollback", "numbers-attention@best").code == 2
    assert run("models", "rollback", "numbers-attention").code == 2


def test_what_a_removal_would_free(run, registry, card):
    publish(registry, "shared", {"weights.safetensors": b"second", "own": b"1234"}, card)
    found = run("models", "rm", "shared", "--dry-run")
    assert found.code == 0
    assert found.err == (
        "would remove shared:1\nwould free 0.0 kB; files younger than a day are freed by a later s2s models gc\n"
    )
    assert registry.own_bytes(registry.resolve("shared")) == 4
    for refused in ("numbers-attention:1", "numbers-attention"):  # an alias points to it; it has two versions
        real = run("models", "rm", refused)
        assert real.code == 2
        assert run("models", "rm", refused, "--dry-run") == real
    assert (
        "would remove numbers-attention:1" in run("models", "rm", "numbers-attention@best", "--force", "--dry-run").err
    )
    assert registry.numbers("numbers-attention") == [1, 2]


def test_gc_frees_what_no_version_uses(run, registry):
    run("models", "rm", "numbers-attention:2")
    for path in registry.root.rglob("*"):
        os.utime(path, (10**9, 10**9))
    blobs = lambda: {path.read_bytes() for path in registry.root.glob("blobs/sha256/??/*")}  # noqa: E731
    assert "would free 0.0 kB" in run("models", "gc", "--dry-run").err
    assert (registry.gc(dry_run=True), blobs()) == (6, {b"first", b"second"})
    assert run("models", "gc").code == 0
    assert blobs() == {b"first"}


def test_verify_names_what_is_damaged_and_what_uses_it(run, registry, card):
    publish(registry, "shared", {"weights.safetensors": b"second"}, card)
    whole = run("models", "verify")
    assert (whole.code, whole.out) == (0, "")
    assert "verified 3 models, 0.0 kB: 0 problems" in whole.err
    blob = registry.resolve("shared").path("weights.safetensors")
    blob.write_bytes(b"sEcond")
    (registry.root / "models" / "plain" / "1.json").write_text("{")
    found = run("models", "verify")
    assert found.code == 4
    assert "weights.safetensors is damaged" in found.err
    assert "used by numbers-attention:2, shared:1" in found.err
    assert "damaged: model plain:1" in found.err
    assert "2 problems" in found.err
    (one,) = json.loads(run("models", "verify", "shared", "--json").out)
    assert (one["name"], one["versions"]) == ("weights.safetensors", ["shared:1"])
    assert run("models", "verify", "nothing").code == 2
    assert "s2s models verify shared" in run("models", "verify", "shared:1").err


@pytest.mark.parametrize(
    ("content", "problem"),
    [("2\n", "numbers-attention@late points to version 2, which was removed"), ("two\n", "late is damaged")],
)
def test_verify_finds_an_alias_that_leads_nowhere(run, registry, content, problem):
    registry.remove("numbers-attention:2")
    (registry.root / "models" / "numbers-attention" / "aliases" / "late").write_text(content)
    found = run("models", "verify", "numbers-attention")
    assert found.code == 4
    assert problem in found.err
    assert "1 problem" in found.err


def test_diff_shows_what_differs_alone(run, registry, card):
    changed = card.model_copy(
        update={
            "recipe": card.recipe | {"training": {"lr": 0.5}},
            "scores": [card.scores[0].model_copy(update={"value": 12.25})],
            "parameters": 1_000,
        }
    )
    publish(registry, "numbers-attention", {}, changed)
    found = run("models", "diff", "numbers-attention:1", "numbers-attention")
    rows = {line.split("  ")[0]: line.split()[-2:] for line in found.out.splitlines()[1:]}
    assert rows["bleu (test)"] == ["98.71", "12.25"]
    assert rows["parameters"] == ["412,345", "1,000"]
    assert rows["training.lr"][1] == "0.5"
    assert "corpus" not in rows
    same = run("models", "diff", "plain", "plain:1")
    assert (same.out, same.err) == ("", "plain:1 and plain:1 are the same\n")
    values = json.loads(run("models", "diff", "numbers-attention:1", "numbers-attention:3", "--json").out)
    assert values["models"] == ["numbers-attention:1", "numbers-attention:3"]
    assert values["differences"]["parameters"] == [412_345, 1_000]


def test_removing_frees_what_is_old_and_spares_aliases(run, registry):
    for path in registry.root.rglob("*"):
        os.utime(path, (10**9, 10**9))
    refused = run("models", "rm", "numbers-attention:1")
    assert refused.code == 2
    assert "--force" in refused.err
    found = run("models", "rm", "numbers-attention:1", "--force")
    assert found.code == 0
    assert "removed numbers-attention:1" in found.err
    assert registry.aliases("numbers-attention") == {}
    assert [path.read_bytes() for path in registry.root.glob("blobs/sha256/??/*")] == [b"second"]
    assert run("models", "show", "numbers-attention:1").code == 2


def test_removing_keeps_all_files_where_a_version_cannot_be_read(run, registry):
    for path in registry.root.rglob("*"):
        os.utime(path, (10**9, 10**9))
    (registry.root / "models" / "plain" / "1.json").write_text("{")
    for damaged in ("plain", "numbers-attention:2"):
        dry = run("models", "rm", damaged, "--dry-run")
        assert (dry.code, dry.err.startswith(f"would remove {damaged}")) == (0, True)
        assert "not known: model plain:1 is damaged" in dry.err
    found = run("models", "rm", "numbers-attention:2")
    assert found.code == 0
    assert "removed numbers-attention:2" in found.err
    assert "plain" in found.err
    assert len(list(registry.root.glob("blobs/sha256/??/*"))) == 2


@pytest.mark.usefixtures("registry")
class TestExport:
    @pytest.fixture
    def published(self, registry, transformer, card):
        return publish(registry, "numbers-transformer", transformer, card)

    @pytest.mark.parametrize("precision", ["fp32", "int8"])
    def test_a_directory_that_ctranslate2_reads(self, run, published, in_directory, transformer, precision):
        line = ("models", "export", "numbers-transformer", "out", "--format", "ctranslate2", "--precision", precision)
        found = run(*line)
        assert (found.code, found.out) == (0, "")
        assert "wrote out: numbers-transformer:1" in found.err
        assert "ctranslate2.Translator('out')" in found.err
        names = {path.name for path in (in_directory / "out").iterdir()}
        assert names == {"model.bin", "config.json", "shared_vocabulary.json", "tokenizer.model"}
        assert (in_directory / "out" / "tokenizer.model").read_bytes() == transformer["tokenizer.model"]
        tokens = SentencePieceProcessor(model_file="out/tokenizer.model").encode("abc deg", out_type=str)
        assert ctranslate2.Translator("out").translate_batch([tokens], max_decoding_length=7)[0].hypotheses[0]
        assert list(in_directory.iterdir()) == [in_directory / "out"]

    def test_fp32_unless_told_otherwise(self, run, published, in_directory):
        found = run("models", "export", "numbers-transformer", "out", "--format", "ctranslate2")
        assert ctranslate2.Translator("out").compute_type == "float32"
        options = published.recipe().decoding
        (call,) = re.findall(r"translate_batch\(source, (.*)\)", found.err)
        assert f"beam_size={options.beam_size}, length_penalty={options.length_penalty}, " in call
        assert call.endswith(f"max_decoding_length={options.max_ratio:g} * source_tokens + 10")

    def test_what_is_there_stays(self, run, published, in_directory):
        (in_directory / "out").mkdir()
        found = run("models", "export", "numbers-transformer", "out", "--format", "ctranslate2")
        assert found.code == 2
        assert "out exists" in found.err
        assert list((in_directory / "out").iterdir()) == []

    @pytest.mark.usefixtures("trained_home")
    def test_a_model_that_cannot_be_expressed(self, run, in_directory):
        found = run("models", "export", "numbers-attention:1", "out", "--format", "ctranslate2")
        assert found.code == 2
        assert "numbers-attention:1: CTranslate2 does not support RNN encoders" in found.err
        assert list(in_directory.iterdir()) == []

    def test_the_format_must_be_clear(self, run, published, in_directory):
        for arguments, hint in {
            ("out",): "out.s2s is a bundle; else add --format ctranslate2",
            ("out.s2s", "--format", "ctranslate2"): "give another name",
            ("out.s2s", "--precision", "int8"): "drop it",
        }.items():
            found = run("models", "export", "numbers-transformer", *arguments)
            assert (found.code, list(in_directory.iterdir())) == (2, [])
            assert f"hint: {hint}" in found.err

    def test_a_directory_that_cannot_be_written(self, run, published):
        found = run("models", "export", "numbers-transformer", "/proc/here/out", "--format", "ctranslate2")
        assert found.code in {2, 5}
        assert "/proc/here/out" in found.err


class TestTransfer:
    @pytest.fixture
    def published(self, registry, transformer, card):
        return publish(registry, "numbers-transformer", transformer, card)

    def test_a_bundle_goes_to_another_registry(self, run, published, in_directory, monkeypatch):
        found = run("models", "export", "numbers-transformer", "numbers.s2s")
        assert (found.code, found.out) == (0, "")
        assert "wrote numbers.s2s: numbers-transformer:1. Elsewhere: s2s models import numbers.s2s" in found.err
        assert "already numbers-transformer:1" in run("models", "import", "numbers.s2s").err
        monkeypatch.setenv("S2S_REGISTRY", str(in_directory / "other"))
        found = run("models", "import", "numbers.s2s", "--name", "theirs")
        assert (found.code, found.out) == (0, "")
        assert found.err == "numbers.s2s is now theirs:1. Next: s2s translate theirs:1\n"
        (in_directory / "input").write_text("abc\n")
        assert run("translate", "theirs", "input").code == 0
        assert json.loads(run("models", "import", "numbers.s2s", "--name", "theirs", "--json").out) == {
            "model": "theirs", "version": 1, "new": False,
        }  # fmt: skip
        assert run("models", "list").out.count("theirs") == 1

    def test_a_damaged_bundle_leaves_nothing(self, run, published, in_directory, monkeypatch):
        run("models", "export", "numbers-transformer", "numbers.s2s")
        content = (in_directory / "numbers.s2s").read_bytes()
        (in_directory / "numbers.s2s").write_bytes(content[: len(content) // 2])
        monkeypatch.setenv("S2S_REGISTRY", str(in_directory / "other"))
        found = run("models", "import", "numbers.s2s")
        assert (found.code, found.out) == (4, "")
        assert "numbers.s2s: member 'weights.safetensors' is cut off" in found.err
        assert not (in_directory / "other").exists()
        assert run("models", "import", "missing.s2s").code == 2

    def test_a_team_pushes_and_pulls(self, run, published, in_directory, monkeypatch):
        found = run("models", "push", "numbers-transformer", "team")
        there = "team/numbers-transformer:1"
        assert (found.code, found.out) == (0, "")
        assert found.err == f"numbers-transformer:1 is now {there}. Elsewhere: s2s models pull {there}\n"
        assert f"is already {there}" in run("models", "push", "numbers-transformer", "team/").err
        monkeypatch.setenv("S2S_REGISTRY", str(in_directory / "other"))
        assert "team/numbers-transformer is now numbers-transformer:1. Next" in run("models", "pull", there[:-2]).err
        assert json.loads(run("models", "pull", there, "--json").out)["new"] is False
        assert run("models", "pull", "team/numbers").code == 2
        assert run("models", "push", "numbers-transformer", "gopher://team").code == 2
        next((in_directory / "team" / "blobs").rglob("??/*")).write_bytes(b"damaged")
        assert run("models", "pull", there, "--name", "theirs").code == 4


def test_who_holds_what(run):
    assert "no device is held" in run("models", "ps").err
    assert json.loads(run("models", "ps", "--json").out) == {"devices": [], "server": None}
    with lease("cpu", wait=0, command="s2s train [b]numbers[/b]"):
        head, line = run("models", "ps").out.splitlines()
        (holder,) = json.loads(run("models", "ps", "--json").out)["devices"]
    assert head.split() == ["device", "user", "pid", "since", "command"]
    assert line.split()[0] == "cpu"
    assert str(os.getpid()) in line
    assert line.endswith("s2s train [b]numbers[/b]")
    assert holder["command"] == "s2s train [b]numbers[/b]"


def test_no_command_imports_what_is_slow(registry, tmp_path):
    command = [sys.executable, "-c", LOOK]
    environment = os.environ | {"PYTHONPATH": str(Path(s2s.__file__).parents[1])}
    done = subprocess.run(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    modules = json.loads(done.stdout.splitlines()[-1])
    assert "s2s.devices.leases" in modules
    assert HEAVY.isdisjoint(modules)
