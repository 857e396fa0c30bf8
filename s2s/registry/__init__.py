"""The registry: published models under names and versions, and leases of devices."""
