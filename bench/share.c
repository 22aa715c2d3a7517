#include "bench/share.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* The first number of schedstat: nanoseconds on a core. */
static uint64_t ran_ns(pid_t pid, pid_t thread)
{
	unsigned long long ns = 0;
	char path[64];
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/schedstat", pid, thread);
	file = fopen(path, "re");
	if (!file)
		return 0;
	if (fscanf(file, "%llu", &ns) != 1)
		ns = 0;
	fclose(file);
	return ns;
}

void share_begin(struct share *s, pid_t pid)
{
	char path[32];
	DIR *dir;

	s->n = 0;
	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	dir = pid > 0 ? opendir(path) : NULL;
	for (struct dirent *entry; dir && s->n < SHARE_THREADS && (entry = readdir(dir)) != NULL;)
		if (entry->d_name[0] != '.')
			s->thread[s->n++] = (pid_t)strtol(entry->d_name, NULL, 10);
	if (dir)
		closedir(dir);
	for (unsigned i = 0; i < s->n; i++)
		s->ran_ns[i] = ran_ns(pid, s->thread[i]);
	s->at_ns = now_ns();
}

double share_end_pct(const struct share *s, pid_t pid)
{
	uint64_t passed = now_ns() - s->at_ns, most = 0;

	for (unsigned i = 0; i < s->n; i++) {
		uint64_t ran = ran_ns(pid, s->thread[i]);

		if (ran > s->ran_ns[i] && ran - s->ran_ns[i] > most)
			most = ran - s->ran_ns[i];
	}
	return passed > 0 ? 100.0 * (double)most / (double)passed : 0;
}
