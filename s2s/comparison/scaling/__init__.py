"""Scaling measured: a ladder of models, a law fitted to their losses, and a sealed prediction of a larger one."""
