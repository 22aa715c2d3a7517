/* Ports that DPDK drives: the frames of a pcap file through the pipeline to one that only takes. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dataplane/engine/loop.h"
#include "dataplane/engine/polling.h"
#include "tests/pipeline/harness.h"
#include "tests/pipeline/packets.h"
#include "tests/unit/unit.h"

enum { FRAMES = 100, LONGEST = 1514, LONG_FRAMES = 90 };

static struct dp *dp;
static uint16_t net;
static char path[64], long_path[64];

static int setup(void **state)
{
	dp = harness_open();
	net = harness_network(dp, NULL);
	return 0;
}

static int teardown(void **state)
{
	harness_close(dp);
	unlink(path);
	unlink(long_path);
	return 0;
}

/* Length of frame `i` of the file: the shortest, the longest, and between. */
static uint32_t length_of(unsigned i)
{
	return i % 3 == 0 ? 60 : i % 3 == 1 ? LONGEST : 61 + i * 13;
}

/* In chains of mbufs: of 8, and of more than a burst's bytes allow for all. */
static uint32_t long_length_of(unsigned i)
{
	return i % 9 ? 6000 : 60000;
}

static void put32le(FILE *f, uint32_t v)
{
	assert_int_equal(fwrite(&v, sizeof(v), 1, f), 1);
}

/* A capture of broadcasts, in the format of libpcap. */
static void write_capture(char name[64], uint32_t (*len_of)(unsigned i), unsigned frames)
{
	static uint8_t data[65536];
	int fd;
	FILE *f;

	snprintf(name, 64, "/tmp/sluice-test-%d-XXXXXX", (int)getpid());
	fd = mkstemp(name);
	assert_true(fd >= 0);
	f = fdopen(fd, "w");
	assert_non_null(f);
	put32le(f, 0xa1b2c3d4);
	put32le(f, 4 << 16 | 2); /* version 2.4 */
	put32le(f, 0);
	put32le(f, 0);
	put32le(f, 65535);
	put32le(f, 1); /* Ethernet */
	for (unsigned i = 0; i < frames; i++) {
		uint32_t len = len_of(i);

		packet_eth(data, MAC_BROADCAST, MAC_A, len - 14);
		put32le(f, i);
		put32le(f, 0);
		put32le(f, len);
		put32le(f, len);
		assert_int_equal(fwrite(data, len, 1, f), 1);
	}
	assert_int_equal(fclose(f), 0);
}

static uint16_t add(const struct dp_port *spec)
{
	struct dp_err err = {""};
	uint16_t id;

	if (dp_port_add(dp, spec, &id, &err))
		fail_msg("%s", err.text);
	return id;
}

static struct dp_port_info info_of(uint16_t id)
{
	struct dp_port_info info;

	assert_int_equal(dp_port_info(dp, id, &info), 0);
	return info;
}

static void drain(uint16_t id)
{
	struct worker *w = dp->worker[0];

	w->turn++;
	while (worker_serve(w, dp_get_port(dp, id), 0) > 0)
		continue;
}

static void test_file_to_sink(void **state)
{
	struct dp_port file = {.type = DP_PCAP, .net = net, .mtu = 1500, .file = path};
	struct dp_port sink = {.type = DP_NULL, .net = net, .mtu = 1500};
	struct test_port guest;
	uint64_t bytes = 0;
	uint16_t from, to;

	for (unsigned i = 0; i < FRAMES; i++)
		bytes += length_of(i);
	to = add(&sink);
	harness_port(dp, &guest, net, NULL);
	from = add(&file);
	assert_true(info_of(from).up);
	assert_true(info_of(to).up);
	drain(from);
	assert_int_equal(info_of(from).rx_packets, FRAMES);
	assert_int_equal(info_of(from).rx_bytes, bytes);
	assert_int_equal(info_of(to).tx_packets, FRAMES);
	assert_int_equal(info_of(to).tx_bytes, bytes);
	assert_int_equal(guest.count, FRAMES);
	for (unsigned i = 0; i < FRAMES; i++) {
		uint8_t data[2048];

		packet_eth(data, MAC_BROADCAST, MAC_A, length_of(i) - 14);
		assert_int_equal(guest.got[i].len, length_of(i));
		assert_memory_equal(guest.got[i].data, data, length_of(i));
	}
	assert_int_equal(harness_balance(dp, net), 0);
	/* the sink gives nothing */
	drain(to);
	assert_int_equal(info_of(to).rx_packets, 0);
	dp_port_del(dp, from);
	dp_port_del(dp, to);
	dp_port_del(dp, guest.port->id);
}

/* Ports come and go without using up devices or mbufs. */
static void test_ports_that_come_and_go_leak_nothing(void **state)
{
	struct dp_port file = {.type = DP_PCAP, .net = net, .mtu = 1500, .file = path};

	for (unsigned i = 0; i < 40; i++) {
		uint16_t id = add(&file);

		assert_int_equal(worker_serve(dp->worker[0], dp_get_port(dp, id), 0), BURST_MAX);
		assert_int_equal(dp_port_del(dp, id), 0);
	}
}

static void test_frame_longer_than_an_mbuf(void **state)
{
	struct dp_port sink = {.type = DP_NULL, .net = net, .mtu = 9000};
	struct test_port guest;
	static uint8_t data[9014];
	uint16_t to = add(&sink);

	harness_port(dp, &guest, net, NULL);
	packet_eth(data, MAC_BROADCAST, MAC_A, 1000);
	harness_send(dp, &guest, data, sizeof(data), (struct offload){0}, 1000);
	assert_int_equal(info_of(to).tx_packets, 1);
	assert_int_equal(info_of(to).tx_bytes, sizeof(data));
	dp_port_del(dp, to);
	dp_port_del(dp, guest.port->id);
}

/* A device hands over 32 frames at once whatever they are; those that a burst has no room for come with the next. */
static void test_chains_of_mbufs_are_not_lost(void **state)
{
	struct dp_port file = {.type = DP_PCAP, .net = net, .mtu = 65000, .file = long_path};
	uint16_t from = add(&file);
	unsigned got, bursts = 0, frames = 0;

	while ((got = worker_serve(dp->worker[0], dp_get_port(dp, from), 0)) > 0) {
		assert_in_range(dp->worker[0]->burst.nspan, got, BURST_SPANS);
		frames += got;
		bursts++;
	}
	assert_int_equal(frames, LONG_FRAMES);
	assert_true(bursts > (LONG_FRAMES + BURST_MAX - 1) / BURST_MAX);
	assert_int_equal(harness_drops(dp, "malformed"), 0);
	dp_port_del(dp, from);
}

static void test_bad_devices_and_files_are_refused(void **state)
{
	static const struct {
		struct dp_port spec;
		const char *says;
	} rows[] = {
		{{.type = DP_PCAP, .file = "/no/such/file"},
			"file: /no/such/file: No such file or directory"},
		{{.type = DP_PCAP, .file = "/dev/null"}, "devargs: "},
		{{.type = DP_ETH, .devargs = "no_such_driver0"}, "devargs: no_such_driver0: "},
		{{.type = DP_ETH, .devargs = "0000:ff:1f.7"}, "devargs: 0000:ff:1f.7: "},
		{{.type = DP_ETH, .devargs = "net_null0,no-rx=7"}, "devargs: net_null0"},
		{{.type = DP_ETH, .devargs = ""}, "devargs: "},
	};

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct dp_port spec = rows[i].spec;
		struct dp_err err = {""};
		uint16_t id;

		spec.net = net;
		spec.mtu = 1500;
		assert_true(dp_port_add(dp, &spec, &id, &err) < 0);
		if (strncmp(err.text, rows[i].says, strlen(rows[i].says)) != 0)
			fail_msg("\"%s\" does not begin with \"%s\"", err.text, rows[i].says);
	}
}

/* The device of one port cannot be had by another, and the first one goes on. */
static void test_a_device_belongs_to_one_port(void **state)
{
	struct dp_port spec = {.type = DP_ETH, .net = net, .mtu = 1500, .devargs = "net_null7,no-rx=1"};
	struct dp_err err = {""};
	uint16_t id = add(&spec), second;

	assert_int_equal(dp_port_add(dp, &spec, &second, &err), -EEXIST);
	spec.devargs = "net_null7,copy=1";
	assert_int_equal(dp_port_add(dp, &spec, &second, &err), -EEXIST);
	assert_true(info_of(id).up);
	assert_int_equal(dp_port_del(dp, id), 0);
	assert_int_equal(dp_port_del(dp, add(&spec)), 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_file_to_sink),
		cmocka_unit_test(test_ports_that_come_and_go_leak_nothing),
		cmocka_unit_test(test_frame_longer_than_an_mbuf),
		cmocka_unit_test(test_chains_of_mbufs_are_not_lost),
		cmocka_unit_test(test_bad_devices_and_files_are_refused),
		cmocka_unit_test(test_a_device_belongs_to_one_port),
	};

	write_capture(path, length_of, FRAMES);
	write_capture(long_path, long_length_of, LONG_FRAMES);
	return cmocka_run_group_tests(tests, setup, teardown);
}
