#include "control/cluster/block.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/base/params.h"
#include "control/host/addr.h"

struct block_value *block_copy(const struct block_value *block)
{
	struct block_value *copy = calloc(1, sizeof(*copy) + BLOCK_SIZE * sizeof(copy->parts[0]));

	if (copy && block)
		memcpy(copy, block, sizeof(*block) + block->n * sizeof(block->parts[0]));
	return copy;
}

uint64_t block_part_of(const struct block_value *block, const char *host)
{
	for (unsigned i = 0; i < block->n; i++)
		if (strcmp(block->parts[i].host, host) == 0)
			return block->parts[i].bits;
	return 0;
}

uint64_t block_taken(const struct block_value *block)
{
	uint64_t all = 0;

	for (unsigned i = 0; i < block->n; i++)
		all |= block->parts[i].bits;
	return all;
}

void block_set(struct block_value *block, const char *host, uint64_t bits)
{
	unsigned i = 0;

	while (i < block->n && strcmp(block->parts[i].host, host) != 0)
		i++;
	if (!bits && i < block->n)
		block->parts[i] = block->parts[--block->n];
	if (!bits || i == BLOCK_SIZE) /* each part has a bit of its own */
		return;
	if (i == block->n)
		snprintf(block->parts[block->n++].host, VALUE_NAME, "%s", host);
	block->parts[i].bits = bits;
}

static bool read_bits(const json_t *json, uint64_t *bits)
{
	const char *text = json_string_value(json);

	if (!text || !text[0] || strlen(text) > 16 || strspn(text, "0123456789abcdef") != strlen(text))
		return false;
	*bits = strtoull(text, NULL, 16);
	return *bits != 0;
}

static const char *read_parts(const json_t *hosts, struct block_value *block)
{
	const char *host;
	json_t *json;
	uint64_t bits;

	if (!json_is_object(hosts) || json_object_size(hosts) > BLOCK_SIZE)
		return "hosts: must be an object of at most 64";
	json_object_foreach ((json_t *)hosts, host, json) {
		if (!host[0] || strlen(host) >= VALUE_NAME || !read_bits(json, &bits))
			return "hosts: must have 1 to 16 digits, not all 0, for each host";
		if (bits & block_taken(block))
			return "hosts: two have an address";
		block_set(block, host, bits);
	}
	return NULL;
}

/* Is the text of that network, as its key says? `*rest` is what follows the network there. */
static bool is_at(const json_t *json, const char *place, char network[VALUE_NAME], const char **rest)
{
	const char *name = param_str(json, "network");
	size_t len = name ? strlen(name) : 0;

	if (!len || len >= VALUE_NAME || strncmp(place, name, len) != 0 || place[len] != '/')
		return false;
	memcpy(network, name, len + 1);
	*rest = place + len + 1;
	return true;
}

static const char *read_block(const json_t *json, const char *place, struct block_value *block)
{
	const char *rest;
	char text[IP_TEXT];

	if (!is_at(json, place, block->network, &rest))
		return "network: not that of its key";
	if (!ip_parse(param_str(json, "block"), &block->base) ||
		!ip_equal(block->base, block_base(block->base)) ||
		strcmp(rest, ip_text(block->base, text)) != 0)
		return "block: not the address of its key, of which every 64th is one";
	return read_parts(json_object_get(json, "hosts"), block);
}

struct block_value *block_read(const char *text, size_t len, const char *place, const char **why)
{
	json_t *json = value_read(text, len, why);
	struct block_value *block = json ? block_copy(NULL) : NULL, *whole = NULL;

	if (json)
		*why = block ? read_block(json, place, block) : "out of memory";
	json_decref(json);
	if (!*why) /* few hosts have a part of one block */
		whole = realloc(block, sizeof(*block) + block->n * sizeof(block->parts[0]));
	if (!whole)
		free(block);
	return whole;
}

char *block_text(const struct block_value *block)
{
	json_t *hosts = json_object();
	char text[IP_TEXT], bits[20];

	for (unsigned i = 0; i < block->n; i++) {
		snprintf(bits, sizeof(bits), "%016" PRIx64, block->parts[i].bits);
		json_object_set_new(hosts, block->parts[i].host, json_string(bits));
	}
	return value_text(json_pack("{s:i, s:s, s:s, s:o}", "v", VALUE_VERSION, "network", block->network,
		"block", ip_text(block->base, text), "hosts", hosts));
}

struct block_ask *block_ask_read(const char *text, size_t len, const char *place, const char **why)
{
	json_t *json = value_read(text, len, why);
	struct block_ask *ask = json ? calloc(1, sizeof(*ask)) : NULL;
	const char *within = param_str(json, "within"), *rest;

	if (json && !ask)
		*why = "out of memory";
	else if (json && !is_at(json, place, ask->network, &rest))
		*why = "network: not that of its key";
	else if (json && (!within || !addr_ip_prefix(within, &ask->within)))
		*why = "within: must be a prefix";
	json_decref(json);
	if (!*why)
		return ask;
	free(ask);
	return NULL;
}

char *block_ask_text(const struct block_ask *ask, unsigned round)
{
	char text[ADDR_IP_PREFIX_TEXT];

	return value_text(json_pack("{s:i, s:s, s:s, s:i}", "v", VALUE_VERSION, "network", ask->network,
		"within", addr_ip_prefix_text(ask->within, text), "round", (int)round));
}
