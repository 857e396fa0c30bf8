"""Runs: create, resume, check, publish, remove."""
