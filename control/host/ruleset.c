#include "control/host/ruleset.h"

#include <nftables/libnftables.h>
#include <stdio.h>
#include <string.h>

/* The first line of what nft has to say, without the place in our text, which means nothing to others. */
static void first_line(const char *said, char why[RULESET_WHY])
{
	const char *error = strstr(said, "Error: ");

	said = error ? error + strlen("Error: ") : said;
	snprintf(why, RULESET_WHY, "%.*s", (int)strcspn(said, "\n"), said[0] ? said : "no reason given");
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

int ruleset_run(const char *commands, char why[RULESET_WHY])
{
	struct nft_ctx *nft = open_nft();
	int rc;

	if (!nft) {
		snprintf(why, RULESET_WHY, "out of memory");
		return -1;
	}
	rc = nft_run_cmd_from_buffer(nft, commands);
	if (rc)
		first_line(nft_ctx_get_error_buffer(nft), why);
	nft_ctx_free(nft);
	return rc ? -1 : 0;
}

void ruleset_delete(const char *table)
{
	char commands[64 + 2 * RULESET_NAME], why[RULESET_WHY];

	snprintf(commands, sizeof(commands), "table inet %1$s\ndelete table inet %1$s\n", table);
	ruleset_run(commands, why);
}

json_t *ruleset_list(const char *command)
{
	struct nft_ctx *nft = open_nft();
	json_t *answer = NULL;

	if (!nft)
		return NULL;
	nft_ctx_output_set_flags(nft, NFT_CTX_OUTPUT_JSON | NFT_CTX_OUTPUT_HANDLE);
	if (nft_run_cmd_from_buffer(nft, command) == 0)
		answer = json_loads(nft_ctx_get_output_buffer(nft), 0, NULL);
	nft_ctx_free(nft);
	return answer;
}
