"""Data: sentence pairs from their sources to batches."""
