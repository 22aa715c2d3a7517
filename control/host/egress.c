#include "control/host/egress.h"

#include <errno.h>
#include <jansson.h>
#include <net/if.h>
#include <nftables/libnftables.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FORWARDING "/proc/sys/net/ipv4/ip_forward"

/* Replaces a table that may not be there: added, so that it can be deleted, and made anew, in one transaction. */
#define REPLACED "table inet %1$s\ndelete table inet %1$s\n"

static const char *const rules[EGRESS_COUNT] = {
	[EGRESS_HOST] = REPLACED,
	[EGRESS_NONE] = REPLACED "table inet %1$s {\n"
				 " chain forward {\n"
				 "  type filter hook forward priority filter; policy accept;\n"
				 "  iifname \"%1$s\" drop\n"
				 "  oifname \"%1$s\" drop\n"
				 " }\n"
				 "}\n",
	[EGRESS_MASQUERADE] = REPLACED "table inet %1$s {\n"
				       " chain forward {\n"
				       "  type filter hook forward priority filter; policy accept;\n"
				       "  iifname \"%1$s\" oifname \"sl-*\" drop\n"
				       "  oifname \"%1$s\" ct state established,related accept\n"
				       "  oifname \"%1$s\" drop\n"
				       " }\n"
				       " chain postrouting {\n"
				       "  type nat hook postrouting priority srcnat; policy accept;\n"
				       "  ip saddr %2$s oifname != \"%1$s\" masquerade\n"
				       " }\n"
				       "}\n",
};

/* The first line of what nft has to say, without the place in our text, which means nothing to others. */
static void first_line(const char *said, char why[EGRESS_WHY])
{
	const char *error = strstr(said, "Error: ");

	said = error ? error + strlen("Error: ") : said;
	snprintf(why, EGRESS_WHY, "%.*s", (int)strcspn(said, "\n"), said[0] ? said : "no reason given");
}

static struct nft_ctx *open_nft(void)
{
	struct nft_ctx *nft = nft_ctx_new(NFT_CTX_DEFAULT);

	if (nft && (nft_ctx_buffer_output(nft) || nft_ctx_buffer_error(nft))) {
		nft_ctx_free(nft);
		return NULL;
	}
	return nft;
}

static int run(const char *commands, char why[EGRESS_WHY])
{
	struct nft_ctx *nft = open_nft();
	int rc;

	if (!nft) {
		snprintf(why, EGRESS_WHY, "out of memory");
		return -1;
	}
	rc = nft_run_cmd_from_buffer(nft, commands);
	if (rc)
		first_line(nft_ctx_get_error_buffer(nft), why);
	nft_ctx_free(nft);
	return rc ? -1 : 0;
}

/* Has the host forward packets, by `file`, which is FORWARDING. */
static int forward(FILE *file, bool *was_off)
{
	*was_off = fgetc(file) == '0';
	rewind(file);
	return *was_off && (fputs("1\n", file) == EOF || fflush(file)) ? -1 : 0;
}

int egress_set(const char *ifname, struct addr_prefix subnet, enum egress egress, bool *forwards,
	char why[EGRESS_WHY])
{
	char prefix[ADDR_PREFIX_TEXT], commands[1024];
	FILE *file = NULL;
	int rc = 0;

	*forwards = false;
	snprintf(commands, sizeof(commands), rules[egress], ifname, addr_prefix_text(subnet, prefix));
	if (egress == EGRESS_MASQUERADE) {
		file = fopen(FORWARDING, "r+e"); /* before anything is changed */
		if (!file)
			snprintf(why, EGRESS_WHY, "cannot open %s: %s", FORWARDING, strerror(errno));
		rc = file ? 0 : -1;
	}
	if (rc == 0)
		rc = run(commands, why);
	if (rc == 0 && file && forward(file, forwards) < 0) {
		snprintf(why, EGRESS_WHY, "cannot write %s: %s", FORWARDING, strerror(errno));
		rc = -1;
	}
	if (file)
		fclose(file);
	return rc;
}

/* The tables of this host, NULL: none can be had. */
static json_t *list_tables(void)
{
	struct nft_ctx *nft = open_nft();
	json_t *tables = NULL;

	if (!nft)
		return NULL;
	nft_ctx_output_set_flags(nft, NFT_CTX_OUTPUT_JSON);
	if (nft_run_cmd_from_buffer(nft, "list tables inet") == 0)
		tables = json_loads(nft_ctx_get_output_buffer(nft), 0, NULL);
	nft_ctx_free(nft);
	return tables;
}

void egress_sweep(void)
{
	json_t *tables = list_tables(), *entry;
	char commands[128], why[EGRESS_WHY];
	size_t i;

	json_array_foreach (json_object_get(tables, "nftables"), i, entry) {
		const char *name =
			json_string_value(json_object_get(json_object_get(entry, "table"), "name"));

		if (!name || strncmp(name, "sl-", 3) != 0 || strlen(name) >= IF_NAMESIZE ||
			if_nametoindex(name))
			continue;
		snprintf(commands, sizeof(commands), "delete table inet %s\n", name);
		run(commands, why);
	}
	json_decref(tables);
}
