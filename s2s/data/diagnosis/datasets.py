"""Check the pairs of each dataset of a mixture on its own."""

import itertools
from collections.abc import Iterable
from dataclasses import replace
from operator import attrgetter

from s2s.data.diagnosis.diagnosis import Diagnosis
from s2s.data.ledger import Finding
from s2s.data.mixed import dataset_names
from s2s.data.readers.pair import Pair
from s2s.recipe.data import DataOptions, parts_of


class DatasetDiagnosis:
    """Checks the pairs of data in one pass, those of each dataset with its languages.

    Pairs of a generator and captions are not text of people on both sides, and are not checked.
    """

    def __init__(self, data: DataOptions) -> None:
        self._names = dataset_names(data)
        self._by_dataset = [
            None
            if part.kind == "generator" or part.image_size
            else Diagnosis(part.source_language, part.target_language)
            for part in parts_of(data)
        ]

    def add(self, pairs: Iterable[Pair]) -> None:
        """Check the next pairs."""
        for dataset, together in itertools.groupby(pairs, attrgetter("dataset")):
            if diagnosis := self._by_dataset[dataset]:
                diagnosis.add(together)

    def findings(self) -> list[Finding]:
        """Return what is wrong with the pairs, and in a mixture with which dataset; call it once, after the last."""
        return [
            replace(finding, message=f"{self._names[number]}: {finding.message}") if self._names else finding
            for number, diagnosis in enumerate(self._by_dataset)
            if diagnosis
            for finding in diagnosis.findings()
        ]
