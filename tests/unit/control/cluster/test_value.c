/* What strangers may put into the store. */
#include <stdlib.h>
#include <string.h>

#include "control/cluster/value.h"
#include "tests/unit/unit.h"

static void a_host_is_read_as_it_was_written(void **state)
{
	struct value_host host = {.id = "one",
				  .zone = "a",
				  .address = {.b = {[10] = 0xff, 0xff, 192, 0, 2, 7}}},
			  read;
	char *text = value_host_text(&host);
	const char *why;

	assert_non_null(text);
	assert_int_equal(value_read_host(text, strlen(text), &read, &why), 0);
	assert_string_equal(read.id, "one");
	assert_string_equal(read.zone, "a");
	assert_true(ip_equal(read.address, host.address));
	free(text);
}

static void a_chunk_is_read_as_it_was_written(void **state)
{
	struct value_chunk *chunk = calloc(1, sizeof(*chunk) + VALUE_ENDPOINTS * sizeof(chunk->ep[0])), *read;
	struct ip_addr ips[VALUE_ENDPOINTS][2] = {0}; /* one or two, in turns */
	const char *why;
	char *text;

	strcpy(chunk->network, "web");
	chunk->vni = 0xffffff;
	chunk->n = VALUE_ENDPOINTS;
	for (unsigned i = 0; i < chunk->n; i++) {
		for (unsigned k = 0; k < 2; k++)
			ips[i][k] = (struct ip_addr){.b = {0xfd, [14] = (uint8_t)k, [15] = (uint8_t)(i + 1)}};
		chunk->ep[i] = (struct value_endpoint){.mac = {2, 0, 0, 0, 1, (uint8_t)i},
			.nips = (uint8_t)(1 + i % 2),
			.ips = ips[i],
			.seq = (int64_t)i << 40};
	}
	text = value_chunk_text(chunk);
	assert_non_null(text);
	assert_true(strlen(text) < VALUE_MAX);
	read = value_read_chunk(text, strlen(text), &why);
	assert_non_null(read);
	assert_int_equal(read->vni, chunk->vni);
	assert_int_equal(read->n, chunk->n);
	for (unsigned i = 0; i < chunk->n; i++) {
		assert_memory_equal(read->ep[i].mac, chunk->ep[i].mac, 6);
		assert_int_equal(read->ep[i].nips, chunk->ep[i].nips);
		assert_memory_equal(read->ep[i].ips, ips[i], chunk->ep[i].nips * sizeof(ips[i][0]));
		assert_int_equal(read->ep[i].seq, chunk->ep[i].seq);
	}
	free(read);
	free(text);
	free(chunk);
}

static const char *const bad_hosts[][2] = {
	{"", "no JSON object"},
	{"{", "no JSON object"},
	{"[1]", "no JSON object"},
	{"{\"v\":1,\"v\":1,\"id\":\"x\"}", "no JSON object"},
	{"{\"id\":\"x\"}", "v: missing"},
	{"{\"v\":-1,\"id\":\"x\"}", "v: missing"},
	{"{\"v\":2,\"id\":\"x\"}", "v: of a later version"},
	{"{\"v\":1}", "id: must be a text of 1 to 39 bytes"},
	{"{\"v\":1,\"id\":\"\"}", "id: must be a text of 1 to 39 bytes"},
	{"{\"v\":1,\"id\":7}", "id: must be a text of 1 to 39 bytes"},
	{"{\"v\":1,\"id\":\"0123456789012345678901234567890123456789\"}",
		"id: must be a text of 1 to 39 bytes"},
	{"{\"v\":1,\"id\":\"x\",\"zone\":7}", "zone: must be a text of at most 63 bytes"},
	{"{\"v\":1,\"id\":\"x\",\"address\":\"here\"}", "address: must be a unicast address"},
	{"{\"v\":1,\"id\":\"x\",\"address\":\"0.0.0.0\"}", "address: must be a unicast address"},
	{"{\"v\":1,\"id\":\"x\",\"address\":\"255.255.255.255\"}", "address: must be a unicast address"},
};

static void a_host_that_is_none_is_refused_with_the_reason(void **state)
{
	struct value_host host;

	for (size_t i = 0; i < sizeof(bad_hosts) / sizeof(bad_hosts[0]); i++) {
		const char *why = NULL;

		assert_int_equal(value_read_host(bad_hosts[i][0], strlen(bad_hosts[i][0]), &host, &why), -1);
		assert_string_equal(why, bad_hosts[i][1]);
	}
}

#define CHUNK "{\"v\":1,\"network\":\"web\",\"vni\":7,\"ep\":"

static const char *const bad_chunks[][2] = {
	{"{\"v\":1,\"network\":\"web\",\"vni\":7}", "ep: must be a list of at most 100"},
	{"{\"v\":1,\"network\":\"web\",\"vni\":0,\"ep\":[]}", "vni: out of range 1..16777215"},
	{"{\"v\":1,\"network\":\"web\",\"vni\":16777216,\"ep\":[]}", "vni: out of range 1..16777215"},
	{"{\"v\":1,\"network\":7,\"vni\":7,\"ep\":[]}", "network: must be a text of 1 to 63 bytes"},
	{CHUNK "[7]}", "mac: must be one that a guest may have"},
	{CHUNK "[{}]}", "mac: must be one that a guest may have"},
	{CHUNK "[{\"mac\":\"01:00:00:00:00:01\"}]}", "mac: must be one that a guest may have"},
	{CHUNK "[{\"mac\":\"00:00:00:00:00:00\"}]}", "mac: must be one that a guest may have"},
	{CHUNK "[{\"mac\":\"02:53:4c:00:00:01\"}]}", "mac: must be one that a guest may have"},
	{CHUNK "[{\"mac\":\"02:00:00:00:00:01\",\"seq\":-1}]}", "seq: must not be negative"},
	{CHUNK "[{\"mac\":\"02:00:00:00:00:01\",\"ips\":\"10.0.0.1\"}]}", "ips: must be a list"},
	{CHUNK "[{\"mac\":\"02:00:00:00:00:01\",\"ips\":[7]}]}", "ips: must be unicast addresses"},
	{CHUNK "[{\"mac\":\"02:00:00:00:00:01\",\"ips\":[\"ff02::1\"]}]}", "ips: must be unicast addresses"},
	{CHUNK "[{\"mac\":\"02:00:00:00:00:01\",\"ips\":[\"10.0.0.1\",\"10.0.0.2\",\"10.0.0.3\",\"10.0.0.4\","
	       "\"10.0.0.5\","
	       "\"10.0.0.6\",\"10.0.0.7\",\"10.0.0.8\",\"10.0.0.9\"]}]}",
		"ips: more than 8"},
};

static void a_chunk_that_is_none_is_refused_with_the_reason(void **state)
{
	for (size_t i = 0; i < sizeof(bad_chunks) / sizeof(bad_chunks[0]); i++) {
		const char *why = NULL;

		assert_null(value_read_chunk(bad_chunks[i][0], strlen(bad_chunks[i][0]), &why));
		assert_string_equal(why, bad_chunks[i][1]);
	}
}

static void one_guest_too_many_and_a_value_too_long_are_refused(void **state)
{
	char *text = malloc(VALUE_MAX + 2), *at = text;
	const char *why;

	at += sprintf(at, CHUNK "[");
	for (unsigned i = 0; i <= VALUE_ENDPOINTS; i++)
		at += sprintf(at, "%s{\"mac\":\"02:00:00:00:00:%02x\"}", i ? "," : "", i);
	strcpy(at, "]}");
	assert_null(value_read_chunk(text, strlen(text), &why));
	assert_string_equal(why, "ep: must be a list of at most 100");
	snprintf(text, VALUE_MAX + 2, "%-*s", VALUE_MAX + 1, CHUNK "[]}");
	free(value_read_chunk(text, VALUE_MAX, &why));
	assert_null(value_read_chunk(text, VALUE_MAX + 1, &why));
	assert_string_equal(why, "longer than 64 KB");
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_host_is_read_as_it_was_written),
		cmocka_unit_test(a_chunk_is_read_as_it_was_written),
		cmocka_unit_test(a_host_that_is_none_is_refused_with_the_reason),
		cmocka_unit_test(a_chunk_that_is_none_is_refused_with_the_reason),
		cmocka_unit_test(one_guest_too_many_and_a_value_too_long_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
