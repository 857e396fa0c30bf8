"""The HTTP interface of a server: a process of its own, which is one more client."""
