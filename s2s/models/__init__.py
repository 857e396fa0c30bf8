"""Networks: encoders, decoders, attention, and their common interface."""
