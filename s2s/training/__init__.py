"""Training: from a recipe to a published model."""
