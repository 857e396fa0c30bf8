"""Compare models on one test set."""
