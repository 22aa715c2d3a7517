#include "bench/peer/program.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ERROR_BYTES = 256 };

extern char **environ;

static int spawn(pid_t *pid, const char *path, const char *verb, int out, int err)
{
	char *argv[] = {(char *)path, (char *)verb, NULL};
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	int rc;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
	posix_spawn_file_actions_adddup2(&actions, err, STDERR_FILENO);
	posix_spawnattr_init(&attributes);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
	rc = posix_spawn(pid, path, &actions, &attributes, argv, environ);
	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&actions);
	return -rc;
}

/* The last line that is not empty of what a file holds. */
static void last_line(int fd, char *error)
{
	char text[4096];
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);
	off_t size = lseek(fd, 0, SEEK_END);

	if (size >= (off_t)sizeof(text))
		n = pread(fd, text, sizeof(text) - 1, size - (off_t)sizeof(text) + 1);
	text[n > 0 ? n : 0] = '\0';
	for (size_t len = strlen(text); len > 0 && text[len - 1] == '\n'; len--)
		text[len - 1] = '\0';
	const char *start = strrchr(text, '\n');

	snprintf(error, ERROR_BYTES, "%s", start ? start + 1 : text);
}

/*
 * Both streams go to files rather than pipes: a switch that `up` leaves behind may keep them open, and would
 * keep a pipe from ever ending.
 */
int program_run(const char *path, const char *verb, void (*line)(void *context, const char *text),
	void *context, char *error)
{
	int out = memfd_create("stdout", MFD_CLOEXEC), err = memfd_create("stderr", MFD_CLOEXEC);
	int rc = -ENOMEM, status;
	char text[2048];
	FILE *file;
	pid_t pid;

	error[0] = '\0';
	if (out < 0 || err < 0)
		goto done;
	rc = spawn(&pid, path, verb, out, err);
	if (rc < 0) {
		snprintf(error, ERROR_BYTES, "%s: %s", path, strerror(-rc));
		goto done;
	}
	while ((rc = waitpid(-1, &status, 0)) != pid)
		if (rc < 0 && errno != EINTR)
			goto done;
	rc = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	last_line(err, error);
	file = lseek(out, 0, SEEK_SET) == 0 ? fdopen(out, "r") : NULL;
	if (!file)
		goto done;
	while (line && fgets(text, sizeof(text), file)) {
		text[strcspn(text, "\n")] = '\0';
		line(context, text);
	}
	fclose(file);
	out = -1;
done:
	if (out >= 0)
		close(out);
	if (err >= 0)
		close(err);
	return rc;
}
