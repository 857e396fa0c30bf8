"""The corpora in the home directory: find, list and remove them."""

from pathlib import Path

from s2s.data.directories import creation_lock
from s2s.errors import UsageError, did_you_mean, wrap_os_errors
from s2s.io.paths import directory_size, home_dir, real_directories, remove_tree


def corpora_directory() -> Path:
    """Return the directory of all corpora."""
    return home_dir() / "corpora"


def corpus_directories() -> list[Path]:
    """Return the directories of corpora, damaged ones included, in alphabetical order."""
    with wrap_os_errors(corpora_directory(), "read"):
        return sorted(path for path in real_directories(corpora_directory()) if not path.name.startswith("."))


def remove_corpus(name: str) -> tuple[Path, int]:
    """Remove a corpus, damaged or not, and return its directory and the bytes freed.

    `name`: that of its directory, or how the name begins. Processes that are reading it are not disturbed.
    Raises: UsageError if there is no such corpus or there are several.
    """
    known = corpus_directories()
    found = [path for path in known if path.name.startswith(name)]
    if not name or not found:
        hint = did_you_mean(name, [path.name for path in known]) or "s2s data list lists the corpora"
        raise UsageError(f"corpus {name}: no such corpus", hint)
    if len(found) > 1:
        raise UsageError(f"corpus {name} could be {' or '.join(path.name for path in found)}", "write more of the name")
    (directory,) = found
    with creation_lock(directory), wrap_os_errors(directory, "remove"):
        size = directory_size(directory)
        remove_tree(directory)
    return directory, size
