"""Objects by the daemon's API: what it refuses, with which number and line."""

import pytest

from rig.daemon import RpcError

INVALID, NOT_FOUND, EXISTS, IN_USE = -32602, -32001, -32002, -32003


def refused(daemon, method, code, text, **params):
    """The call is refused with that code, and its line begins with `text`."""
    with pytest.raises(RpcError) as refusal:
        daemon.rpc(method, **params)
    assert (refusal.value.code, refusal.value.message[:len(text)]) == (code, text), refusal.value.message


def given(params):
    """Without those that are None."""
    return {key: value for key, value in params.items() if value is not None}


def names(rows):
    return [row["name"] for row in rows]
