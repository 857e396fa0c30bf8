"""Receive messages without blocking the process."""

import asyncio

from s2s.serving.protocol import LENGTHS, Message, parse_lengths, parse_message


async def receive(reader: asyncio.StreamReader, timeout: float | None = None) -> Message | None:
    """Receive a message; None at the end of the stream.

    `timeout`: seconds that a message may take once it has begun.
    Raises: ArtefactError if it is not a message, TimeoutError, OSError.
    """
    first = await reader.read(1)
    if not first:
        return None
    async with asyncio.timeout(timeout):
        try:
            lengths = parse_lengths(first + await reader.readexactly(LENGTHS.size - 1))
            content = await reader.readexactly(sum(lengths))
        except asyncio.IncompleteReadError:
            return None
    return parse_message(content, lengths[0])
