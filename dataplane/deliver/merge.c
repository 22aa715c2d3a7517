#include "dataplane/deliver/merge.h"

#include <linux/virtio_net.h>

#include "dataplane/core/dp.h"
#include "dataplane/deliver/transmit.h"
#include "dataplane/overlay/vxlan.h"

uint16_t merge_for_port(struct tcp_gro *gro, uint32_t offloads, struct frame **frames, uint16_t n)
{
	return tcp_gro_merge(gro, frames, n, offloads & PORT_TSO4, offloads & PORT_TSO6);
}

static bool takes_large(const struct port *uplink, const struct vtep *vtep)
{
	return uplink && !vtep->six && (transmit_offloads(uplink) & PORT_TUNNEL);
}

bool merge_takes_large(const struct port *uplink, const struct frame *f, const struct vtep *vtep)
{
	uint8_t type = f->off.gso_type;

	return (type == VIRTIO_NET_HDR_GSO_TCPV4 || type == VIRTIO_NET_HDR_GSO_TCPV6) &&
	       takes_large(uplink, vtep) &&
	       f->len + vxlan_outer(vtep) <=
		       UINT16_MAX; /* with its Ethernet header, which IP does not count */
}

static bool has_large(struct worker *w, uint16_t id)
{
	const struct vtep *vtep = dp_get_vtep(w->dp, id);

	return vtep && takes_large(dp_get_port(w->dp, vtep->uplink), vtep);
}

void merge_for_tunnels(struct worker *w, struct burst *b, struct tcp_gro *gro)
{
	struct frame *list[BURST_MAX];
	uint16_t id = VTEP_NONE, n = 0, left;
	bool large = false;

	for (unsigned i = 0; i < b->count; i++) {
		struct frame *f = &b->frame[i];

		if (f->verdict != V_VTEP)
			continue;
		if (f->out != id)
			large = has_large(w, id = f->out);
		if (large)
			list[n++] = f;
	}
	for (unsigned i = 0; i < n; i++)
		list[i]->verdict = V_MERGED;
	left = tcp_gro_merge(gro, list, n, true, true);
	for (unsigned i = 0; i < left; i++)
		list[i]->verdict = V_VTEP;
}
