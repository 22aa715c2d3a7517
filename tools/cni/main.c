/* main.c: sluice-cni. It is the plugin that it is called as: "sluice" is Netavark's, any other name CNI's. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/cni/cni.h"
#include "tools/cni/netavark.h"

static void print_usage(void)
{
	printf("sluice-cni %s: a CNI plugin (0.3.1 to 1.1.0), and by the name \"sluice\" one of Netavark's.\n"
	       "Container runtimes call it: \"sluicectl network conflist NAME\" prints their "
	       "configuration.\n",
		SLUICE_VERSION);
}

int main(int argc, char **argv)
{
	const char *slash = argc ? strrchr(argv[0], '/') : NULL, *name = slash	? slash + 1
									 : argc ? argv[0]
										: "";

	if (strcmp(name, "sluice") == 0)
		return netavark_main(argc, argv);
	if (!getenv("CNI_COMMAND")) {
		print_usage();
		return argc > 1 ? 0 : 1;
	}
	return cni_main();
}
