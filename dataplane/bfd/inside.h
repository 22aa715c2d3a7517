/* inside.h: what the files of this room share. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "dataplane/bfd/bfd.h"
#include "dataplane/bfd/hold.h"
#include "dataplane/bfd/session.h"
#include "dataplane/frame/parse.h"

enum {
	BFD_SOURCE_PORT = 49152,
	BFD_HOPS = 255,
	BFD_HEADERS_MAX = 14 + 40 + 8,
};

/* Under the lock. */
struct bfd_peer {
	struct bfd_session session;
	struct bfd_want want;
	struct hold_peer hold;
	uint8_t state;	/* that was judged last */
	bool ends;	/* bfd_unwant() */
	uint64_t downs; /* times that it was lost */
	uint8_t head;	/* bytes of headers ready made, 0: it cannot be reached */
	uint8_t headers[BFD_HEADERS_MAX];
	/* what control was told last */
	uint8_t told_state;
	bool told_cut;
};

/* What workers know of a peer; immutable, all of them published together. */
struct bfd_gate {
	struct ip_addr remote; /* none: free */
	uint32_t mine;
	uint16_t peer;
	bool routed;
	uint64_t each; /* cycles between two packets that it may send at most */
};
struct bfd_gates {
	uint32_t mask;
	struct bfd_gate gate[]; /* open addressing, at most half full */
};

struct bfd_inside {
	pthread_mutex_t lock; /* of peers; held for microseconds */
	pthread_t thread;
	bool running;
	_Atomic(bool) stop, asleep, news;
	int wake_fd;
	_Atomic(struct bfd_gates *) gates; /* NULL: no peers, so that BFD is not for us */
	_Atomic(uint64_t) full[BFD_PEERS]; /* TSC at which a peer may send a burst again */
	struct bfd_peer *peers[BFD_PEERS];
	uint16_t top;		     /* peers have numbers below it */
	uint64_t due[BFD_PEERS];     /* the thread's: when a session wants its turn */
	bool dirty;		     /* control changed something: every session gets a turn */
	uint64_t planned, decide_at; /* when the thread meant to wake, and looks again at who is lost */
	_Atomic(bool) hold;
	_Atomic(uint64_t) holds;
	uint64_t random;
};

/** Control. Publishes what workers know of the peers. -ENOMEM: they keep to the old one. */
int bfd_gates_publish(struct dp *dp);

/** Writes the headers for a datagram to the peer. */
void bfd_headers_make(struct bfd_peer *peer, uint16_t number);

/** Has the peer's packet sent. False: worker 0 has no room, later. */
bool bfd_headers_send(struct dp *dp, const struct bfd_peer *peer, const struct bfd_packet *packet);

/** Ends the thread's sleep. Any thread. */
void bfd_wake(struct bfd_inside *b);

/** CLOCK_MONOTONIC in microseconds. */
uint64_t bfd_now_us(void);
