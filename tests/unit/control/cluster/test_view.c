/* What the store tells, in which order and how often ever. */
#include <stdlib.h>
#include <string.h>

#include "control/cluster/view.h"
#include "tests/unit/unit.h"

enum { GRACE = 2000, HOLD = 900000 };

static unsigned told;

static void on_key(void *arg, struct view_key *key)
{
	told++;
}

static int setup(void **state)
{
	static struct view view;

	told = 0;
	view_open(&view, "self", on_key, NULL);
	view_part_make(&view, "web");
	*state = &view;
	return 0;
}

static int teardown(void **state)
{
	view_close(*state);
	return 0;
}

#define CHUNK(ep) "{\"v\":1,\"network\":\"web\",\"vni\":7,\"ep\":[" ep "]}"
#define GUEST "{\"mac\":\"02:00:00:00:00:01\"}"

/* Of both parts. */
static void commit(struct view *view, int64_t revision, int64_t now_ms)
{
	view_commit(view, &view->shared, revision, now_ms);
	view_commit(view, view_part(view, "web"), revision, now_ms);
}

static void scan_begin(struct view *view, bool other)
{
	view_scan_begin(view, &view->shared, other);
	view_scan_begin(view, view_part(view, "web"), other);
}

static void scan_end(struct view *view, int64_t revision, int64_t now_ms)
{
	view_scan_end(view, &view->shared, revision, now_ms);
	view_scan_end(view, view_part(view, "web"), revision, now_ms);
}

static void put(struct view *view, const char *key, const char *value, int64_t mod)
{
	view_put(view, key, value, strlen(value), mod, 1);
}

static void put_host(struct view *view, unsigned number, int64_t mod)
{
	char key[64];

	snprintf(key, sizeof(key), "hosts/h%u/host", number);
	put(view, key, "{\"v\":1,\"id\":\"x\",\"address\":\"192.0.2.1\"}", mod);
	snprintf(key, sizeof(key), "hosts/h%u/alive", number);
	put(view, key, "{\"v\":1,\"id\":\"x\"}", mod);
	snprintf(key, sizeof(key), "net/web/h%u/0", number);
	put(view, key, CHUNK(GUEST), mod);
}

static void end_host(struct view *view, unsigned number, int64_t mod)
{
	static const char *const keys[] = {"hosts/h%u/alive", "net/web/h%u/0", "hosts/h%u/host"};
	char key[64];

	for (unsigned i = 0; i < 3; i++) {
		snprintf(key, sizeof(key), keys[i], number);
		view_end(view, key, mod);
	}
}

static bool has_chunk(const struct view *view, unsigned number)
{
	char key[64];

	snprintf(key, sizeof(key), "net/web/h%u/0", number);
	return view_find(view, key) != NULL;
}

static void an_older_change_and_one_told_twice_change_nothing(void **state)
{
	struct view *view = *state;

	put(view, "hosts/h1/host", "{\"v\":1,\"id\":\"new\"}", 7);
	commit(view, 7, 1);
	assert_int_equal(told, 1);
	put(view, "hosts/h1/host", "{\"v\":1,\"id\":\"old\"}", 6);
	put(view, "hosts/h1/host", "{\"v\":1,\"id\":\"new\"}", 7);
	view_end(view, "hosts/h1/host", 5);
	commit(view, 7, 1);
	assert_int_equal(told, 1);
	assert_string_equal(view_host(view, "h1")->record.id, "new");
}

static void a_value_that_is_none_leaves_what_was_known(void **state)
{
	struct view *view = *state;

	put_host(view, 1, 1);
	commit(view, 1, 1);
	put(view, "hosts/h1/host", "{\"v\":9}", 2);
	put(view, "net/web/h1/0", "{", 2);
	commit(view, 2, 1);
	assert_string_equal(view_host(view, "h1")->record.id, "x");
	assert_non_null(view_find(view, "net/web/h1/0")->chunk);
	assert_string_equal(view_find(view, "net/web/h1/0")->why, "no JSON object");
}

static void what_a_host_ends_itself_is_gone_at_once(void **state)
{
	struct view *view = *state;

	put_host(view, 1, 1);
	commit(view, 1, 1);
	put(view, "net/web/h1/0", CHUNK(""), 2);
	view_end(view, "net/web/h1/0", 3);
	commit(view, 3, 1);
	assert_non_null(view_find(view, "hosts/h1/host"));
	view_end(view, "hosts/h1/alive", 4);
	commit(view, 4, 1);
	assert_null(view_find(view, "hosts/h1/alive"));
}

/* The parts are heard of in any order: the end of its record comes later. */
static void guests_that_end_with_the_lease_are_kept_until_it_is_known_why(void **state)
{
	struct view *view = *state;

	for (unsigned i = 0; i < 4; i++)
		put_host(view, i, 1);
	commit(view, 1, 1);
	view_end(view, "net/web/h1/0", 2);
	view_commit(view, view_part(view, "web"), 2, 1);
	view_purge(view, GRACE, GRACE, HOLD);
	assert_true(has_chunk(view, 1));
	end_host(view, 1, 2);
	view_commit(view, &view->shared, 2, 1000);
	view_purge(view, 1000 + GRACE - 1, GRACE, HOLD);
	assert_true(has_chunk(view, 1));
	view_purge(view, 1000 + GRACE, GRACE, HOLD);
	assert_false(has_chunk(view, 1));
	view_end(view, "net/web/h2/0", 3); /* of a host that is there, and does not put them again */
	commit(view, 3, 5000);
	view_purge(view, 5000 + GRACE - 1, GRACE, HOLD);
	assert_true(has_chunk(view, 2));
	view_purge(view, 5000 + GRACE, GRACE, HOLD);
	assert_false(has_chunk(view, 2));
	assert_non_null(view_find(view, "hosts/h2/host"));
	assert_true(has_chunk(view, 3));
}

static void a_network_that_is_not_followed_takes_no_room(void **state)
{
	struct view *view = *state;

	put(view, "net/other/h1/0", CHUNK(GUEST), 1);
	put(view, "net/web", "", 1);
	put(view, "net//h1/0", "", 1);
	assert_int_equal(HASH_COUNT(view->keys), 0);
	assert_int_equal(view->refused, 3);
	put_host(view, 1, 1);
	commit(view, 1, 1);
	told = 0;
	view_part_drop(view, view_part(view, "web"));
	assert_int_equal(told, 1); /* it leaves the disk, too */
	assert_false(has_chunk(view, 1));
	assert_non_null(view_find(view, "hosts/h1/host"));
	view_part_make(view, "web");
}

static void a_part_waits_for_no_other(void **state)
{
	struct view *view = *state;

	view_scan_begin(view, &view->shared, false);
	put_host(view, 1, 1);
	view_commit(view, view_part(view, "web"), 1, 1);
	assert_true(has_chunk(view, 1) && !view_part(view, "web")->partial);
	assert_true(view->shared.partial);
	assert_false(view_host(view, "h1")->known);
	view_scan_end(view, &view->shared, 2, 1);
	assert_true(view_host(view, "h1")->known);
	assert_int_equal(view_part(view, "web")->revision, 1);
	assert_int_equal(view->revision, 2);
}

static void a_host_that_is_lost_is_kept_for_a_while(void **state)
{
	struct view *view = *state;
	unsigned lost;

	for (unsigned i = 0; i < 4; i++)
		put_host(view, i, 1);
	commit(view, 1, 1);
	end_host(view, 1, 2);
	commit(view, 2, 1);
	assert_int_equal(view_count(view, &lost), 4);
	assert_int_equal(lost, 1);
	view_purge(view, GRACE, GRACE, HOLD);
	assert_true(has_chunk(view, 1));
	view_purge(view, GRACE + 1, GRACE, HOLD);
	assert_false(has_chunk(view, 1));
	assert_null(view_host(view, "h1"));
	assert_true(has_chunk(view, 0));
}

/* It stays on disk, too: who is told of an end lets go of it. */
static void what_is_held_is_told_as_ended_when_it_is_let_go_of(void **state)
{
	struct view *view = *state;

	for (unsigned i = 0; i < 4; i++)
		put_host(view, i, 1);
	commit(view, 1, 1);
	told = 0;
	end_host(view, 1, 2);
	commit(view, 2, 1);
	assert_int_equal(told, 1); /* alive, which is not held */
	view_purge(view, GRACE + 1, GRACE, HOLD);
	assert_int_equal(told, 3);
}

static void a_host_that_comes_back_has_what_it_puts_again(void **state)
{
	struct view *view = *state;

	put_host(view, 1, 1);
	put(view, "net/web/h1/1", CHUNK(GUEST), 1);
	commit(view, 1, 1);
	end_host(view, 1, 2);
	view_end(view, "net/web/h1/1", 2);
	commit(view, 2, 1);
	put_host(view, 1, 3);
	commit(view, 3, 100);
	view_purge(view, 100 + GRACE - 1, GRACE, HOLD);
	assert_non_null(view_find(view, "net/web/h1/1"));
	view_purge(view, 100 + GRACE, GRACE, HOLD);
	assert_null(view_find(view, "net/web/h1/1"));
	assert_true(has_chunk(view, 1));
}

static void many_hosts_lost_at_once_are_held(void **state)
{
	struct view *view = *state;

	for (unsigned i = 0; i < 10; i++)
		put_host(view, i, 1);
	commit(view, 1, 1);
	for (unsigned i = 0; i < 4; i++)
		end_host(view, i, 2 + i);
	commit(view, 6, 1);
	view_purge(view, HOLD, GRACE, HOLD);
	for (unsigned i = 0; i < 4; i++)
		assert_true(has_chunk(view, i));
	put_host(view, 3, 7); /* 3 of 10 are no longer too many */
	commit(view, 7, HOLD);
	view_purge(view, HOLD, GRACE, HOLD);
	assert_false(has_chunk(view, 0));
	assert_true(has_chunk(view, 3));
}

static void a_scan_ends_what_it_lacks_and_not_what_is_younger(void **state)
{
	struct view *view = *state;

	put_host(view, 1, 1);
	put_host(view, 2, 9);
	commit(view, 1, 1);
	scan_begin(view, false);
	put(view, "hosts/h1/host", "{\"v\":1,\"id\":\"x\"}", 1);
	put(view, "hosts/h1/alive", "{\"v\":1,\"id\":\"x\"}", 1);
	scan_end(view, 5, 1);
	view_purge(view, 1 + GRACE, GRACE, HOLD);
	assert_false(has_chunk(view, 1));
	assert_true(has_chunk(view, 2));
	assert_int_equal(view->revision, 5);
}

static void a_store_that_was_replaced_loses_nobody(void **state)
{
	struct view *view = *state;

	put_host(view, 1, 1000);
	commit(view, 1000, 1);
	scan_begin(view, true);
	scan_end(view, 3, 1);
	assert_int_equal(view->revision, 3);
	view_purge(view, HOLD, GRACE, HOLD);
	assert_true(has_chunk(view, 1));
	put_host(view, 1, 4);
	commit(view, 4, HOLD);
	view_purge(view, 2 * HOLD, GRACE, HOLD);
	assert_true(has_chunk(view, 1));
}

/* Keys of a host, until there is no room; "": of none. How many had it. */
static unsigned fill(struct view *view, const char *host, const char *value, size_t len)
{
	uint64_t refused = view->refused;
	char key[64];
	unsigned n;

	for (n = 0; view->refused == refused; n++) {
		snprintf(key, sizeof(key), "%s%s/%u", host[0] ? "hosts/" : "other", host, n);
		view_put(view, key, value, len, 1, 0);
	}
	assert_null(view_find(view, key));
	return n - 1;
}

static void no_host_uses_up_the_room_of_others_for_keys(void **state)
{
	struct view *view = *state;
	unsigned n = fill(view, "h1", "", 0);
	char host[32];

	assert_int_equal(n, VIEW_KEYS_EACH + VIEW_KEYS / 4);
	assert_int_equal(fill(view, "", "", 0), VIEW_KEYS_EACH + VIEW_KEYS / 8);
	for (unsigned i = 2; i <= 40;
		i++) { /* they take what is left; their own part each has all the same */
		snprintf(host, sizeof(host), "h%u", i);
		assert_true(fill(view, host, "", 0) >= VIEW_KEYS_EACH);
	}
	assert_int_equal(fill(view, "last", "", 0), VIEW_KEYS_EACH);
	view_end(view, "hosts/h1/0", 2);
	commit(view, 2, 1);
	view_put(view, "hosts/h1/0", "", 0, 3, 0);
	assert_null(view_find(view, "hosts/h1/0")); /* it has more than it would get now */
	for (unsigned i = 1; i < n; i++) {
		snprintf(host, sizeof(host), "hosts/h1/%u", i);
		view_end(view, host, 2);
	}
	commit(view, 3, 1);
	assert_true(fill(view, "last", "", 0) > VIEW_KEYS_EACH);
	commit(view, 4, 1);
}

static void no_host_uses_up_the_room_of_others_for_values(void **state)
{
	struct view *view = *state;
	char *large = malloc(VALUE_MAX + 2), key[64];

	memset(large, 'x', VALUE_MAX + 1);
	view_put(view, "hosts/h1/large", large, VALUE_MAX + 1, 1, 0);
	assert_int_equal(view->refused, 1);
	assert_int_equal(fill(view, "h1", large, VALUE_MAX), (VIEW_BYTES_EACH + VIEW_BYTES / 4) / VALUE_MAX);
	assert_int_equal(fill(view, "h2", large, VALUE_MAX), (VIEW_BYTES_EACH + VIEW_BYTES / 8) / VALUE_MAX);
	view_put(view, "hosts/h3/host", large, VIEW_BYTES_EACH, 1, 0);
	assert_non_null(view_find(view, "hosts/h3/host"));
	for (unsigned i = 0; i < VIEW_BYTES / 4 / VALUE_MAX;
		i++) { /* shorter ones leave room for a longer one */
		snprintf(key, sizeof(key), "hosts/h1/%u", i);
		view_put(view, key, "", 0, 2, 0);
	}
	view_put(view, key, large, VALUE_MAX, 3, 0);
	assert_int_equal(view_find(view, key)->len, VALUE_MAX);
	commit(view, 1, 1);
	free(large);
}

static void there_are_only_so_many_hosts(void **state)
{
	struct view *view = *state;
	char key[64];

	for (unsigned i = 0; i <= VIEW_HOSTS; i++) {
		snprintf(key, sizeof(key), "hosts/m%u/x", i);
		view_put(view, key, "", 0, 1, 0);
	}
	assert_int_equal(HASH_COUNT(view->hosts), VIEW_HOSTS);
	assert_int_equal(view->refused, 1);
	commit(view, 1, 1);
}

static void keys_that_are_none_of_ours_are_shown_as_such(void **state)
{
	static const char *const keys[] = {"", "hosts", "hosts/", "hosts//host", "hosts/h1", "hosts/h1/",
		"net/web/", "net/web/h1", "net/web/h1/", "net/web/h1/0/1", "net/web/h1/x", "what/else"};
	struct view *view = *state;

	for (unsigned i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		put(view, keys[i], CHUNK(""), 1);
	commit(view, 1, 1);
	for (unsigned i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		assert_non_null(view_find(view, keys[i])->why);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_older_change_and_one_told_twice_change_nothing),
		TEST(a_value_that_is_none_leaves_what_was_known),
		TEST(what_a_host_ends_itself_is_gone_at_once),
		TEST(guests_that_end_with_the_lease_are_kept_until_it_is_known_why),
		TEST(a_network_that_is_not_followed_takes_no_room),
		TEST(a_part_waits_for_no_other),
		TEST(a_host_that_is_lost_is_kept_for_a_while),
		TEST(what_is_held_is_told_as_ended_when_it_is_let_go_of),
		TEST(a_host_that_comes_back_has_what_it_puts_again),
		TEST(many_hosts_lost_at_once_are_held),
		TEST(a_scan_ends_what_it_lacks_and_not_what_is_younger),
		TEST(a_store_that_was_replaced_loses_nobody),
		TEST(no_host_uses_up_the_room_of_others_for_keys),
		TEST(no_host_uses_up_the_room_of_others_for_values),
		TEST(there_are_only_so_many_hosts),
		TEST(keys_that_are_none_of_ours_are_shown_as_such),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
