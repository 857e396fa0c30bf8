"""Pronounce words with g2p-en, a GRU encoder–decoder with one fixed vector, whose weights are in its PyPI package.

    pip download --no-deps g2p-en
    python g2p_en.py g2p_en-*.whl cmudict/test.letters > g2p-en.txt

The package itself looks words up in CMUdict and downloads it; here, its network pronounces every word.
E: embedding size, H: hidden size.
"""

import argparse
import io
import zipfile
from collections.abc import Mapping
from pathlib import Path
from string import ascii_lowercase

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
VOWELS = ("AA", "AE", "AH", "AO", "AW", "AY", "EH", "ER", "EY", "IH", "IY", "OW", "OY", "UH", "UW")
STOPS = ("B", "CH", "D", "G", "JH", "K", "P", "T")
FRICATIVES = ("DH", "F", "HH", "S", "SH", "TH", "V", "Z", "ZH")
SONORANTS = ("L", "M", "N", "NG", "R", "W", "Y")
LETTERS = ["<pad>", "<unk>", "</s>", *ascii_lowercase]
PHONEMES = [
    *["<pad>", "<unk>", "<s>", "</s>"],
    *sorted(["UW", *STOPS, *FRICATIVES, *SONORANTS, *(vowel + stress for vowel in VOWELS for stress in "012")]),
]
MAX_PHONEMES = 20  # of a word, as in the package


def gru_step(weights: Mapping[str, Array], side: str, inputs: Array, state: Array) -> Array:
    """Return the next state [H] of one side's GRU cell, given its input [E]; gates are in the order r, z, n."""
    from_input = weights[f"{side}_w_ih"] @ inputs + weights[f"{side}_b_ih"]
    from_state = weights[f"{side}_w_hh"] @ state + weights[f"{side}_b_hh"]
    (input_r, input_z, input_n), (state_r, state_z, state_n) = np.split(from_input, 3), np.split(from_state, 3)
    reset, update = 1 / (1 + np.exp(-(input_r + state_r))), 1 / (1 + np.exp(-(input_z + state_z)))
    following: Array = (1 - update) * np.tanh(input_n + reset * state_n) + update * state
    return following


def pronounce(weights: Mapping[str, Array], word: str) -> list[str]:
    """Return the phonemes of a word by greedy search; characters other than letters are unknown to the network."""
    state = np.zeros(weights["enc_w_hh"].shape[1], dtype=np.float32)
    for letter in [*word, "</s>"]:
        known = letter if letter in LETTERS else "<unk>"
        state = gru_step(weights, "enc", weights["enc_emb"][LETTERS.index(known)], state)
    phonemes = ["<s>"]
    while len(phonemes) <= MAX_PHONEMES and phonemes[-1] != "</s>":
        state = gru_step(weights, "dec", weights["dec_emb"][PHONEMES.index(phonemes[-1])], state)
        phonemes.append(PHONEMES[int(np.argmax(weights["fc_w"] @ state + weights["fc_b"]))])
    return [phoneme for phoneme in phonemes if phoneme not in {"<s>", "</s>"}]


def main() -> None:
    """Print the pronunciation of each word of a file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("wheel", type=Path, help="g2p_en-VERSION-py3-none-any.whl")
    parser.add_argument("words", type=Path, help="a word on each line, letters between spaces")
    options = parser.parse_args()
    with np.load(io.BytesIO(zipfile.ZipFile(options.wheel).read("g2p_en/checkpoint20.npz"))) as file:
        weights = dict(file)
    for line in options.words.read_text(encoding="utf-8").splitlines():
        print(*pronounce(weights, line.replace(" ", "")))


if __name__ == "__main__":
    main()
