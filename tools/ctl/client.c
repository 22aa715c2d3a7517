#include "tools/ctl/client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

struct client {
	FILE *in;
	int fd;
};

struct client *client_open(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct client *client = calloc(1, sizeof(*client));

	if (!client || strlen(path) >= sizeof(address.sun_path)) {
		fprintf(stderr, "sluicectl: --socket: \"%s\" is too long\n", path);
		free(client);
		return NULL;
	}
	strcpy(address.sun_path, path);
	client->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (client->fd < 0 || connect(client->fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
		!(client->in = fdopen(client->fd, "r"))) {
		fprintf(stderr, "sluicectl: no daemon at %s: %s\n", path, strerror(errno));
		if (client->fd >= 0)
			close(client->fd);
		free(client);
		return NULL;
	}
	return client;
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
			return -1;
		text += n;
		len -= (size_t)n;
	}
	return 0;
}

static json_t *read_object(struct client *client)
{
	char *line = NULL;
	size_t size = 0;
	ssize_t len = getline(&line, &size, client->in);
	json_t *object = len > 0 ? json_loadb(line, (size_t)len, 0, NULL) : NULL;

	free(line);
	return object;
}

static int send_request(struct client *client, const char *method, json_t *params)
{
	json_t *request = json_pack("{s:s, s:i, s:s, s:o}", "jsonrpc", "2.0", "id", 1, "method", method,
		"params", params ? params : json_object());
	char *text = request ? json_dumps(request, JSON_COMPACT) : NULL;
	int rc = text && send_all(client->fd, text) == 0 && send_all(client->fd, "\n") == 0 ? 0 : -1;

	free(text);
	json_decref(request);
	return rc;
}

json_t *client_call(
	struct client *client, const char *method, json_t *params, char *error, size_t size, int *code)
{
	json_t *response = send_request(client, method, params) == 0 ? read_object(client) : NULL;
	json_t *result = json_object_get(response, "result"), *refused = json_object_get(response, "error");
	const char *text = json_string_value(json_object_get(refused, "message"));

	*code = (int)json_integer_value(json_object_get(refused, "code"));
	snprintf(error, size, "%s", text ? text : "the daemon closed the connection");
	json_incref(result);
	json_decref(response);
	return result;
}

json_t *client_next(struct client *client)
{
	return read_object(client);
}
