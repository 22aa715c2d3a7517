#include "tests/front/stamp.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

enum { ETHERTYPE = 0x88b5 }; /* IEEE 802: for local experiments */

bool stamp_mac(const char *text, uint8_t mac[6])
{
	char end;

	return sscanf(text, "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx%c", &mac[0], &mac[1], &mac[2], &mac[3], &mac[4],
		       &mac[5], &end) == 6;
}

static size_t length_of(const struct stamp *stamp)
{
	return STAMP_MIN + ((stamp->number + stamp->run) * 2654435761u >> 16) % (STAMP_MAX - STAMP_MIN + 1);
}

static uint8_t byte_of(const struct stamp *stamp, size_t at)
{
	return (uint8_t)(stamp->number * 131 + stamp->run * 17 + stamp->kind + at * 7 + (at >> 8));
}

size_t stamp_write(const struct stamp *stamp, uint8_t frame[STAMP_MAX])
{
	struct stamp whole = *stamp;
	size_t len = length_of(stamp);

	whole.ethertype = htons(ETHERTYPE);
	whole.padding = 0;
	memcpy(frame, &whole, sizeof(whole));
	for (size_t i = sizeof(whole); i < len; i++)
		frame[i] = byte_of(stamp, i);
	return len;
}

bool stamp_read(const uint8_t *frame, size_t len, struct stamp *stamp)
{
	if (len < STAMP_MIN)
		return false;
	memcpy(stamp, frame, sizeof(*stamp));
	if (stamp->ethertype != htons(ETHERTYPE) || len != length_of(stamp))
		return false;
	for (size_t i = sizeof(*stamp); i < len; i++)
		if (frame[i] != byte_of(stamp, i))
			return false;
	return true;
}
