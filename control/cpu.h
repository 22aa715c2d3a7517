/* cpu.h: can this processor run what the daemon was built for? Compiled for any x86-64, as main.c is. */
#pragma once

/** Names an instruction set that the build uses and the processor, or the kernel, lacks; NULL: none. Any thread. */
const char *cpu_lacks(void);
