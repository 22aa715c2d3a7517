/*
 * waiting.c: many who wait for a change of one service, each on a connection of its own. Those who ask for the
 * same can be told the same; those who each filter otherwise cannot.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "bench/client/load.h"
#include "bench/host/host.h"
#include "bench/peer/peer.h"
#include "bench/scenario/asking.h"

enum { WAITING = 5000 };

/* `filter`: of one's own, which all instances pass; 0: none. */
static int park(struct asking *a, int epoll, int *fd, uint64_t index, unsigned filter)
{
	struct epoll_event event = {.events = EPOLLIN};
	char path[128], own[48] = "";

	*fd = asker_http(a->s->peer->registry_http);
	if (*fd < 0)
		return *fd;
	event.data.fd = *fd;
	if (filter)
		snprintf(own, sizeof(own), "&filter=Service.Port!=%u", 10000 + filter);
	snprintf(path, sizeof(path), "/v1/health/service/s0?index=%llu&wait=10m%s", (unsigned long long)index,
		own);
	if (epoll_ctl(epoll, EPOLL_CTL_ADD, *fd, &event) < 0)
		return -errno;
	return asker_send(*fd, "GET", path, "");
}

/* The last of them is as good as parked when a question that came after it is answered. */
static int park_all(struct asking *a, int epoll, int fds[WAITING], bool different)
{
	uint64_t index = 0;
	int rc = 0;

	for (unsigned i = 0; i <= WAITING && rc >= 0; i++) {
		if (i % 100 == 0) {
			rc = asker_send(a->http, "GET", "/v1/health/service/s0", "");
			if (rc == 0)
				rc = asker_receive(a->http, &index);
		}
		if (i < WAITING && rc >= 0)
			rc = park(a, epoll, &fds[i], index, different ? i + 1 : 0);
	}
	return rc < 0 ? rc : 0;
}

static int hear_all(struct asking *a, int epoll, uint64_t changed, struct trial *t)
{
	struct epoll_event events[64];
	uint64_t index;
	int rc = 0;

	for (unsigned heard = 0; heard < WAITING && rc >= 0 && !atomic_load(a->s->stop);) {
		int n = epoll_wait(epoll, events, 64, 60000);

		if (n <= 0)
			return n < 0 ? -errno : -ETIMEDOUT;
		for (int i = 0; i < n && rc >= 0; i++, heard++) {
			rc = asker_receive(events[i].data.fd, &index);
			histogram_add(t->latency, host_tsc() - changed, 1);
			t->wrong += rc != ASKING_OK;
		}
	}
	return rc < 0 ? rc : 0;
}

/* Ends the DNS questions; those without an answer are lost. */
static int put_down(struct load *load, struct trial *t, int rc)
{
	struct load_result result;
	int stopped = load_stop(load, &result);

	t->value[METRIC_ANSWERS] = (double)result.answers / result.seconds;
	t->lost += result.questions - result.answers;
	free(result.woken);
	return rc < 0 ? rc : stopped;
}

static void hang_up(int *fds)
{
	for (unsigned i = 0; i < WAITING; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	free(fds);
}

static int *no_connections(void)
{
	int *fds = malloc(WAITING * sizeof(*fds));

	for (unsigned i = 0; fds && i < WAITING; i++)
		fds[i] = -1;
	return fds;
}

static int take(struct asking *a, const char *variant, bool different, bool beside)
{
	int epoll = epoll_create1(EPOLL_CLOEXEC), *fds = no_connections(), rc = fds ? 0 : -ENOMEM;
	double before = asking_rss_mb(a), parked;
	struct load *load = NULL;
	uint64_t changed;
	struct trial t;

	if (rc == 0)
		rc = asking_begin(a, variant, &t);
	if (rc < 0)
		goto out;
	if (beside) {
		load = load_start(a->s->peer->registry_http, a->s->peer->registry_dns, "s0");
		rc = load ? 0 : -errno;
	}
	if (rc == 0)
		rc = park_all(a, epoll, fds, different);
	parked = asking_rss_mb(a) - before;
	changed = host_tsc();
	if (rc == 0)
		rc = asking_enlist(a, "s0");
	if (rc == 0)
		rc = hear_all(a, epoll, changed, &t);
	if (!beside)
		t.value[METRIC_PARKED] = parked;
	if (load)
		rc = put_down(load, &t, rc);
	rc = asking_end(a, &t, changed, rc);
	hang_up(fds);
	fds = NULL;
out:
	free(fds);
	close(epoll);
	return rc;
}

int waiting_take(struct asking *a)
{
	int rc = take(a, "waiting", false, false);

	if (rc == 0)
		rc = take(a, "different", true, false);
	return rc == 0 ? take(a, "beside", false, true) : rc;
}
