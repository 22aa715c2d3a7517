#include "tests/unit/dataplane/vhost/tx_frames.h"

#include <string.h>

uint8_t tx_payload[BURST_MAX][FRAME_MAX];
struct frame tx_frame[BURST_MAX];
static struct span spans[BURST_MAX][3];
static struct frame *frames[BURST_MAX];

int tx_setup(void **state)
{
	struct rig *rig = rig_new();

	*state = rig;
	memset(rig_at(rig, RIG_DATA), TX_CANARY, RIG_REGION - (RIG_DATA - RIG_GPA));
	memset(rig_at(rig, RIG_GPA + RIG_REGION), TX_CANARY, RIG_REGION);
	return 0;
}

int tx_teardown(void **state)
{
	rig_free(*state);
	return 0;
}

void tx_make(unsigned i, uint32_t len, uint16_t hdr)
{
	struct frame *f = &tx_frame[i];
	uint32_t at;

	frames[i] = f;
	rig_fill(tx_payload[i], len, (uint8_t)i);
	frame_init(f);
	f->net = 5;
	f->len = len;
	f->hdr_len = (uint16_t)(len < hdr ? len : hdr);
	if (hdr > HDR_MAX) /* the switch has put headers of its own before it */
		f->hdr_off -= hdr - HDR_MAX;
	memcpy(f->hdr + f->hdr_off, tx_payload[i], f->hdr_len);
	f->span = spans[i];
	at = f->hdr_len;
	while (at < len) {
		uint32_t part = f->nspan == 2 ? len - at : (len - at + 1) / 2;

		spans[i][f->nspan++] = (struct span){tx_payload[i] + at, part};
		at += part;
	}
}

uint16_t tx_send(struct rig *rig, uint16_t n)
{
	return vhost_tx(&rig->port, &rig->w, frames, n);
}

const struct virtio_net_hdr_mrg_rxbuf *tx_hdr(struct rig *rig, uint64_t gpa)
{
	return (const struct virtio_net_hdr_mrg_rxbuf *)rig_at(rig, gpa);
}

void tx_offer_buffers(struct rig *rig, unsigned n, uint32_t size)
{
	for (unsigned i = 0; i < n; i++) {
		rig_desc(&rig->tx, i, RIG_DATA + (uint64_t)i * 4096, size, VRING_DESC_F_WRITE, 0);
		rig_offer(&rig->tx, (uint16_t)i);
	}
}
