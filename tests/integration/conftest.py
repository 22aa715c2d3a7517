"""Integration tests: the real daemon with real kernels, drivers and DPDK applications attached to it."""

from rig.fixtures import as_root, container, pair, router  # noqa: F401
