"""Fixtures for tests that run the daemon (tests/api, tests/integration, tests/interop)."""

import os
import shutil
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from rig.daemon import Daemon  # noqa: E402
from rig.netns import Netns  # noqa: E402


@pytest.fixture
def stack():
    """An ExitStack: whatever a test enters is closed in reverse order, also when it fails."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def start_sluiced(stack):
    """Starts a daemon with a configuration: start_sluiced({...}). Ended and checked after the test."""
    return lambda config=None, args=(), ns=None: stack.enter_context(Daemon(config, args, ns=ns))


@pytest.fixture
def sluiced(start_sluiced):
    """A running daemon without any object."""
    return start_sluiced()


@pytest.fixture
def netns(stack):
    """Makes namespaces: netns("web"). Deleted after the test."""
    return lambda label="c": stack.enter_context(Netns(label))


def need(*programs):
    """Skips the test, with the reason, when a program is missing or the tests don't run as root."""
    if os.geteuid() != 0:
        pytest.skip("needs root: namespaces, TAP interfaces")
    for name in programs:
        if not shutil.which(name):
            pytest.skip(f"needs {name}, which is not installed")


@pytest.fixture
def requires():
    return need
