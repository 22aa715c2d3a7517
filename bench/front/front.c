#include "bench/front/front.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "bench/front/private.h"
#include "bench/front/rx.h"
#include "bench/front/tx.h"

int front_fail(struct front *f, int rc, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(f->error, sizeof(f->error), fmt, args);
	va_end(args);
	return rc;
}

static int take_options(struct front *f, const struct front_options *opt)
{
	f->opt = *opt;
	f->opt.pairs = opt->pairs ? opt->pairs : 1;
	f->opt.ring_size = opt->ring_size ? opt->ring_size : 256;
	f->opt.buffer_size = opt->buffer_size ? opt->buffer_size : 1536;
	f->opt.tx_buffer_size = opt->tx_buffer_size ? opt->tx_buffer_size : f->opt.buffer_size;
	f->opt.features = opt->features ? opt->features : FRONT_FEATURES;
	f->opt.timeout_ms = opt->timeout_ms ? opt->timeout_ms : 5000;
	if (f->opt.pairs > FRONT_MAX_PAIRS || f->opt.ring_size < 2 || f->opt.ring_size > 32768 ||
		(f->opt.ring_size & (f->opt.ring_size - 1)) || f->opt.buffer_size > 65536 ||
		f->opt.tx_buffer_size > 65536)
		return -EINVAL;
	f->address.sun_family = AF_UNIX;
	if (opt->socket) {
		if (strlen(opt->socket) >= sizeof(f->address.sun_path))
			return -EINVAL;
		memcpy(f->address.sun_path, opt->socket, strlen(opt->socket) + 1);
		f->opt.socket = f->address.sun_path;
	}
	return 0;
}

static int make_rings(struct front *f)
{
	size_t rx = front_ring_bytes(f->opt.ring_size, f->opt.buffer_size);
	size_t tx = front_ring_bytes(f->opt.ring_size, f->opt.tx_buffer_size);
	unsigned count = 2 * f->opt.pairs;
	int rc = front_memory_open(&f->memory[0], (rx + tx) * f->opt.pairs, f->opt.pages);

	if (rc < 0)
		return rc;
	f->rings = calloc(count, sizeof(f->rings[0]));
	if (!f->rings)
		return -ENOMEM;
	for (unsigned i = 0; i < count; i++) {
		bool receives = i % 2 == 0;

		front_ring_layout(&f->rings[i], f->memory[0].base + i / 2 * (rx + tx) + (receives ? 0 : rx),
			f->opt.ring_size, receives ? f->opt.buffer_size : f->opt.tx_buffer_size);
		front_ring_reset(
			&f->rings[i], f->memory[0].base, front_guest_base(f, 0), receives, false, false);
		f->rings[i].mergeable = true;
	}
	return 0;
}

int front_lay_out(struct front *f, const struct front_options *opt)
{
	int rc = take_options(f, opt);

	return rc < 0 ? rc : make_rings(f);
}

void front_clear_out(struct front *f)
{
	free(f->rings);
	f->rings = NULL;
	for (unsigned i = 0; i < FRONT_MEMORIES; i++)
		front_memory_close(&f->memory[i]);
}

static int listen_for_backend(struct front *f)
{
	f->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (f->listener < 0)
		return -errno;
	unlink(f->address.sun_path);
	if (bind(f->listener, (struct sockaddr *)&f->address, sizeof(f->address)) < 0 ||
		listen(f->listener, 1) < 0)
		return -errno;
	return 0;
}

int front_create(struct front **out, const struct front_options *opt)
{
	struct front *f = calloc(1, sizeof(*f));
	int rc;

	if (!f)
		return -ENOMEM;
	f->listener = f->socket = -1;
	for (unsigned i = 0; i < FRONT_MEMORIES; i++)
		f->memory[i].fd = -1;
	rc = front_lay_out(f, opt);
	if (rc == 0 && f->opt.listen)
		rc = listen_for_backend(f);
	if (rc < 0) {
		front_destroy(f);
		return rc;
	}
	*out = f;
	return 0;
}

static int accept_backend(struct front *f)
{
	struct pollfd pending = {.fd = f->listener, .events = POLLIN};

	int ready = poll(&pending, 1, f->opt.timeout_ms);

	if (ready < 0)
		return front_fail(
			f, -errno, "%s: waiting for the back-end: %s", f->address.sun_path, strerror(errno));
	if (ready == 0)
		return front_fail(f, -ETIMEDOUT, "%s: no back-end connected in time", f->address.sun_path);
	f->socket = accept4(f->listener, NULL, NULL, SOCK_CLOEXEC);
	return f->socket < 0 ? front_fail(f, -errno, "accept: %s", strerror(errno)) : 0;
}

static int connect_backend(struct front *f)
{
	f->socket = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (f->socket < 0 || connect(f->socket, (struct sockaddr *)&f->address, sizeof(f->address)) < 0)
		return front_fail(f, -errno, "%s: %s", f->address.sun_path, strerror(errno));
	return 0;
}

int front_connect(struct front *f)
{
	struct timeval timeout = {
		.tv_sec = f->opt.timeout_ms / 1000, .tv_usec = f->opt.timeout_ms % 1000 * 1000L};
	int rc;

	if (!f->opt.socket)
		return front_fail(f, -EINVAL, "this front has no socket");
	front_disconnect(f);
	rc = f->opt.listen ? accept_backend(f) : connect_backend(f);
	if (rc == 0) {
		setsockopt(f->socket, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
		setsockopt(f->socket, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
		rc = front_handshake(f);
	}
	if (rc < 0)
		front_disconnect(f);
	return rc;
}

void front_disconnect(struct front *f)
{
	for (unsigned i = 0; f->rings && i < 2 * f->opt.pairs; i++)
		front_close_eventfds(&f->rings[i]);
	if (f->socket >= 0)
		close(f->socket);
	f->socket = -1;
}

int front_stop(struct front *f)
{
	int rc = f->socket < 0 ? front_fail(f, -ENOTCONN, "not connected") : front_handshake_stop(f);

	front_disconnect(f);
	return rc;
}

void front_destroy(struct front *f)
{
	if (!f)
		return;
	front_disconnect(f);
	if (f->listener >= 0) {
		close(f->listener);
		unlink(f->address.sun_path);
	}
	front_clear_out(f);
	free(f);
}

const char *front_error(const struct front *f)
{
	return f->error;
}

int front_socket(const struct front *f)
{
	return f->socket;
}

struct front_ring *front_rx_ring(struct front *f, unsigned pair)
{
	return &f->rings[2 * (size_t)pair];
}

struct front_ring *front_tx_ring(struct front *f, unsigned pair)
{
	return &f->rings[2 * (size_t)pair + 1];
}

int front_send(struct front *f, const void *frame, size_t len)
{
	struct front_ring *r = front_tx_ring(f, 0);

	if (len == 0 || len > r->buffer_size)
		return -EMSGSIZE;
	if (front_tx_room(r, 1) == 0)
		return -EAGAIN;
	memset(front_tx_frame(r, 0) - FRONT_HDR, 0, FRONT_HDR);
	memcpy(front_tx_frame(r, 0), frame, len);
	front_tx_length(r, 0, (uint32_t)len);
	front_tx_publish(r, 1);
	return 0;
}

size_t front_rx_copy(const struct front_ring *r, const struct front_frame *frame, void *to, size_t cap)
{
	size_t done = 0;

	for (uint16_t i = 0; i < frame->buffers && done < cap && done < frame->len; i++) {
		struct front_given given = front_rx_given(r, (uint16_t)(frame->first + i));
		/* Only the first buffer begins with a header; the others begin with data where it would be.
		 */
		const uint8_t *from = front_ring_buffer(r, (uint16_t)given.id & r->mask) + FRONT_HEADROOM;
		size_t n = i == 0 ? frame->contiguous : given.len;

		from -= i == 0 ? 0 : FRONT_HDR;
		n = n > r->buffer_size + FRONT_HDR ? 0 : n;
		n = n > cap - done ? cap - done : n;
		memcpy((uint8_t *)to + done, from, n);
		done += n;
	}
	return done;
}

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Waits for a frame. A call that is read may be of frames that were seen without it, so there may be none yet. */
static bool wait_for_frame(struct front_ring *r, struct front_frame *frame, int timeout_ms)
{
	struct pollfd called = {.fd = r->call, .events = POLLIN};
	int64_t end = now_ms() + timeout_ms, left = timeout_ms;
	eventfd_t count;

	while (front_rx_burst(r, frame, 1) == 0) {
		if (left < 0 || poll(&called, 1, (int)left) == 0)
			return front_rx_burst(r, frame, 1) == 1;
		eventfd_read(r->call, &count);
		left = end - now_ms();
	}
	return true;
}

int front_receive(struct front *f, void *to, size_t cap, int timeout_ms)
{
	struct front_ring *r = front_rx_ring(f, 0);
	struct front_frame frame;
	size_t len;
	bool came;

	front_ring_interrupts(r, true);
	came = wait_for_frame(r, &frame, timeout_ms);
	front_ring_interrupts(r, false);
	if (!came)
		return -EAGAIN;
	len = front_rx_copy(r, &frame, to, cap);
	front_rx_done(r, &frame, 1);
	return (int)len;
}
