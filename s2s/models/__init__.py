"""Networks: encoders, attention, decoders, and the one interface behind which they stand."""
