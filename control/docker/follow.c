/*
 * follow.c: what happens beside Docker's calls. A container's interface is moved into its sandbox and given a name there,
 * and nobody tells: it is looked for by its MAC, so that the daemon can make it again under the same name. And endpoints
 * that a Docker which was killed never took back are dropped when their sandbox is gone.
 */
#include <event2/event.h>
#include <unistd.h>

#include "control/base/log.h"
#include "control/base/params.h"
#include "control/docker/inside.h"
#include "control/host/netns.h"
#include "control/model/objects.h"
#include "control/model/port_tap.h"

enum { FOLLOW_MS = 50, FOLLOW_QUICK = 200, SLOW_MS = 1000, SWEEP_S = 15 };

static void look_in(struct event *timer, unsigned ms)
{
	struct timeval when = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};

	evtimer_add(timer, &when);
}

/* True: not known yet. */
static bool look(struct docker *docker, const char *id, json_t *record)
{
	char name[DOCKER_NAME], ifname[PORT_TAP_IFNAME];
	struct model_port *port;

	if (!param_given(record, "sandbox") || param_given(record, "ifname"))
		return false;
	port = model_port(docker->model, docker_name(id, name));
	if (!port || port_tap_find(port, ifname) < 0)
		return port != NULL;
	json_object_set_new(record, "ifname", json_string(ifname));
	docker_keep(docker, DOCKER_ENDPOINT, id);
	port_tap_keep(docker->model, port, "ifname", json_string(ifname));
	return false;
}

static void on_follow(evutil_socket_t fd, short what, void *arg)
{
	struct docker *docker = arg;
	bool more = false;
	const char *id;
	json_t *record;

	json_object_foreach (docker->records[DOCKER_ENDPOINT], id, record)
		more = look(docker, id, record) || more;
	if (more)
		look_in(docker->follow, docker->looks++ < FOLLOW_QUICK ? FOLLOW_MS : SLOW_MS);
}

void docker_follow(struct docker *docker)
{
	docker->looks = 0;
	look_in(docker->follow, FOLLOW_MS);
}

static bool is_there(const char *netns)
{
	int fd = netns_open(netns);
	bool yes = fd >= 0;

	if (yes)
		close(fd);
	return yes;
}

/*
 * Docker, back for a while, has had its time to take back what it knows of from before. What it has made since is left alone:
 * a sandbox is made only after the container has joined.
 */
static bool is_forgotten(const struct docker *docker, const json_t *record)
{
	const char *sandbox = param_str(record, "sandbox");

	return param_int(record, "at", 0) < docker->activated && !(sandbox && is_there(sandbox));
}

static void on_sweep(evutil_socket_t fd, short what, void *arg)
{
	struct docker *docker = arg;
	struct api_err err;
	const char *id;
	json_t *record;
	void *next;

	json_object_foreach_safe(docker->records[DOCKER_ENDPOINT], next, id, record)
	{
		if (!is_forgotten(docker, record))
			continue;
		log_line(LOG_NOTICE, "docker: endpoint %.12s is gone, and Docker has not said so", id);
		if (docker_endpoint_drop(docker, id, &err) < 0)
			log_line(LOG_WARNING, "docker: endpoint %.12s stays: %s", id, err.text);
	}
}

void docker_sweep_later(struct docker *docker)
{
	docker->activated = docker_now_ms();
	look_in(docker->sweep, SWEEP_S * 1000);
}

int docker_follow_open(struct docker *docker)
{
	docker->follow = evtimer_new(docker->base, on_follow, docker);
	docker->sweep = evtimer_new(docker->base, on_sweep, docker);
	return docker->follow && docker->sweep ? 0 : -1;
}

void docker_follow_close(struct docker *docker)
{
	if (docker->follow)
		event_free(docker->follow);
	if (docker->sweep)
		event_free(docker->sweep);
}
