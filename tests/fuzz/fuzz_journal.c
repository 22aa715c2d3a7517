/*
 * The file in which registrations survive. The input's lines are changes, which get the numbers and checksums that
 * they would have: whatever they say, a start takes what it can and writes on. An input that begins with "!" is a
 * file as it is: refused, or read; and what a repair makes of it can be read.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "registry/source/consul/consul.h"
#include "registry/store/journal.h"
#include "registry/store/line.h"
#include "registry/store/repair.h"
#include "tests/unit/registry/world.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void write_file(const char *path, const uint8_t *data, size_t size)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, size), (ssize_t)size);
	close(fd);
}

static bool start_and_end(const char *path)
{
	struct consul_config config = {0};
	struct consul *consul = NULL;
	struct world *w;
	bool refused;

	world_setup((void **)&w);
	w->socket_error = ENETUNREACH; /* checks that it makes probe nobody */
	config.base = w->base;
	config.reg = w->reg;
	refused = journal_open(w->base, path, w->reg, &config.journal, &w->err) == -EBADMSG;
	assert_true(refused || config.journal);
	if (!refused)
		assert_int_equal(consul_open(&config, &consul), 0);
	consul_close(consul);
	journal_close(config.journal);
	world_teardown((void **)&w);
	return !refused;
}

/* The changes of the input as the lines of a file. */
static void write_lines(const char *path, const uint8_t *data, size_t size)
{
	struct journal_text changes = {0}, lines = {0};
	uint64_t number = 1;
	size_t count = 0;

	assert_int_equal(journal_text_add(&changes, (const char *)data, size), 0);
	assert_int_equal(journal_text_add(&changes, "\n", 1), 0);
	for (size_t i = 0; i < changes.len; i++)
		count += changes.text[i] == '\n' && i > 0 && changes.text[i - 1] != '\n';
	assert_int_equal(journal_line_head(&lines, &number, count), 0);
	for (char *at = changes.text, *end; at < changes.text + changes.len; at = end + 1) {
		end = memchr(at, '\n', changes.len - (size_t)(at - changes.text));
		if (end > at)
			assert_int_equal(journal_line_add(&lines, &number, at, (size_t)(end - at) + 1), 0);
	}
	write_file(path, (const uint8_t *)lines.text, lines.len);
	free(changes.text);
	free(lines.text);
}

/* What a start refuses, a repair makes fit for one; except what another version wrote. */
static void repair(const char *path)
{
	struct journal_repair done;
	struct reg_err err;

	if (journal_repair(path, &done, &err) < 0)
		return;
	assert_true(start_and_end(path));
	if (done.file[0])
		unlink(done.file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char dir[] = "/dev/shm/sluice-fuzz-XXXXXX", path[64];

	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/log", dir);
	if (size && data[0] == '!')
		write_file(path, data + 1, size - 1);
	else
		write_lines(path, data, size);
	if (start_and_end(path))
		assert_true(start_and_end(path)); /* which reads what the first wrote */
	else
		repair(path);
	unlink(path);
	assert_int_equal(rmdir(dir), 0); /* nothing else is left */
	return 0;
}
