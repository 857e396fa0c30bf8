import errno
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from publishing import publish

import s2s
from s2s.errors import ArtefactError, ResourceError, UsageError
from s2s.io.digests import digest_bytes
from s2s.registry.card import Card
from s2s.registry.store import Registry, claim

LONG_AGO = 1_000_000_000
FILES = {"weights.safetensors": b"weights", "recipe.json": b"{}"}

PUBLISH = """
import errno, json, os, sys, time
from pathlib import Path
from s2s.registry.card import Card
from s2s.registry.store import Registry

root, frozen, links = sys.argv[1:]
if links == "no":
    def link(*_): raise OSError(errno.EPERM, "no links here")
    os.link = link
card = Card.model_validate(json.loads(Path(frozen).read_text())["card"])
claimed = Registry._claimed

def claimed_a_while_ago(*arguments):
    found = claimed(*arguments)
    time.sleep(0.05)  # so that several processes take the same number for free
    return found

Registry._claimed = claimed_a_while_ago

def publish(worker):
    for turn in range(3):
        own = f"{worker} {turn}".encode()
        files = {name: Path(root).with_name(f"{name}-{worker}") for name in ("same", "own")}
        Path(root).parent.mkdir(parents=True, exist_ok=True)
        files["same"].write_bytes(b"the same")
        files["own"].write_bytes(own)
        version = Registry(Path(root)).publish("shared", files, card)
        os.write(1, b"%d %s\\n" % (version.number, own))

starter, start = os.pipe()
for worker in range(4):
    if os.fork() == 0:
        os.close(start)
        os.read(starter, 1)  # ends when the parent closes its side
        publish(worker)
        os._exit(0)
os.close(start)
sys.exit(any(os.wait()[1] for _ in range(4)))
"""


def everything(registry: Registry) -> set[str]:
    return {path.relative_to(registry.root).as_posix() for path in registry.root.rglob("*") if path.is_file()}


def age(registry: Registry) -> None:
    for path in registry.root.rglob("*"):
        os.utime(path, (LONG_AGO, LONG_AGO))


def hint_of(call, *arguments, error=UsageError, **options) -> str:
    with pytest.raises(error) as caught:
        call(*arguments, **options)
    return f"{caught.value.message} | {caught.value.hint}"


def test_what_is_published_is_read_back(registry, card):
    version = publish(registry, "numbers", FILES, card)
    assert version.reference == "numbers:1"
    assert version.card == card
    assert {name: version.read(name) for name in version.files} == FILES
    assert registry.resolve("numbers") == version
    assert registry.names() == ["numbers"]


def test_the_layout(registry, card):
    publish(registry, "numbers", FILES, card)
    publish(registry, "numbers", FILES | {"recipe.json": b"[]"}, card)
    registry.set_alias("numbers:1", "best")
    blobs = [f"blobs/sha256/{digest[:2]}/{digest}" for digest in map(digest_bytes, (b"weights", b"{}", b"[]"))]
    assert everything(registry) == {
        *blobs,
        "models/numbers/1.json",
        "models/numbers/2.json",
        "models/numbers/aliases/best",
        "models/numbers/history/best.jsonl",
    }


def test_an_empty_registry_has_nothing_and_makes_nothing(registry):
    assert registry.names() == []
    assert registry.versions("numbers") == []
    assert registry.aliases("numbers") == {}
    assert registry.gc() == 0
    assert not registry.root.exists()


def test_where_the_registry_is(own_home, monkeypatch, tmp_path):
    assert Registry.default().root == own_home / "registry"
    monkeypatch.setenv("S2S_REGISTRY", str(tmp_path / "team"))
    assert Registry.default().root == tmp_path / "team"


def test_a_name_an_alias_and_a_number(registry, card):
    for description in ("first", "second", "third"):
        publish(registry, "numbers", FILES, card.model_copy(update={"description": description}))
    registry.set_alias("numbers:2", "best")
    registry.set_alias("numbers", "newest-then")
    publish(registry, "numbers", FILES, card)
    assert registry.resolve("numbers").number == 4
    assert registry.resolve("numbers:1").card.description == "first"
    assert registry.resolve("numbers@best").card.description == "second"
    assert registry.aliases("numbers") == {"best": 2, "newest-then": 3}
    registry.set_alias("numbers@newest-then", "best")
    assert registry.resolve("numbers@best").number == 3
    assert [version.number for version in registry.versions("numbers")] == [1, 2, 3, 4]


def test_ten_comes_after_nine(registry, card):
    for _ in range(11):
        publish(registry, "numbers", {}, card)
    assert registry.resolve("numbers").number == 11


def test_unknown_names_get_a_hint(registry, card):
    assert "s2s train numbers/attention" in hint_of(registry.resolve, "numbers")
    publish(registry, "numbers-attention", FILES, card)
    registry.set_alias("numbers-attention", "best")
    assert "no such model | did you mean numbers-attention?" in hint_of(registry.resolve, "numbers-atention")
    assert "no such model | s2s models list" in hint_of(registry.resolve, "captions")
    assert "has no alias bets | did you mean best?" in hint_of(registry.resolve, "numbers-attention@bets")
    assert "s2s models alias numbers-attention fast" in hint_of(registry.resolve, "numbers-attention@fast")
    assert "numbers-attention:3 does not exist | versions of numbers-attention: 1" in hint_of(
        registry.resolve, "numbers-attention:3"
    )


def scored(card: Card, value: float, **changes: str) -> Card:
    """A card whose first score is `value`."""
    first, *others = card.scores
    return card.model_copy(update={"scores": [first.model_copy(update={"value": value}), *others]} | changes)


def test_the_best_version_has_the_best_score_computed_as_the_newest_ones(registry, card):
    publish(registry, "mine", FILES, scored(card, 99.0, test_digest="0" * 64))
    for change in ({"metric": "chrf"}, {"signature": "BLEU|tok:char"}):
        other = card.scores[0].model_copy(update={"value": 99.0} | change)
        publish(registry, "mine", FILES, card.model_copy(update={"scores": [other]}))
    for value in (28.6, 28.6, 0.0):
        publish(registry, "mine", FILES, scored(card, value))
    best = registry.best_version("mine")
    assert best is not None
    assert best.number == 5
    publish(registry, "unscored", FILES, card.model_copy(update={"scores": []}))
    assert registry.best_version("unscored") is None


@pytest.mark.parametrize("name", ["../numbers", "Numbers", "", "a/b"])
def test_names_that_are_none_are_refused(registry, card, name):
    with pytest.raises(UsageError, match="not a valid model name"):
        publish(registry, name, FILES, card)
    assert not registry.root.exists()
    publish(registry, "numbers", FILES, card)
    with pytest.raises(UsageError, match="not a valid alias name"):
        registry.set_alias("numbers", name)


def test_a_link_out_of_the_registry_is_refused(registry, card, tmp_path):
    (registry.root / "models").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    (registry.root / "models" / "numbers").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ArtefactError, match="is a symbolic link"):
        publish(registry, "numbers", FILES, card)
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_removed_number_is_never_given_again(registry, card):
    publish(registry, "numbers", FILES, card)
    publish(registry, "numbers", FILES, card)
    assert registry.remove("numbers:2") == "numbers:2"
    assert registry.resolve("numbers").number == 1
    assert registry.remove("numbers") == "numbers:1"
    assert registry.names() == []
    assert registry.versions("numbers") == []
    assert "all versions were removed" in hint_of(registry.resolve, "numbers")
    assert publish(registry, "numbers", FILES, card).number == 3
    message = hint_of(registry.resolve, "numbers:2")
    assert "model numbers:2 was removed on 20" in message
    assert "versions of numbers: 3" in message
    assert "was removed on" in hint_of(registry.remove, "numbers:2")


def test_a_tombstone_says_when(registry, card):
    publish(registry, "numbers", FILES, card)
    registry.remove("numbers")
    left = json.loads((registry.root / "models" / "numbers" / "1.json").read_text())
    assert set(left) == {"schema", "removed"}
    assert left["schema"] == 2


def test_a_name_alone_does_not_say_which_of_several_to_remove(registry, card):
    publish(registry, "numbers", FILES, card)
    publish(registry, "numbers", FILES, card)
    assert "has 2 versions | name one: s2s models rm numbers:2" in hint_of(registry.remove, "numbers")
    assert registry.numbers("numbers") == [1, 2]


@pytest.mark.parametrize("reference", ["numbers:1", "numbers@best"])
def test_what_an_alias_means_is_removed_by_force_alone(registry, card, reference):
    publish(registry, "numbers", FILES, card)
    publish(registry, "numbers", FILES, card)
    registry.set_alias("numbers:1", "best")
    registry.set_alias("numbers:2", "fast")
    assert "numbers:1 is used by numbers@best" in hint_of(registry.remove, reference)
    assert registry.numbers("numbers") == [1, 2]
    registry.remove(reference, force=True)
    assert registry.numbers("numbers") == [2]
    assert registry.aliases("numbers") == {"fast": 2}


def test_an_alias_of_a_removed_version_says_so(registry, card):
    publish(registry, "numbers", FILES, card)
    publish(registry, "numbers", FILES, card)
    registry.remove("numbers:1")
    (registry.root / "models" / "numbers" / "aliases").mkdir()
    (registry.root / "models" / "numbers" / "aliases" / "best").write_text("1\n")  # set while it was being removed
    assert "numbers@best points to version 1, which was removed on" in hint_of(registry.resolve, "numbers@best")


@pytest.mark.parametrize("content", ["", "best", "0", "1 2", "../2"])
def test_a_damaged_alias_is_refused_and_can_be_set_anew(registry, card, content):
    publish(registry, "numbers", FILES, card)
    registry.set_alias("numbers", "best")
    (registry.root / "models" / "numbers" / "aliases" / "best").write_text(content)
    with pytest.raises(ArtefactError, match="best is damaged"):
        registry.resolve("numbers@best")
    registry.set_alias("numbers:1", "best")
    assert registry.resolve("numbers@best").number == 1


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"schema": 3}', '{"schema": 2, "card": {"schema": 7}}'])
def test_a_damaged_or_newer_version_is_refused_and_can_be_removed(registry, card, content):
    publish(registry, "numbers", FILES, card)
    publish(registry, "numbers", FILES, card)
    (registry.root / "models" / "numbers" / "2.json").write_text(content)
    for reference in ("numbers", "numbers:2"):
        with pytest.raises(ArtefactError, match=r"numbers[:/]2"):
            registry.resolve(reference)
    assert registry.resolve("numbers:1").number == 1
    registry.remove("numbers:2")
    assert registry.resolve("numbers").number == 1


def test_the_frozen_version_is_read(registry, frozen, tmp_path):
    contents = [b"weights of the frozen example", b"its tokenizer", b'{"schema": 1}']
    for content in contents:
        (tmp_path / "source").write_bytes(content)
        registry.blobs.store(tmp_path / "source")
    (registry.root / "models" / "old").mkdir(parents=True)
    (registry.root / "models" / "old" / "4.json").write_text(json.dumps(frozen))
    version = registry.resolve("old")
    assert version.reference == "old:4"
    assert [version.read(file) for file in ("weights.safetensors", "tokenizer.model", "recipe.json")] == contents
    assert version.published == "2026-03-01T12:30:05+00:00"
    assert version.card.train_test_overlap == 7


def test_gc_deletes_what_no_version_uses(registry, card):
    publish(registry, "numbers", {"weights": b"old weights", "recipe.json": b"{}"}, card)
    kept = publish(registry, "numbers", {"weights": b"new", "recipe.json": b"{}"}, card)
    registry.remove("numbers:1")
    assert registry.gc() == 0  # all of it is young
    age(registry)
    assert registry.gc() == len(b"old weights")
    assert [kept.read(file) for file in kept.files] == [b"new", b"{}"]
    assert registry.gc() == 0


def test_gc_deletes_what_writers_left_unfinished(registry, card):
    publish(registry, "numbers", FILES, card)
    registry.set_alias("numbers", "best")
    before = everything(registry)
    for directory in ("models", "models/numbers", "models/numbers/aliases", "blobs/sha256/ab"):
        (registry.root / directory).mkdir(exist_ok=True)
        (registry.root / directory / ".left.tmp").write_bytes(b"12345")
    assert registry.gc() == 0
    age(registry)
    assert registry.gc() == 4 * 5
    assert everything(registry) == before


def test_gc_deletes_nothing_where_a_version_cannot_be_read(registry, card):
    publish(registry, "numbers", FILES, card)
    registry.remove("numbers")
    publish(registry, "newer", {}, card)
    (registry.root / "models" / "newer" / "1.json").write_text('{"schema": 3}')
    age(registry)
    before = everything(registry)
    with pytest.raises(ArtefactError, match="newer:1: schema 3"):
        registry.gc()
    assert everything(registry) == before


def test_a_publisher_writes_again_what_a_gc_took_before_it_was_published(registry, card, monkeypatch):
    claim = Registry._claim

    def swept_before(self, *arguments):
        age(self)
        assert self.gc() == sum(map(len, FILES.values()))
        return claim(self, *arguments)

    monkeypatch.setattr(Registry, "_claim", swept_before)
    version = publish(registry, "numbers", FILES, card)
    assert {name: version.read(name) for name in version.files} == FILES


@pytest.mark.parametrize("code", [errno.EPERM, errno.ENOTSUP, errno.EXDEV])
def test_without_links_numbers_are_claimed_as_well(registry, card, monkeypatch, code):
    def refused(*_: object) -> None:
        raise OSError(code, "no links here")

    monkeypatch.setattr(os, "link", refused)
    assert [publish(registry, "numbers", FILES, card).number for _ in range(3)] == [1, 2, 3]
    registry.remove("numbers:3")
    assert publish(registry, "numbers", FILES, card).number == 4
    assert not [name for name in everything(registry) if name.endswith(".tmp")]


def test_a_number_claimed_by_one_that_died_is_passed_over(registry, card):
    publish(registry, "numbers", FILES, card)
    (registry.root / "models" / "numbers" / "2.json").touch()
    assert registry.resolve("numbers").number == 1
    assert "numbers:2 is not published yet" in hint_of(registry.resolve, "numbers:2")
    assert publish(registry, "numbers", FILES, card).number == 3
    assert registry.gc() == 0


@pytest.mark.parametrize("links", [True, False])
def test_a_taken_name_is_left_alone(tmp_path, monkeypatch, links):
    def refused(*_: object) -> None:
        raise OSError(errno.EPERM, "no links here")

    if not links:
        monkeypatch.setattr(os, "link", refused)
    finished, target = tmp_path / "finished", tmp_path / "target"
    finished.write_text("mine")
    target.write_text("another's")
    assert not claim(finished, target)
    assert target.read_text() == "another's"
    assert claim(finished, tmp_path / "free")
    assert (tmp_path / "free").read_text() == "mine"


def test_a_link_whose_success_was_reported_as_a_failure_counts(registry, card, monkeypatch):
    link = os.link

    def lost_answer(source: Path, target: Path) -> None:
        link(source, target)
        raise FileExistsError(errno.EEXIST, "taken", str(target))

    monkeypatch.setattr(os, "link", lost_answer)
    assert [publish(registry, "numbers", FILES, card).number for _ in range(2)] == [1, 2]


@pytest.mark.parametrize("links", ["yes", "no"])
def test_processes_that_publish_at_once_get_numbers_of_their_own(registry, links):
    frozen = Path(__file__).parent / "frozen" / "version-2.json"
    done = subprocess.run(
        [sys.executable, "-c", PUBLISH, registry.root, frozen, links],
        env=os.environ | {"PYTHONPATH": str(Path(s2s.__file__).parents[1])},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    claimed = dict(line.split(" ", 1) for line in done.stdout.splitlines())
    assert sorted(map(int, claimed)) == list(range(1, 13))
    for version in registry.versions("shared"):
        assert version.read("own").decode() == claimed[str(version.number)]
        assert version.read("same") == b"the same"
    assert len(everything(registry)) == 12 + 12 + 1


def test_files_are_readable_by_whom_the_umask_allows(registry, card):
    before = os.umask(0o027)
    try:
        publish(registry, "numbers", FILES, card)
        registry.set_alias("numbers", "best")
    finally:
        os.umask(before)
    modes = {path.stat().st_mode & 0o777 for path in registry.root.rglob("*") if path.is_file()}
    assert modes == {0o640}
    assert {path.stat().st_mode & 0o777 for path in registry.root.rglob("*") if path.is_dir()} == {0o750}


def test_a_registry_that_is_a_file_cannot_be_written(tmp_path, card):
    (tmp_path / "file").write_text("")
    registry = Registry(tmp_path / "file")
    for call in (lambda: publish(registry, "numbers", FILES, card), lambda: registry.check_writable("numbers")):
        assert "S2S_REGISTRY" in hint_of(call, error=ResourceError)


def test_a_writable_registry_is_left_as_it_was(registry):
    registry.check_writable("numbers")
    assert everything(registry) == set()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_user_who_may_only_read_can_read_and_is_told_so(card):
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)
        registry = Registry(Path(directory) / "registry")
        publish(registry, "numbers", FILES, card)
        before = everything(registry)
        os.seteuid(65534)
        try:
            assert registry.resolve("numbers").read("recipe.json") == b"{}"
            for call in (
                lambda: publish(registry, "numbers", {}, card),
                lambda: registry.set_alias("numbers", "best"),
                lambda: registry.remove("numbers"),
                lambda: registry.check_writable("numbers"),
            ):
                assert "S2S_REGISTRY" in hint_of(call, error=ResourceError)
        finally:
            os.seteuid(0)
        assert everything(registry) == before
