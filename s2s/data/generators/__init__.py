"""Embedded data, made from a seed."""
