"""Metrics: text in, figures out, each with its signature."""
