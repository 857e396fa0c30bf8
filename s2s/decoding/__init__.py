"""Decoding: search, translation of lines, evaluation."""
