"""What needs other systems' programs (tools/setup --interop): the real daemon with QEMU's guests and Consul's clients."""

from rig.fixtures import as_root, container, pair, router  # noqa: F401
