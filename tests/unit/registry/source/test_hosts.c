/* What other hosts tell of their instances, and what this one tells of its own. */
#include <jansson.h>

#include "registry/source/hosts/hosts.h"
#include "tests/unit/registry/world.h"

struct teller {
	struct hosts *hosts;
	unsigned changed; /* times that its own texts were others */
	char again[64];	  /* the host that was last asked for again */
	char own[8192];	  /* its texts, "KEY TEXT\n" each */
};

static void on_changed(void *arg)
{
	((struct teller *)arg)->changed++;
}

static void on_again(void *arg, const char *host)
{
	struct teller *t = arg;

	snprintf(t->again, sizeof(t->again), "%s", host);
}

static void begin(struct world *w, struct teller *t)
{
	const struct hosts_config config = {w->base, w->reg, on_changed, on_again, t};

	*t = (struct teller){.changed = 0};
	assert_int_equal(hosts_open(&config, &t->hosts), 0);
}

static void put(struct teller *t, const char *host, const char *key, const char *text)
{
	const char *why;

	if (hosts_put(t->hosts, host, key, text, strlen(text), &why) < 0)
		fail_msg("%s %s: %s", host, key, why);
}

#define NODE(name) "{\"v\":1,\"name\":\"" name "\",\"address\":\"192.0.2.2\"}"
#define IN(list) "{\"v\":1,\"in\":[" list "]}"
#define WEB(id, port)                                                                                        \
	"{\"service\":\"web\",\"id\":\"" id "\",\"address\":\"10.1.0.2\",\"port\":" port ",\"weight\":1}"

static bool there(struct world *w, const char *id)
{
	return registry_backend_find(w->reg, "web", id) != NULL;
}

static void an_instance_stays_when_it_changes_its_text(void **state)
{
	struct world *w = *state;
	struct reg_service service = world_service("web");
	struct teller t;

	world_add_service(w, &service);
	begin(w, &t);
	put(&t, "h2", "in/0", IN(WEB("a", "1") "," WEB("b", "2")));
	put(&t, "h2", "node", NODE("n2"));
	hosts_apply(t.hosts);
	assert_true(there(w, "n2/a") && there(w, "n2/b"));
	assert_int_equal(hosts_count(t.hosts, "h2"), 2);
	world_told(w);
	put(&t, "h2", "in/0", IN(WEB("b", "2"))); /* the one that loses it first */
	put(&t, "h2", "in/1", IN(WEB("a", "1")));
	hosts_apply(t.hosts);
	put(&t, "h2", "in/0", IN(WEB("a", "1") "," WEB("b", "2")));
	hosts_drop(t.hosts, "h2", "in/1");
	hosts_apply(t.hosts);
	assert_string_equal(world_told(w), "");
	hosts_drop(t.hosts, "h2", "in/0");
	hosts_apply(t.hosts);
	assert_false(there(w, "n2/a") || there(w, "n2/b"));
	hosts_drop(t.hosts, "h2", "node");
	hosts_apply(t.hosts);
	assert_null(registry_node_find(w->reg, "n2"));
	hosts_close(t.hosts);
}

static void nobody_takes_the_name_of_another_one_s_node(void **state)
{
	struct world *w = *state;
	struct teller t;

	begin(w, &t);
	put(&t, "h2", "node", NODE("n"));
	put(&t, "h2", "in/0", IN(WEB("a", "1")));
	hosts_apply(t.hosts);
	put(&t, "h3", "node", NODE("n"));
	put(&t, "h3", "in/0", IN(WEB("a", "1")));
	hosts_apply(t.hosts);
	assert_true(there(w, "n/a") && there(w, "h3/a"));
	put(&t, "h2", "node", NODE("m")); /* it is called otherwise: its instances are asked for again */
	hosts_apply(t.hosts);
	assert_false(there(w, "n/a"));
	event_base_loop(w->base, EVLOOP_NONBLOCK);
	assert_string_equal(t.again, "h2");
	hosts_close(t.hosts);
}

static void the_name_of_a_host_is_its_own(void **state)
{
	struct world *w = *state;
	struct teller t;

	begin(w, &t);
	put(&t, "h3", "node", NODE("h2")); /* before the one that is called so */
	put(&t, "h3", "in/0", IN(WEB("a", "1")));
	hosts_apply(t.hosts);
	assert_true(there(w, "h2/a"));
	put(&t, "h2", "node", NODE("h2"));
	put(&t, "h2", "in/0", IN(WEB("b", "1")));
	hosts_apply(t.hosts);
	assert_true(there(w, "h2/b") && !there(w, "h2/a"));
	event_base_loop(w->base, EVLOOP_NONBLOCK);
	assert_string_equal(t.again, "h3");
	put(&t, "h3", "in/0", IN(WEB("a", "1")));
	put(&t, "h4", "node", NODE("h2")); /* and after it */
	put(&t, "h4", "in/0", IN(WEB("a", "1")));
	hosts_apply(t.hosts);
	assert_true(there(w, "h3/a") && there(w, "h4/a"));
	assert_int_equal(hosts_info(t.hosts).refused, 0);
	hosts_close(t.hosts);
}

static void no_name_that_a_client_gave_takes_a_host_out(void **state)
{
	struct world *w = *state;
	struct reg_node node = {.name = "h2", .address = "192.0.2.9", .source = "consul"};
	struct teller t;

	assert_int_equal(registry_node_put(w->reg, &node, &w->err), 0);
	begin(w, &t);
	put(&t, "h2", "node", NODE("h2"));
	put(&t, "h2", "in/0", IN(WEB("a", "1")));
	hosts_apply(t.hosts);
	assert_true(there(w, "h2-cluster/a"));
	assert_string_equal(registry_node_find(w->reg, "h2")->source, "consul");
	hosts_close(t.hosts);
}

/* Instances of a host, in as many texts as they need. */
static void put_many(struct teller *t, const char *host, unsigned n)
{
	char key[32], id[32];

	for (unsigned i = 0; i < n;) {
		json_t *list = json_array();
		char *text;

		snprintf(key, sizeof(key), "in/%u", i / HOSTS_CHUNK);
		do {
			snprintf(id, sizeof(id), "i%u", i++);
			json_array_append_new(
				list, json_pack("{s:s, s:s, s:s, s:i, s:i}", "service", id, "id", id,
					      "address", "10.1.0.2", "port", 1, "weight", 1));
		} while (i < n && i % HOSTS_CHUNK);
		list = json_pack("{s:i, s:o}", "v", 1, "in", list);
		text = json_dumps(list, JSON_COMPACT);
		put(t, host, key, text);
		free(text);
		json_decref(list);
	}
	hosts_apply(t->hosts);
}

/* As many as a host has for sure, beside one that has all that it can get. */
static void no_host_uses_up_the_room_of_others(void **state)
{
	enum { EACH = 32, MOST = EACH + (1 << 16) };
	struct world *w = *state;
	struct teller t;

	begin(w, &t);
	put_many(&t, "h2", MOST + 1);
	assert_int_equal(hosts_count(t.hosts, "h2"), MOST);
	assert_int_equal(hosts_info(t.hosts).refused, 1);
	put_many(&t, "h3", EACH);
	assert_int_equal(hosts_count(t.hosts, "h3"), EACH);
	hosts_close(t.hosts);
}

static void what_runs_at_a_lost_host_is_critical(void **state)
{
	struct world *w = *state;
	struct teller t;

	begin(w, &t);
	put(&t, "h2", "in/0", IN(WEB("a", "1")));
	hosts_apply(t.hosts);
	assert_int_equal(world_find(w, "web", "h2/a")->health, REG_PASSING);
	hosts_state(t.hosts, "h2", true, ip("192.0.2.7"));
	hosts_apply(t.hosts);
	assert_int_equal(world_find(w, "web", "h2/a")->health, REG_CRITICAL);
	assert_string_equal(registry_node_find(w->reg, "h2")->address, "192.0.2.7");
	hosts_state(t.hosts, "h2", false, ip("192.0.2.7"));
	hosts_apply(t.hosts);
	assert_int_equal(world_find(w, "web", "h2/a")->health, REG_PASSING);
	hosts_close(t.hosts);
}

static void a_host_with_many_texts_goes_whole(void **state)
{
	struct world *w = *state;
	struct teller t;
	char key[16];

	begin(w, &t);
	put(&t, "h2", "node", NODE("n2"));
	for (unsigned i = 0; i < 100; i++) {
		snprintf(key, sizeof(key), "in/%u", i);
		put(&t, "h2", key, IN(WEB("a", "1")));
	}
	hosts_apply(t.hosts);
	assert_true(there(w, "n2/a"));
	for (unsigned i = 0; i < 100; i++) {
		snprintf(key, sizeof(key), "in/%u", i);
		hosts_drop(t.hosts, "h2", key);
	}
	hosts_drop(t.hosts, "h2", "node");
	hosts_apply(t.hosts);
	assert_false(there(w, "n2/a"));
	assert_true(!registry_node_find(w->reg, "n2") && !registry_node_find(w->reg, "h2"));
	hosts_close(t.hosts);
}

static void nobody_takes_another_one_s_instance_away(void **state)
{
	struct world *w = *state;
	struct teller t;

	begin(w, &t);
	put(&t, "h2", "node", NODE("n2"));
	put(&t, "h2", "in/0", IN(WEB("x/a", "1")));
	hosts_apply(t.hosts);
	put(&t, "h3", "node", NODE("n2/x"));
	put(&t, "h3", "in/0", IN(WEB("a", "1")));
	hosts_apply(t.hosts);
	put(&t, "h3", "in/0", IN(""));
	hosts_apply(t.hosts);
	assert_true(there(w, "n2/x/a"));
	assert_int_equal(hosts_count(t.hosts, "h2"), 1);
	hosts_close(t.hosts);
}

static void note(void *arg, const char *key, const char *text)
{
	struct teller *t = arg;
	size_t used = strlen(t->own);

	snprintf(t->own + used, sizeof(t->own) - used, "%s %s\n", key, text);
}

static const char *own(struct teller *t)
{
	t->own[0] = '\0';
	hosts_own(t->hosts, note, t);
	return t->own;
}

static void register_here(struct world *w, const char *id)
{
	struct reg_backend backend = world_backend("10.1.0.1", 80);
	struct reg_check check = world_check(REG_CHECK_TTL);

	check.interval_ms = 0;
	snprintf(backend.id, sizeof(backend.id), "%s", id);
	snprintf(backend.source, sizeof(backend.source), REG_CONSUL);
	backend.own_checks = true;
	backend.checks = &check;
	backend.ncheck = 1;
	assert_int_equal(registry_backend_put(w->reg, "web", &backend, &w->err), 0);
}

static void say(struct world *w, enum reg_health health, const char *output)
{
	assert_int_equal(registry_backend_beat(w->reg, "web", "a", NULL, health, output, &w->err), 0);
}

static void who_flaps_is_told_as_ill(void **state)
{
	struct world *w = *state;
	struct teller t;

	begin(w, &t);
	register_here(w, "a");
	for (unsigned i = 0; i < 4; i++) {
		say(w, REG_PASSING, "fine");
		world_until_count(w, &t.changed, t.changed + 1);
		assert_non_null(strstr(own(&t), "\"passing\""));
		say(w, REG_CRITICAL, "ill");
		world_until_count(w, &t.changed, t.changed + 1);
		assert_non_null(strstr(own(&t), "\"critical\""));
	}
	say(w, REG_PASSING, "fine");
	register_here(w, "b"); /* when this is told, that was looked at */
	world_until_count(w, &t.changed, t.changed + 1);
	assert_non_null(strstr(own(&t), "\"id\":\"b\""));
	assert_null(strstr(own(&t), "\"passing\""));
	hosts_close(t.hosts);
}

static void only_a_change_of_health_is_told(void **state)
{
	struct world *w = *state;
	struct teller t;

	begin(w, &t);
	register_here(w, "a");
	say(w, REG_PASSING, "first");
	world_until_count(w, &t.changed, 1);
	say(w, REG_PASSING, "second");
	register_here(w, "b");
	world_until_count(w, &t.changed, 2);
	assert_non_null(strstr(own(&t), "first"));
	assert_null(strstr(own(&t), "second"));
	registry_backend_del(w->reg, "web", "a", &w->err);
	registry_backend_del(w->reg, "web", "b", &w->err);
	world_until_count(w, &t.changed, 3);
	assert_null(strstr(own(&t), "in/0"));
	hosts_close(t.hosts);
}

static void no_instance_has_its_neighbours_refused(void **state)
{
	struct world *w = *state;
	struct teller t;
	char longest[REG_ID_MAX + 1];

	memset(longest, 'x', REG_ID_MAX);
	longest[REG_ID_MAX] = '\0';
	register_here(w, "a");
	register_here(w, longest);
	begin(w, &t);
	assert_int_equal(hosts_info(t.hosts).untold, 1);
	assert_int_equal(hosts_info(t.hosts).told, 1);
	own(&t);
	put(&t, "h2", "in/0", strchr(strstr(t.own, "in/0 "), '{'));
	hosts_close(t.hosts);
}

/* Is it one that others take? */
static void note_node(void *arg, const char *key, const char *text)
{
	if (strcmp(key, "node") == 0)
		put(arg, "h2", key, text);
}

static void a_node_says_no_more_than_others_take(void **state)
{
	static char notes[4096];
	struct world *w = *state;
	struct reg_check checks[20];
	char ids[20][8];
	struct teller t;

	memset(notes, 'n', sizeof(notes) - 1);
	begin(w, &t);
	for (unsigned i = 0; i < 20; i++) {
		snprintf(ids[i], sizeof(ids[i]), "c%u", i);
		checks[i] = world_check(REG_CHECK_TTL);
		checks[i].interval_ms = 0;
		checks[i].id = ids[i];
		checks[i].notes = notes;
	}
	assert_int_equal(registry_node_checks(w->reg, "", checks, 20, &w->err), 0);
	register_here(w, "a"); /* when this is told, that was looked at */
	world_until_count(w, &t.changed, 1);
	hosts_own(t.hosts, note_node, &t);
	hosts_close(t.hosts);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, world_setup, world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_instance_stays_when_it_changes_its_text),
		TEST(nobody_takes_the_name_of_another_one_s_node),
		TEST(the_name_of_a_host_is_its_own),
		TEST(no_name_that_a_client_gave_takes_a_host_out),
		TEST(no_host_uses_up_the_room_of_others),
		TEST(what_runs_at_a_lost_host_is_critical),
		TEST(a_host_with_many_texts_goes_whole),
		TEST(nobody_takes_another_one_s_instance_away),
		TEST(no_instance_has_its_neighbours_refused),
		TEST(a_node_says_no_more_than_others_take),
		TEST(who_flaps_is_told_as_ill),
		TEST(only_a_change_of_health_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
