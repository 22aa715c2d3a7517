"""What needs other systems' programs (tools/setup --interop): the real daemon with QEMU's guests and Consul's clients."""

import pytest

from rig.docker_world import docker_world
from rig.fixtures import as_root, container, pair, router  # noqa: F401


@pytest.fixture(scope="module")
def running(request):
    """A dockerd with its driver, for all tests of a file; DOCKER_WORLD of the file says how."""
    with docker_world(**getattr(request.module, "DOCKER_WORLD", {})) as world:
        yield world


@pytest.fixture
def world(running):
    """The same; after the test nothing of containers may be left."""
    yield running
    running.clear()
