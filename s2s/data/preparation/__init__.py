"""Prepare a corpus in blocks of pairs, which several processes or machines can share.

1. `reading`: the training pairs are read; each block is stored with the fingerprints of its pairs.
2. `selecting`: from the fingerprints of all blocks it is decided which pairs are kept; the tokenizer is trained.
3. `encoding`: each block is encoded and stored as a shard of the corpus.
4. `assembly`: the shards, validation and test become the corpus.

Blocks depend only on the inputs. Steps 1 and 3 are done by shards, of which each does every Nth block: the corpus is
the same, byte for byte, however many there are. An interrupted preparation continues with the blocks that are missing.
"""
