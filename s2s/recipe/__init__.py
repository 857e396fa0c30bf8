"""Recipes: TOML files that fully describe one model, validated before anything is built. Does not import torch."""
