"""Filters: decide which training pairs are kept, held out or dropped, and why.

Filters on text run while the pairs are read and leave a few bytes for each pair, however long it is. Those that count
tokens run when the pairs are encoded.
"""
