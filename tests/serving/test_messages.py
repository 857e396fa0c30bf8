"""Requests and results as messages between processes."""

import contextlib
import socket
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from s2s.data.sources import Image
from s2s.decoding.engine import DecodingInput, ForcedSentence, Hypothesis, Request
from s2s.errors import ArtefactError, DataError, S2SError, UsageError
from s2s.recipe.decoding import DecodingOptions
from s2s.serving.messages import (
    ForcedRequest,
    ModelKey,
    Wanted,
    error_message,
    force_message,
    parse_error,
    parse_force,
    parse_result,
    parse_scores,
    parse_search,
    result_message,
    scores_message,
    search_message,
)
from s2s.serving.protocol import LENGTHS, Message, receive_now
from s2s.serving.status import BusyError, StoppingError

VOCABULARY = 50
KEY = ModelKey(models=("a:1",))


def wanted(count: int, **given: object) -> Wanted:
    return Wanted(key=KEY, options=DecodingOptions(beam_size=3), count=count, **given)  # type: ignore[arg-type]


def sent(message: Message) -> Message:
    """Return a message as the other end of a socket receives it."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        thread = threading.Thread(target=ours.sendall, args=(message.encode(),))
        thread.start()
        received = receive_now(theirs)
        thread.join()
    assert received is not None
    return received


def test_a_search_arrives_as_it_was_sent():
    inputs = [
        DecodingInput([4, 5, 49], 20, 2, [7, 8], (3, 1)),
        DecodingInput([6], 13, 0, [], (2**40, 0)),
    ]
    asked = wanted(2, nbest=2, need_attention=True, prefixes=True)
    message = sent(search_message(Request(inputs, asked.options, 2, True), asked, 5))
    assert message.values["id"] == 5
    assert Wanted.parse(message.values["wanted"]) == asked
    assert parse_search(message, asked, VOCABULARY) == Request(inputs, asked.options, 2, True)


@pytest.mark.parametrize("dtype", [np.uint8, np.float16], ids=["pixels", "features"])
def test_images_arrive_as_they_were_sent(dtype):
    pixels = np.random.default_rng(1).integers(0, 255, (2, 3, 5, 3)).astype(dtype)
    asked = wanted(2, images=True)
    request = Request([DecodingInput(Image(one), 9) for one in pixels], asked.options)
    found = parse_search(sent(search_message(request, asked, 1)), asked, VOCABULARY)
    assert all(np.array_equal(one.source.pixels, two) for one, two in zip(found.inputs, pixels, strict=True))


@pytest.mark.parametrize("with_attention", [False, True])
def test_results_arrive_as_they_were_sent(with_attention):
    def hypothesis(length: int, truncated: bool) -> Hypothesis:
        attention = np.random.default_rng(length).random((length + 1, 4), dtype=np.float32) if with_attention else None
        return Hypothesis(list(range(length)), -1 / 3 * length, -1 / 7, truncated, attention)

    results = [[hypothesis(3, False), hypothesis(0, False)], [hypothesis(5, True)]]
    found = parse_result(sent(result_message(results, 1)))
    for nbest, expected in zip(found, results, strict=True):
        for one, other in zip(nbest, expected, strict=True):
            assert (one.tokens, one.log_probability, one.score) == (other.tokens, other.log_probability, other.score)
            assert one.truncated is other.truncated
            assert np.array_equal(one.attention, other.attention) if with_attention else one.attention is None


@pytest.mark.parametrize("with_attention", [False, True])
def test_scores_arrive_as_they_were_sent(with_attention):
    random = np.random.default_rng(2)
    asked = wanted(2, need_attention=with_attention)
    request = ForcedRequest([[4], [5, 6, 7]], [[], [8, 9]], with_attention)
    found = parse_force(sent(force_message(request, asked, 1)), asked, VOCABULARY)
    assert [*found.sources, *found.targets] == [[4], [5, 6, 7], [], [8, 9]]
    maps = [random.random((2, 3), dtype=np.float32), random.random((1, 4), dtype=np.float32)]
    scores = [
        ForcedSentence(random.random(length, dtype=np.float32), one if with_attention else None)
        for length, one in zip((1, 3), maps, strict=True)
    ]
    for one, other in zip(parse_scores(sent(scores_message(scores, 1))), scores, strict=True):
        assert np.array_equal(one.log_probabilities, other.log_probabilities)
        assert np.array_equal(one.attention, other.attention) if with_attention else one.attention is None


@pytest.mark.parametrize(
    "error", [UsageError("no", "do"), DataError("no"), StoppingError("no"), BusyError("no", 2.5), S2SError("no")]
)
def test_errors_stay_what_they_are(error):
    found = parse_error(sent(error_message(error, 1)))
    assert (type(found), found.message, found.hint) == (type(error), error.message, error.hint)
    assert getattr(found, "retry_after", None) == getattr(error, "retry_after", None)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"source": [[50]]}, "tokens should be numbers from 0 to 49"),
        ({"source": [[-1]]}, "tokens should be numbers from 0 to 49"),
        ({"source": [[]]}, "has no tokens"),
        ({"prefix": [99]}, "tokens should be"),
        ({"max_length": 0}, "maximum lengths should be"),
        ({"max_length": 10**9}, "maximum lengths should be"),
        ({"count": 2}, "numbers of sources, limits and prefixes differ"),
    ],
)
def test_what_a_model_cannot_compute_is_refused(changes, reason):
    (source,) = changes.get("source", [[4]])
    one = DecodingInput(source, changes.get("max_length", 9), prefix=changes.get("prefix", []))
    asked = wanted(changes.get("count", 1))
    with pytest.raises(UsageError, match=reason):
        parse_search(search_message(Request([one], asked.options), asked, 1), asked, VOCABULARY)


@given(st.binary(max_size=200), st.sampled_from(["values", "payload", "lengths"]), st.integers(0, 200))
def test_damaged_messages_are_refused(junk, where, position):
    asked = wanted(2)
    request = Request([DecodingInput([4, 5], 9), DecodingInput([6], 9)], asked.options)
    whole = search_message(request, asked, 1).encode()
    start = {"lengths": 0, "values": LENGTHS.size, "payload": len(whole) - 60}[where] + position % 40
    damaged = whole[:start] + junk + whole[start + len(junk) :]
    ours, theirs = socket.socketpair()
    with theirs:
        with ours:
            ours.sendall(damaged)
        with contextlib.suppress(ArtefactError, UsageError):
            message = receive_now(theirs)
            if message is not None:
                found = parse_search(message, Wanted.parse(message.values.get("wanted")), VOCABULARY)
                assert all(0 <= token < VOCABULARY for one in found.inputs for token in one.source)
