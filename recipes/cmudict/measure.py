"""Measure pronunciations: errors in phonemes and in words, against the nearest of several references.

    python measure.py cmudict/test.references attention.txt bottleneck.txt g2p-en.txt

Line i of each output is a pronunciation of the word whose references are in line i, separated by tabs. Phoneme errors
are insertions, deletions and substitutions per phoneme of the nearest reference, the first of several, summed over all
words. A word is wrong if it differs from all its references.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

Phonemes = Sequence[str]


def without_stress(phonemes: Phonemes) -> Phonemes:
    """Return phonemes without the digits that mark the stress of vowels: AH0 -> AH."""
    return [phoneme.rstrip("012") for phoneme in phonemes]


def edit_distance(one: Phonemes, other: Phonemes) -> int:
    """Return the fewest insertions, deletions and substitutions that make one sequence the other."""
    row = list(range(len(other) + 1))
    for count, phoneme in enumerate(one, 1):
        diagonal, row[0] = row[0], count
        for position, expected in enumerate(other, 1):
            change = diagonal + (phoneme != expected)
            diagonal = row[position]
            row[position] = min(change, row[position] + 1, row[position - 1] + 1)
    return row[-1]


def error_rates(outputs: Sequence[Phonemes], references: Sequence[Sequence[Phonemes]]) -> tuple[float, float]:
    """Return the phoneme and word error rates, in percent."""
    edits = phonemes = wrong = 0
    for output, several in zip(outputs, references, strict=True):
        distances = [edit_distance(output, reference) for reference in several]
        nearest = distances.index(min(distances))
        edits += distances[nearest]
        phonemes += len(several[nearest])
        wrong += distances[nearest] > 0
    return 100 * edits / phonemes, 100 * wrong / len(references)


def read_lines(path: Path) -> list[str]:
    """Return the lines of a file."""
    return path.read_text(encoding="utf-8").splitlines()


def main() -> None:
    """Print a table of error rates, a row for each file of outputs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("references", type=Path, help="all pronunciations of a word on its line, separated by tabs")
    parser.add_argument("outputs", type=Path, nargs="+", help="a pronunciation on each line, phonemes between spaces")
    options = parser.parse_args()
    references = [[text.split() for text in line.split("\t")] for line in read_lines(options.references)]
    print(f"{len(references):,} words\n")
    print("| system | phoneme errors | word errors | phoneme errors without stress | word errors without stress |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for path in options.outputs:
        outputs = [line.split() for line in read_lines(path)]
        if len(outputs) != len(references):
            parser.error(f"{path} has {len(outputs):,} lines, {options.references} {len(references):,}")
        stressed = error_rates(outputs, references)
        unstressed = error_rates(
            [without_stress(output) for output in outputs],
            [[without_stress(text) for text in several] for several in references],
        )
        print(f"| {path.stem} | " + " | ".join(f"{rate:.1f} %" for rate in (*stressed, *unstressed)) + " |")


if __name__ == "__main__":
    main()
