"""Diagnosis: notice what is wrong with parallel text, such as shifted lines, swapped sides and wrong encodings."""

from s2s.data.diagnosis.datasets import DatasetDiagnosis
from s2s.data.diagnosis.diagnosis import Diagnosis

__all__ = ["DatasetDiagnosis", "Diagnosis"]
