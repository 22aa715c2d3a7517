#include "dataplane/overlay/watch.h"

#include <string.h>

#include "dataplane/bfd/bfd.h"
#include "dataplane/core/private.h"
#include "dataplane/overlay/vtep.h"

static bool at_host(const struct vtep_record *record, struct ip_addr remote)
{
	return record->used && ip_equal(record->remote, remote);
}

/* Of the vteps at a host the one that wants to hear of it most often. NULL: none does. */
static const struct vtep_record *keenest(const struct dp *dp, struct ip_addr remote)
{
	const struct vtep_record *best = NULL;

	for (unsigned i = 0; i < MAX_VTEPS; i++) {
		const struct vtep_record *record = &dp->priv->vtep[i];

		if (record->bfd_ms && at_host(record, remote) && (!best || record->bfd_ms < best->bfd_ms))
			best = record;
	}
	return best;
}

void watch_peer(struct dp *dp, struct vtep_record *record)
{
	struct bfd_want want = {.remote = record->remote, .uplink = record->uplink};
	const struct vtep_record *keen = keenest(dp, want.remote);
	const struct port *uplink = dp_get_port(dp, record->uplink);

	record->peer = BFD_NO_PEER;
	if (!keen)
		bfd_unwant(dp, want.remote);
	if (!record->used)
		watch_host(dp, record); /* the others there may have its number */
	if (!keen || !record->used)
		return;
	want.interval_ms = keen->bfd_ms;
	want.multiplier = keen->bfd_multiplier;
	want.resolved = uplink && record->resolved;
	if (uplink) {
		want.local = uplink->spec.address.address;
		want.routed = !ip_inside(want.remote, uplink->spec.address);
		memcpy(want.from, uplink->mac, 6);
		memcpy(want.to, record->mac, 6);
	}
	record->peer = bfd_want(dp, &want);
}

void watch_host(struct dp *dp, const struct vtep_record *like)
{
	struct ip_addr remote = like->remote;

	for (unsigned i = 0; i < MAX_VTEPS; i++) {
		struct vtep_record *record = &dp->priv->vtep[i];

		if (!at_host(record, remote))
			continue;
		watch_peer(dp, record);
		vtep_publish(dp, (uint16_t)i);
	}
}
