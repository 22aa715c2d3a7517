#include "tests/front/station.h"

#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "bench/front/rx.h"
#include "bench/front/tx.h"

enum { BURST = 32, MOST_STATIONS = 2, PATIENCE_MS = 1000 };

int station_connect(struct station *s)
{
	int rc = s->front ? 0 : front_create(&s->front, &s->opt);

	if (rc == 0)
		rc = front_connect(s->front);
	s->connected = rc == 0;
	return rc;
}

void station_disconnect(struct station *s)
{
	s->wrong += station_bad_used(s); /* the next one has rings of its own */
	front_destroy(s->front);
	s->front = NULL;
	s->connected = false;
}

static void take(struct station *s, const struct front_ring *r, const struct front_frame *frame)
{
	uint8_t whole[STAMP_MAX + 1]; /* one that is too long stays so */
	struct stamp stamp;

	if (stamp_read(whole, front_rx_copy(r, frame, whole, sizeof(whole)), &stamp))
		s->receive(s->arg, s, &stamp);
	else
		s->wrong++;
}

unsigned station_poll(struct station *s)
{
	struct front_frame frames[BURST];
	unsigned n, all = 0;

	for (unsigned pair = 0; s->connected && pair < s->opt.pairs; pair++) {
		struct front_ring *r = front_rx_ring(s->front, pair);

		while ((n = front_rx_burst(r, frames, BURST)) > 0) {
			for (unsigned i = 0; i < n; i++)
				take(s, r, &frames[i]);
			front_rx_done(r, frames, n);
			all += n;
		}
	}
	return all;
}

bool station_send(struct station *s, unsigned pair, const uint8_t to[6], const struct stamp *stamp)
{
	struct stamp whole = *stamp;
	uint8_t frame[STAMP_MAX];
	struct front_ring *r;
	size_t len;

	if (!s->connected)
		return false;
	r = front_tx_ring(s->front, pair);
	if (front_tx_room(r, 1) == 0)
		return false;
	memcpy(whole.dst, to, sizeof(whole.dst));
	memcpy(whole.src, s->mac, sizeof(whole.src));
	len = stamp_write(&whole, frame);
	memset(front_tx_frame(r, 0) - FRONT_HDR, 0, FRONT_HDR);
	memcpy(front_tx_frame(r, 0), frame, len);
	front_tx_length(r, 0, (uint32_t)len);
	front_tx_publish(r, 1);
	return true;
}

static bool frame_waits(const struct station *s)
{
	struct front_ring *r;

	for (unsigned pair = 0; pair < s->opt.pairs; pair++) {
		r = front_rx_ring(s->front, pair);
		if (front_rx_ready(r, 1) > 0)
			return true;
	}
	return false;
}

static void interrupts(const struct station *s, bool on)
{
	for (unsigned pair = 0; s->connected && pair < s->opt.pairs; pair++)
		front_ring_interrupts(front_rx_ring(s->front, pair), on);
}

/* The call descriptors of a station, after `n` others. Returns how many there are then. */
static unsigned call_fds(const struct station *s, struct pollfd *fds, unsigned n)
{
	for (unsigned pair = 0; s->connected && pair < s->opt.pairs; pair++)
		fds[n++] = (struct pollfd){.fd = front_rx_ring(s->front, pair)->call, .events = POLLIN};
	return n;
}

static void drain(const struct pollfd *fds, unsigned n)
{
	eventfd_t count;

	for (unsigned i = 0; i < n; i++)
		if (fds[i].revents & POLLIN)
			eventfd_read(fds[i].fd, &count);
}

/* A frame came and no word of it so far: it may be on its way. */
static void expect_call(struct station *s)
{
	struct pollfd fds[FRONT_MAX_PAIRS];
	unsigned n = call_fds(s, fds, 0);

	if (frame_waits(s) && poll(fds, n, PATIENCE_MS) == 0)
		s->silent++;
	drain(fds, n);
}

bool station_wait(struct station *const *stations, unsigned n, int fd, int ms)
{
	struct pollfd fds[1 + MOST_STATIONS * FRONT_MAX_PAIRS] = {{.fd = fd, .events = POLLIN}};
	unsigned nfds = 1;
	bool waits = false;
	int ready = 0;

	for (unsigned i = 0; i < n; i++) {
		interrupts(stations[i], true);
		nfds = call_fds(stations[i], fds, nfds);
		waits |= stations[i]->connected && frame_waits(stations[i]);
	}
	ready = poll(fds, nfds, waits ? 0 : ms);
	drain(fds + 1, nfds - 1);
	for (unsigned i = 0; i < n && ready == 0 && !waits; i++)
		if (stations[i]->connected)
			expect_call(stations[i]);
	for (unsigned i = 0; i < n; i++)
		interrupts(stations[i], false);
	return fds[0].revents;
}

uint64_t station_bad_used(const struct station *s)
{
	uint64_t sum = 0;

	for (unsigned pair = 0; s->front && pair < s->opt.pairs; pair++)
		sum += front_rx_ring(s->front, pair)->bad_used + front_tx_ring(s->front, pair)->bad_used;
	return sum;
}
