/* cni.h: a CNI plugin (https://www.cni.dev/docs/spec/). */
#pragma once

/** Does what the environment and standard input say, and answers on standard output. The process's exit code. */
int cni_main(void);
