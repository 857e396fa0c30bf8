import pytest

from s2s.errors import ArtefactError, DataError, ResourceError, S2SError, UsageError, did_you_mean


def test_each_kind_has_its_exit_code():
    kinds = (S2SError, UsageError, DataError, ArtefactError, ResourceError)
    assert [kind.exit_code for kind in kinds] == [1, 2, 3, 4, 5]


def test_an_error_is_its_message():
    error = UsageError("what is wrong", "what to do")
    assert str(error) == error.message == "what is wrong"
    assert error.hint == "what to do"
    assert S2SError("alone").hint is None


@pytest.mark.parametrize(
    ("name", "hint"),
    [("batch_token", "did you mean batch_tokens?"), ("atention", "did you mean attention?"), ("zzz", None)],
)
def test_did_you_mean(name, hint):
    assert did_you_mean(name, ["batch_tokens", "attention", "lr"]) == hint
