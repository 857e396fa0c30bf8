"""Recipes: everything about one model in a TOML file, checked before anything is built. Free of torch."""
