/*
 * fault.c: lets what a process writes below one directory fail, as a test says meanwhile.
 *
 *   SLUICE_FAULT_DIR    the directory
 *   SLUICE_FAULT        a file with "CALL ERRNO": calls of that name ("write", "fsync": also fdatasync, "rename") fail
 *                       so; missing or empty: none. "lose ERRNO" is a failing fsync that has spoiled what was there,
 *                       as a disk may.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* What `call` on `path` is to fail with, 0: nothing. */
static int fault_of(const char *call, const char *path)
{
	const char *dir = getenv("SLUICE_FAULT_DIR"), *control = getenv("SLUICE_FAULT");
	char name[16] = "";
	int number = 0;
	FILE *file;

	if (!dir || !control || strncmp(path, dir, strlen(dir)) != 0)
		return 0;
	file = fopen(control, "re");
	if (!file)
		return 0;
	if (fscanf(file, "%15s %d", name, &number) != 2)
		number = 0;
	fclose(file);
	return strcmp(name, call) == 0 ? number : 0;
}

static int fault_of_fd(const char *call, int fd)
{
	char link[32], path[512];
	struct stat st;
	ssize_t n;

	if (fstat(fd, &st) < 0 || !(S_ISREG(st.st_mode) || S_ISDIR(st.st_mode)))
		return 0;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof(path) - 1);
	if (n < 0)
		return 0;
	path[n] = '\0';
	return fault_of(call, path);
}

static int fails(int number)
{
	if (number)
		errno = number;
	return number;
}

/* What the disk makes of a page that it could not write. */
static void spoil(int fd)
{
	char link[32];
	int other;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	other = open(link, O_WRONLY | O_CLOEXEC); /* not to append */
	if (other >= 0 && pwrite(other, "XXXX", 4, 8) < 0)
		perror("fault.c");
	if (other >= 0)
		close(other);
}

static int sync_with(const char *name, int fd)
{
	int (*next)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);

	if (fails(fault_of_fd("fsync", fd)))
		return -1;
	if (fails(fault_of_fd("lose", fd))) {
		spoil(fd);
		errno = EIO;
		return -1;
	}
	return next(fd);
}

int fsync(int fd)
{
	return sync_with("fsync", fd);
}

int fdatasync(int fd)
{
	return sync_with("fdatasync", fd);
}

ssize_t write(int fd, const void *bytes, size_t len)
{
	ssize_t (*next)(int, const void *, size_t) =
		(ssize_t(*)(int, const void *, size_t))dlsym(RTLD_NEXT, "write");

	return fails(fault_of_fd("write", fd)) ? -1 : next(fd, bytes, len);
}

int rename(const char *from, const char *to)
{
	int (*next)(const char *, const char *) =
		(int (*)(const char *, const char *))dlsym(RTLD_NEXT, "rename");

	return fails(fault_of("rename", from)) ? -1 : next(from, to);
}
