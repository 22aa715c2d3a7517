/*
 * netavark.h: a plugin of Netavark, which Podman from 4.5 on asks for its networks: `create` when a network is made,
 * `setup` and `teardown` with a container, `info`. Netavark runs a program of its plugin folder that is called like the
 * network's driver; what it says comes on standard input.
 */
#pragma once

/** The process's exit code. */
int netavark_main(int argc, char **argv);
