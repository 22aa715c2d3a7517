#include "tools/ctl/client.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

struct client {
	FILE *in;
	int fd;
	const struct client_names *names;
};

/* Of each wait for the daemon: for room in its queue of connections, to send, to receive. */
static int limit_waits(int fd, unsigned seconds)
{
	struct timeval limit = {.tv_sec = seconds};

	if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) < 0)
		return -1;
	return setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
}

static int is_socket(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISSOCK(st.st_mode);
}

/* What `error` of connect() means to who wants to reach the daemon. */
static void say_why(const char *path, int error, unsigned timeout_s, const struct client_names *names,
	char text[CLIENT_ERROR])
{
	switch (error) {
	case EACCES:
	case EPERM:
		snprintf(text, CLIENT_ERROR, "%s: permission denied: be root, or a user who may write to it",
			path);
		break;
	case ENOENT:
		snprintf(text, CLIENT_ERROR, "no daemon at %s: start sluiced, or name its socket by %s", path,
			names->socket);
		break;
	case ECONNREFUSED:
		if (is_socket(path))
			snprintf(text, CLIENT_ERROR,
				"no daemon at %s: the one that made it has ended; start sluiced", path);
		else
			snprintf(text, CLIENT_ERROR, "%s: %s is no socket", names->socket, path);
		break;
	case EAGAIN:
		snprintf(text, CLIENT_ERROR, "the daemon at %s takes no connection for %u s%s%s%s", path,
			timeout_s, names->timeout ? " (" : "", names->timeout ? names->timeout : "",
			names->timeout ? ")" : "");
		break;
	default:
		snprintf(text, CLIENT_ERROR, "%s: %s", path, strerror(error));
	}
}

static int connect_to(const char *path, unsigned timeout_s)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), rc;

	memcpy(address.sun_path, path, strlen(path) + 1);
	if (fd < 0)
		return -errno;
	if (limit_waits(fd, timeout_s) == 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
		return fd;
	rc = -errno;
	close(fd);
	return rc;
}

struct client *client_open(
	const char *path, unsigned timeout_s, const struct client_names *names, char error[CLIENT_ERROR])
{
	struct client *client = calloc(1, sizeof(*client));

	if (!client || strlen(path) >= sizeof(((struct sockaddr_un *)0)->sun_path)) {
		snprintf(error, CLIENT_ERROR, "%s: \"%s\" is too long", names->socket, path);
		free(client);
		return NULL;
	}
	client->names = names;
	client->fd = connect_to(path, timeout_s);
	if (client->fd >= 0 && (client->in = fdopen(client->fd, "r")))
		return client;
	say_why(path, client->fd < 0 ? -client->fd : ENOMEM, timeout_s, names, error);
	if (client->fd >= 0)
		close(client->fd);
	free(client);
	return NULL;
}

void client_close(struct client *client)
{
	if (!client)
		return;
	fclose(client->in);
	free(client);
}

static int send_all(int fd, const char *text)
{
	for (size_t len = strlen(text); len;) {
		ssize_t n = send(fd, text, len, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -errno;
		text += n;
		len -= (size_t)n;
	}
	return 0;
}

enum { WHY = 128 };

static void why_broken(const struct client *client, int error, char why[WHY])
{
	const char *timeout = client->names->timeout;

	if (error == EAGAIN)
		snprintf(why, WHY, "the daemon does not answer; it may still do what was asked%s%s%s",
			timeout ? " (" : "", timeout ? timeout : "", timeout ? " S waits longer)" : "");
	else
		snprintf(why, WHY, "the daemon closed the connection");
}

/* NULL with `why`: what the user is told. */
static json_t *read_object(struct client *client, char why[WHY])
{
	char *line = NULL;
	size_t size = 0;
	ssize_t len = getline(&line, &size, client->in);
	int error = ferror(client->in) ? errno : 0;
	json_t *object = NULL;

	why_broken(client, error, why);
	if (len > 0 && !error) {
		object = json_loadb(line, (size_t)len, 0, NULL);
		snprintf(why, WHY, "the daemon's answer is no JSON");
	}
	free(line);
	return object;
}

static int send_request(struct client *client, const char *method, json_t *params, bool durable)
{
	json_t *request = json_pack("{s:s, s:i, s:s, s:o}", "jsonrpc", "2.0", "id", 1, "method", method,
		"params", params ? params : json_object());
	char *text;
	int rc;

	if (durable)
		json_object_set_new(request, "durable", json_true());
	text = request ? json_dumps(request, JSON_COMPACT) : NULL;
	rc = text ? send_all(client->fd, text) : -ENOMEM;

	if (rc == 0)
		rc = send_all(client->fd, "\n");
	free(text);
	json_decref(request);
	return rc;
}

static json_t *call(struct client *client, const char *method, json_t *params, bool durable, char *error,
	size_t size, int *code)
{
	int sent = send_request(client, method, params, durable);
	json_t *response = NULL, *result, *refused;
	char why[WHY];
	const char *text;

	why_broken(client, -sent, why);
	if (sent == 0)
		response = read_object(client, why);
	result = json_object_get(response, "result");
	refused = json_object_get(response, "error");
	text = json_string_value(json_object_get(refused, "message"));
	*code = (int)json_integer_value(json_object_get(refused, "code"));
	snprintf(error, size, "%s", text ? text : why);
	json_incref(result);
	json_decref(response);
	return result;
}

json_t *client_call(
	struct client *client, const char *method, json_t *params, char *error, size_t size, int *code)
{
	return call(client, method, params, false, error, size, code);
}

json_t *client_call_durable(
	struct client *client, const char *method, json_t *params, char *error, size_t size, int *code)
{
	return call(client, method, params, true, error, size, code);
}

json_t *client_next(struct client *client)
{
	char why[WHY];

	limit_waits(client->fd, 0);
	return read_object(client, why);
}
