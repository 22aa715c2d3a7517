#include "control/model/virtio_features.h"

#include <linux/virtio_config.h>
#include <linux/virtio_net.h>
#include <linux/virtio_ring.h>
#include <stddef.h>
#include <string.h>

/* name, bit (virtio 1.1, 5.1.3 and 6) */
#define FEATURES(X)                                                                                          \
	X("csum", VIRTIO_NET_F_CSUM)                                                                         \
	X("guest_csum", VIRTIO_NET_F_GUEST_CSUM)                                                             \
	X("mtu", VIRTIO_NET_F_MTU)                                                                           \
	X("guest_tso4", VIRTIO_NET_F_GUEST_TSO4)                                                             \
	X("guest_tso6", VIRTIO_NET_F_GUEST_TSO6)                                                             \
	X("host_tso4", VIRTIO_NET_F_HOST_TSO4)                                                               \
	X("host_tso6", VIRTIO_NET_F_HOST_TSO6)                                                               \
	X("mrg_rxbuf", VIRTIO_NET_F_MRG_RXBUF)                                                               \
	X("mq", VIRTIO_NET_F_MQ)                                                                             \
	X("indirect_desc", VIRTIO_RING_F_INDIRECT_DESC)                                                      \
	X("event_idx", VIRTIO_RING_F_EVENT_IDX)

#define NAME(name, bit) name,
const char *const virtio_feature_names[] = {FEATURES(NAME) NULL};
#undef NAME

#define BIT(name, bit) bit,
static const uint8_t bits[] = {FEATURES(BIT)};
#undef BIT

uint64_t virtio_feature_bit(const char *name)
{
	for (size_t i = 0; virtio_feature_names[i]; i++)
		if (!strcmp(virtio_feature_names[i], name))
			return UINT64_C(1) << bits[i];
	return 0;
}
