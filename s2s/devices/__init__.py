"""Devices: selection, leases, memory, runtime settings."""
