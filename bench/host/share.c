#include "bench/host/share.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench/host/host.h"

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
	for (unsigned i = 0; i < s->n; i++) {
		struct host_sched sched = host_sched(pid, s->thread[i]);

		s->ran_ns[i] = sched.ran_ns;
		s->away_ms[i] = sched.waited_ns / 1000000 + sched.runs;
	}
	s->at_ns = host_now_ns();
}

double share_end_pct(const struct share *s, pid_t pid, uint64_t *away_ms)
{
	uint64_t passed = host_now_ns() - s->at_ns, most = 0;

	*away_ms = 0;
	for (unsigned i = 0; i < s->n; i++) {
		struct host_sched sched = host_sched(pid, s->thread[i]);

		if (sched.ran_ns <= s->ran_ns[i] || sched.ran_ns - s->ran_ns[i] <= most)
			continue;
		most = sched.ran_ns - s->ran_ns[i];
		*away_ms = sched.waited_ns / 1000000 + sched.runs - s->away_ms[i];
	}
	return passed > 0 ? 100.0 * (double)most / (double)passed : 0;
}
