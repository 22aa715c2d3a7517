/* What a kernel asks for with a frame, beyond what offload.c serves: tunnels of a container's own. */
#include "dataplane/frame/offload.h"
#include "dataplane/port/vnet.h"
#include "tests/unit/dataplane/frames.h"
#include "tests/unit/unit.h"

enum { TUNNEL = 8 }; /* a VXLAN header */

static struct burst burst;
static struct flat outer, inner;
static uint8_t got[FRAME_MAX];
static const struct port container = {.is_uplink = false}, uplink = {.is_uplink = true};

/* A TCP packet of `version` in a UDP tunnel, whose checksum is left to others. */
static struct frame *tunnelled(uint8_t version, uint32_t payload, struct virtio_net_hdr *hdr)
{
	const struct recipe tcp = {.version = version, .proto = IPPROTO_TCP, .payload = payload};
	struct recipe udp = {.version = 4, .proto = IPPROTO_UDP};

	flat_make(&inner, &tcp, true);
	udp.payload = TUNNEL + inner.len;
	flat_make(&outer, &udp, false);
	memcpy(outer.data + outer.payload + TUNNEL, inner.data, inner.len);
	*hdr = (struct virtio_net_hdr){.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.csum_start = outer.payload + TUNNEL + inner.l4,
		.csum_offset = 16};
	burst.count = burst.nspan = 0;
	return split(&burst, outer.data, outer.len, 64, 0);
}

static void test_checksum_in_a_tunnel_is_served(void **state)
{
	struct virtio_net_hdr hdr;
	struct frame *f = tunnelled(4, 500, &hdr);

	assert_int_equal(vnet_take(&container, f, &hdr), DROP_COUNT);
	assert_int_equal(f->off.flags, 0);
	flat_finish(&inner, false);
	frame_copy(f, got);
	assert_memory_equal(got + outer.payload + TUNNEL, inner.data, inner.len);
}

static void test_large_frame_in_a_tunnel_is_told_apart(void **state)
{
	struct virtio_net_hdr hdr;
	struct frame *f = tunnelled(4, 5000, &hdr);

	hdr.gso_type = VIRTIO_NET_HDR_GSO_TCPV4;
	hdr.gso_size = 1400;
	assert_int_equal(vnet_take(&container, f, &hdr), DROP_TUNNEL_OFFLOAD);
	f = tunnelled(6, 5000, &hdr);
	hdr.gso_type = VIRTIO_NET_HDR_GSO_TCPV6;
	hdr.gso_size = 1400;
	assert_int_equal(vnet_take(&container, f, &hdr), DROP_TUNNEL_OFFLOAD);
	hdr.csum_start = 20;
	assert_int_equal(vnet_take(&container, f, &hdr), DROP_BAD_OFFLOAD);
}

static void test_on_an_uplink_it_is_the_tunnel_stages_to_judge(void **state)
{
	struct virtio_net_hdr hdr;
	struct frame *f = tunnelled(4, 5000, &hdr);

	hdr.gso_type = VIRTIO_NET_HDR_GSO_TCPV4;
	hdr.gso_size = 1400;
	assert_int_equal(vnet_take(&uplink, f, &hdr), DROP_COUNT);
	hdr.csum_start = UINT16_MAX;
	assert_int_equal(vnet_take(&uplink, f, &hdr), DROP_BAD_OFFLOAD);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_checksum_in_a_tunnel_is_served),
		cmocka_unit_test(test_large_frame_in_a_tunnel_is_told_apart),
		cmocka_unit_test(test_on_an_uplink_it_is_the_tunnel_stages_to_judge),
	};

	return cmocka_run_group_tests_name("vnet", tests, NULL, NULL);
}
