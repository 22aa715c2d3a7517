#include "control/model/state_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "registry/store/repair.h"

enum { PATH = 512 };

int state_dir_open(const char *dir, bool make, struct api_err *err)
{
	int fd = -1, rc = 0;

	if (make && mkdir(dir, 0700) < 0 && errno != EEXIST)
		rc = -errno;
	if (!rc)
		fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (!rc && (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0))
		rc = -errno;
	if (!rc)
		return fd;
	if (fd >= 0)
		close(fd);
	api_fail(err, API_INTERNAL, "state", "%s: %s", dir,
		rc == -EWOULDBLOCK ? "another sluiced uses it" : strerror(-rc));
	return rc;
}

int state_dir_path(const char *dir, const char *file, char *path, size_t size, struct api_err *err)
{
	if ((size_t)snprintf(path, size, "%s/%s", dir, file) < size)
		return 0;
	api_fail(err, API_INVALID, "state", "path too long");
	return -ENAMETOOLONG;
}

static void print_done(const char *path, const struct journal_repair *done)
{
	if (done->sound) {
		printf("%s: sound, %zu lines\n", path, done->kept);
		return;
	}
	printf("%s: %zu lines kept, %zu missing, %zu put aside%s%s\n", path, done->kept, done->missing,
		done->aside, done->file[0] ? " in " : "", done->file);
}

static int repair_file(const char *path)
{
	struct journal_repair done;
	struct reg_err why;
	int rc = journal_repair(path, &done, &why);

	if (rc == 0)
		print_done(path, &done);
	else if (rc == -ENOENT)
		printf("%s: there is none\n", path);
	else
		fprintf(stderr, "sluiced: %s\n", why.text);
	return rc == -ENOENT ? 0 : rc;
}

int state_dir_repair(const char *dir)
{
	static const char *const files[] = {
		STATE_DIR_OBJECTS, STATE_DIR_REGISTRY, STATE_DIR_DOCKER, STATE_DIR_CLUSTER, STATE_DIR_GLOBAL};
	struct api_err err;
	char path[PATH];
	int fd = state_dir_open(dir, false, &err), rc = fd < 0 ? -1 : 0;

	for (size_t i = 0; fd >= 0 && i < sizeof(files) / sizeof(files[0]); i++) {
		if (state_dir_path(dir, files[i], path, sizeof(path), &err) < 0) {
			rc = -1;
			break;
		}
		if (repair_file(path) < 0)
			rc = -2; /* said already */
	}
	if (rc == -1)
		fprintf(stderr, "sluiced: %s\n", err.text);
	if (fd >= 0)
		close(fd);
	return rc ? -1 : 0;
}
