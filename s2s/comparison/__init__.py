"""Comparison: several models on one test set, and what sets them apart."""
