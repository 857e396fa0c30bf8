"""The corpora in the home directory: find, list and remove them."""

from pathlib import Path

from s2s.data.directories import creation_lock, remove_directory
from s2s.errors import UsageError, did_you_mean, wrap_os_errors
from s2s.io.paths import directory_size, home_dir, real_directories

PARTS = ".parts"  # what the names of directories of unfinished corpora end with


def corpora_directory() -> Path:
    """Return the directory of all corpora."""
    return home_dir() / "corpora"


def corpus_directories() -> list[Path]:
    """Return the directories of corpora, damaged ones included, in alphabetical order."""
    return [path for path in _directories() if not path.name.startswith(".")]


def parts_directory(corpus: Path) -> Path:
    """Return where the parts of a corpus are kept until it is complete."""
    return corpus.with_name(f".{corpus.name}{PARTS}")


def unfinished_corpora() -> list[Path]:
    """Return the directories that corpora will have whose preparation was interrupted, or goes on."""
    found = [path for path in _directories() if path.name.startswith(".") and path.name.endswith(PARTS)]
    corpora = [path.with_name(path.name[1:].removesuffix(PARTS)) for path in found]
    return [path for path in corpora if not path.exists()]


def remove_corpus(name: str) -> tuple[Path, int]:
    """Remove a corpus, damaged or unfinished ones too, and return its directory and the bytes freed.

    `name`: that of its directory, or how the name begins. Processes that have opened its splits are not disturbed; one
    that is preparing it is waited for.
    Raises: UsageError if there is no such corpus or there are several.
    """
    known = sorted({*corpus_directories(), *unfinished_corpora()})
    found = [path for path in known if path.name.startswith(name)]
    if not name or not found:
        hint = did_you_mean(name, [path.name for path in known]) or "s2s data list lists the corpora"
        raise UsageError(f"corpus {name}: no such corpus", hint)
    if len(found) > 1:
        raise UsageError(f"corpus {name} could be {' or '.join(path.name for path in found)}", "write more of the name")
    (directory,) = found
    with creation_lock(directory), wrap_os_errors(directory, "remove"):
        present = [path for path in (directory, parts_directory(directory)) if path.exists()]
        size = sum(map(directory_size, present))
        for path in present:
            remove_directory(path, directory)
    return directory, size


def _directories() -> list[Path]:
    with wrap_os_errors(corpora_directory(), "read"):
        return sorted(real_directories(corpora_directory()))
