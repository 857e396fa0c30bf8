"""s2s: train, compare and use sequence-to-sequence models from the command line."""

__version__ = "0.1.0"
