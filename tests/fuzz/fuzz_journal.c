/* The file in which registrations survive: whatever is in it, a start takes what it can read and writes on. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "registry/http.h"
#include "tests/unit/registry_world.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void write_file(const char *path, const uint8_t *data, size_t size)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, size), (ssize_t)size);
	close(fd);
}

static void start_and_end(const char *path)
{
	struct http_config config = {.listen = "127.0.0.1:0", .store = path};
	struct http *http;
	struct world *w;

	world_setup((void **)&w);
	w->socket_error = ENETUNREACH; /* checks that it makes probe nobody */
	config.base = w->base;
	config.reg = w->reg;
	assert_int_equal(http_open(&config, &http, &w->err), 0);
	http_close(http);
	world_teardown((void **)&w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char dir[] = "/dev/shm/sluice-fuzz-XXXXXX", path[64];

	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/log", dir);
	write_file(path, data, size);
	start_and_end(path);
	start_and_end(path); /* which reads what the first wrote */
	unlink(path);
	assert_int_equal(rmdir(dir), 0); /* nothing else is left */
	return 0;
}
