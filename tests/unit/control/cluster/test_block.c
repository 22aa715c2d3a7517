/* Who may give which addresses, as it is written and read. */
#include <stdlib.h>
#include <string.h>

#include "addr/ip_text.h"
#include "control/cluster/block.h"
#include "tests/unit/unit.h"

static struct block_value *read_at(const char *place, const char *text, const char **why)
{
	return block_read(text, strlen(text), place, why);
}

static void what_is_written_is_read(void **state)
{
	struct block_value *block = block_copy(NULL), *again;
	const char *why;
	char *text;

	strcpy(block->network, "web");
	ip_parse("fd00::40", &block->base);
	block_set(block, "h1", 3);
	block_set(block, "h2", UINT64_C(1) << 63);
	block_set(block, "h3", 4);
	block_set(block, "h1", 0); /* has none any more */
	text = block_text(block);
	again = read_at("web/fd00::40", text, &why);
	assert_non_null(again);
	assert_int_equal(block_part_of(again, "h1"), 0);
	assert_int_equal(block_taken(again), (UINT64_C(1) << 63) | 4);
	assert_true(ip_equal(again->base, block->base));
	free(again);
	free(text);
	free(block);
}

/* As many as there are addresses, and one more finds no room. */
static void each_address_can_be_another_host_s(void **state)
{
	struct block_value *block = block_copy(NULL);
	char host[8];

	for (unsigned i = 0; i < BLOCK_SIZE; i++) {
		snprintf(host, sizeof(host), "h%u", i);
		block_set(block, host, UINT64_C(1) << i);
	}
	assert_int_equal(block_taken(block), UINT64_MAX);
	block_set(block, "more", 1);
	assert_int_equal(block->n, BLOCK_SIZE);
	assert_int_equal(block_part_of(block, "more"), 0);
	free(block);
}

static void what_breaks_a_rule_is_refused_whole(void **state)
{
#define BLOCK(hosts) "{\"v\":1,\"network\":\"web\",\"block\":\"10.1.0.64\",\"hosts\":" hosts "}"
	static const struct {
		const char *place, *text;
	} bad[] = {
		{"web/10.1.0.64", "{}"},
		{"other/10.1.0.64", BLOCK("{}")},
		{"web/10.1.0.0", BLOCK("{}")},
		{"web/10.1.0.65", "{\"v\":1,\"network\":\"web\",\"block\":\"10.1.0.65\",\"hosts\":{}}"},
		{"web/10.1.0.64", BLOCK("[]")},
		{"web/10.1.0.64", BLOCK("{\"\":\"1\"}")},
		{"web/10.1.0.64", BLOCK("{\"h1\":1}")},
		{"web/10.1.0.64", BLOCK("{\"h1\":\"0\"}")},
		{"web/10.1.0.64", BLOCK("{\"h1\":\"-1\"}")},
		{"web/10.1.0.64", BLOCK("{\"h1\":\"11111111111111111\"}")},
		{"web/10.1.0.64", BLOCK("{\"h1\":\"3\",\"h2\":\"2\"}")},
	};
	const char *why;

	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_null(read_at(bad[i].place, bad[i].text, &why));
		assert_non_null(why);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_written_is_read),
		cmocka_unit_test(each_address_can_be_another_host_s),
		cmocka_unit_test(what_breaks_a_rule_is_refused_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
