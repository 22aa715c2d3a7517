#include "control/api/socket.h"

#include <errno.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/api/api.h"

static int name_it(const char *path, const char *field, struct sockaddr_un *address, struct api_err *err)
{
	*address = (struct sockaddr_un){.sun_family = AF_UNIX};
	if (strlen(path) >= sizeof(address->sun_path))
		return api_fail(
			err, API_INVALID, field, "longer than %zu bytes", sizeof(address->sun_path) - 1);
	strcpy(address->sun_path, path);
	return 0;
}

/* A full queue of a daemon that is busy counts, too. */
static bool is_served(const struct sockaddr_un *address)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	bool served = fd >= 0 && (connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 ||
					 errno == EAGAIN);

	if (fd >= 0)
		close(fd);
	return served;
}

/* What lies at the path must be a socket that nobody serves, if anything. */
static int clear_path(const struct sockaddr_un *address, const char *field, struct api_err *err)
{
	struct stat file;

	if (lstat(address->sun_path, &file) < 0)
		return 0;
	if (!S_ISSOCK(file.st_mode)) {
		api_fail(err, API_EXISTS, field, "%s: is there and no socket", address->sun_path);
		return -EEXIST;
	}
	if (is_served(address)) {
		api_fail(err, API_IN_USE, field, "%s: another process serves it", address->sun_path);
		return -EADDRINUSE;
	}
	unlink(address->sun_path);
	return 0;
}

int rpc_socket_take(const char *path, const char *field, struct sockaddr_un *address, struct api_err *err)
{
	return name_it(path, field, address, err) < 0 ? -ENAMETOOLONG : clear_path(address, field, err);
}

int rpc_socket_check(const char *path, struct api_err *err)
{
	static const char field[] = "control.socket";
	char *copy = strdup(path), *dir;
	struct sockaddr_un address;
	struct stat file;
	int rc;

	if (!copy)
		return api_fail(err, API_INTERNAL, NULL, "out of memory");
	dir = dirname(copy);
	rc = name_it(path, field, &address, err);
	if (rc == 0 && lstat(path, &file) == 0 && !S_ISSOCK(file.st_mode))
		rc = api_fail(err, API_EXISTS, field, "%s: is there and no socket", path);
	else if (rc == 0 && (stat(dir, &file) == 0 ? !S_ISDIR(file.st_mode) : stat(dirname(dir), &file) < 0))
		rc = api_fail(err, API_NOT_FOUND, field, "%s: there is no such folder", path);
	free(copy);
	return rc;
}
