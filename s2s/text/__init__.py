"""Text: the line contract, and the tokenizer."""
