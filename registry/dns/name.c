/*
 * name.c: what a name stands for. The forms are Consul's:
 *
 *   [TAG.]SERVICE.service[.DC].DOMAIN     NODE.node[.DC].DOMAIN     SERVICE.virtual[.DC].DOMAIN
 *   _SERVICE._TAG[.service][.DC].DOMAIN   HEXIP.addr[.DC].DOMAIN    D.C.B.A.in-addr.arpa, ....ip6.arpa
 *
 * where .DC may be .DC.dc too,
 * and inside a network NAME or NAME.NETWORK, for its services and ports.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "registry/dns/inside.h"

/* Takes "SUFFIX" or ".SUFFIX" off the end. */
static bool strip(char *name, const char *suffix)
{
	size_t len = strlen(name), cut = strlen(suffix);

	if (len < cut || strcmp(name + len - cut, suffix) != 0)
		return false;
	if (len == cut) {
		name[0] = '\0';
		return true;
	}
	if (name[len - cut - 1] != '.')
		return false;
	name[len - cut - 1] = '\0';
	return true;
}

bool dns_name_fits(const struct dns *dns, const char *name)
{
	size_t len, behind = strlen(dns->datacenter) + strlen(dns->domain) + sizeof(".node..");

	for (const char *at = name;; at += len + 1) {
		len = strcspn(at, ".");
		if (len < 1 || len > LDNS_MAX_LABELLEN ||
			strspn(at, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") != len)
			return false;
		if (!at[len])
			return strlen(name) + behind <= DNS_NAME_MAX;
	}
}

static const struct {
	const char *label;
	enum dns_kind kind;
} kinds[] = {
	{"service", DNS_SERVICE},
	{"virtual", DNS_VIRTUAL},
	{"node", DNS_NODE},
	{"addr", DNS_ADDR},
};

static bool is_rfc2782(const char *name)
{
	return name[0] == '_' && strstr(name, "._");
}

static enum dns_kind kind_of(char *name, bool has_datacenter)
{
	if (!name[0])
		return has_datacenter ? DNS_EMPTY : DNS_APEX;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (!strip(name, kinds[i].label))
			continue;
		if (!name[0])
			return DNS_EMPTY;
		return kinds[i].kind == DNS_SERVICE && is_rfc2782(name) ? DNS_RFC2782 : kinds[i].kind;
	}
	return is_rfc2782(name) ? DNS_RFC2782 : DNS_NONE;
}

/* 32 digits, the last first, and dots between them */
static bool reverse6(const char *name, struct ip_addr *address)
{
	*address = (struct ip_addr){0};
	for (unsigned i = 0; i < 32; i++) {
		const char *digits = "0123456789abcdef", *at = strchr(digits, name[2 * i]);

		if (!at || !*at || name[2 * i + 1] != (i < 31 ? '.' : '\0'))
			return false;
		address->b[15 - i / 2] |= (uint8_t)((at - digits) << 4 * (i % 2));
	}
	return true;
}

static bool reverse4(const char *name, struct ip_addr *address)
{
	unsigned part[4];
	int used = 0;

	if (sscanf(name, "%3u.%3u.%3u.%3u%n", &part[0], &part[1], &part[2], &part[3], &used) != 4 ||
		name[used])
		return false;
	for (int i = 0; i < 4; i++)
		if (part[i] > 255)
			return false;
	*address = ip_from4(htonl(part[3] << 24 | part[2] << 16 | part[1] << 8 | part[0]));
	return true;
}

static bool reverse(struct dns_name *name)
{
	if (strip(name->name, "in-addr.arpa"))
		return reverse4(name->name, &name->address);
	return strip(name->name, "ip6.arpa") && reverse6(name->name, &name->address);
}

/* A bare name belongs to the network, as does what ends in the network's; nothing else does, so that no
 * service can pass for a name of the world outside. */
static enum dns_kind local(const struct dns_query *query, char *name)
{
	if (!query->listener->network[0] || !name[0])
		return DNS_OUTSIDE;
	if (strcmp(name, query->listener->network) != 0 && strip(name, query->listener->network))
		return DNS_LOCAL;
	return strchr(name, '.') ? DNS_OUTSIDE : DNS_LOCAL;
}

/* "DC", or "DC.dc" as Consul has it since it knows other suffixes. */
static bool strip_datacenter(const struct dns *dns, char *name)
{
	char explicit[DNS_NAME_MAX + 1];

	snprintf(explicit, sizeof(explicit), "%s.dc", dns->datacenter);
	return strip(name, explicit) || strip(name, dns->datacenter);
}

void dns_name_read(const struct dns *dns, const struct dns_query *query, struct dns_name *name)
{
	bool has_datacenter;

	memcpy(name->name, query->name, sizeof(name->name));
	name->address = (struct ip_addr){0};
	if (strip(name->name, dns->domain)) {
		has_datacenter = strip_datacenter(dns, name->name);
		name->kind = kind_of(name->name, has_datacenter);
	} else if (reverse(name)) {
		name->kind = DNS_REVERSE;
	} else {
		memcpy(name->name, query->name, sizeof(name->name));
		name->kind = local(query, name->name);
	}
}
