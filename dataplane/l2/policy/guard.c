#include "dataplane/l2/policy/guard.h"

#include <stdlib.h>

#include "dataplane/core/dp.h"
#include "dataplane/frame/headers.h"
#include "dataplane/frame/nd.h"
#include "dataplane/frame/reply.h"
#include "dataplane/l2/network.h"
#include "dataplane/l2/owner.h"
#include "dataplane/lb/service.h"

enum { ETHERTYPE_RARP = 0x8035, ROUTER_SOLICIT = 133, ROUTER_ADVERT = 134 };

struct guard *guard_new(const struct dp_port *spec)
{
	unsigned nallow = spec->nallow < DP_ALLOW_MAX ? spec->nallow : DP_ALLOW_MAX;
	struct guard *guard = calloc(1, sizeof(*guard) + nallow * sizeof(guard->allow[0]));

	if (!guard)
		return NULL;
	guard->security = (uint8_t)(spec->gateway ? DP_SECURITY_OFF : spec->security);
	guard->trusted = spec->trusted || spec->gateway;
	guard->mac = fdb_key(0, spec->mac);
	for (unsigned i = 0; i < spec->nips; i++)
		if (ip_is4(spec->ips[i]))
			guard->ip[guard->nip++] = ip_to4(spec->ips[i]);
		else
			guard->ip6[guard->nip6++] = spec->ips[i];
	if (guard->nip)
		guard->plain = guard->mac | UINT64_C(0x0008) << 48;
	if (guard->nip6)
		guard->plain6 = guard->mac | UINT64_C(0xdd86) << 48;
	guard->nallow = (uint8_t)nallow;
	memcpy(guard->allow, spec->allow, nallow * sizeof(guard->allow[0]));
	return guard;
}

bool guard_has_mac(const struct guard *guard, uint64_t mac)
{
	if (mac == guard->mac)
		return true;
	for (unsigned i = 0; i < guard->nallow; i++)
		if (mac == fdb_key(0, guard->allow[i].mac))
			return true;
	return false;
}

static bool lists(const struct guard *guard, uint32_t ip)
{
	for (unsigned i = 0; i < guard->nip; i++)
		if (guard->ip[i] == ip)
			return true;
	return false;
}

static bool lists6(const struct guard *guard, struct ip_addr ip)
{
	for (unsigned i = 0; i < guard->nip6; i++)
		if (ip_equal(guard->ip6[i], ip))
			return true;
	return false;
}

/* May `mac` speak for the address, which is one of the port's own or not? */
static bool is_allowed(const struct guard *guard, const uint8_t *mac, struct ip_addr ip, bool own)
{
	if (own && fdb_key(0, mac) == guard->mac)
		return true;
	for (unsigned i = 0; i < guard->nallow; i++) {
		const struct dp_allow *allow = &guard->allow[i];
		const struct ip_prefix prefix = {allow->address, allow->len};

		if (mac_equal(allow->mac, mac) && (allow->has_prefix ? ip_inside(ip, prefix) : own))
			return true;
	}
	return false;
}

bool guard_has_ip4(const struct guard *guard, const uint8_t *mac, uint32_t ip)
{
	return is_allowed(guard, mac, ip_from4(ip), lists(guard, ip));
}

/* fe80::/64 and the identifier that follows from the MAC (RFC 4291, appendix A). */
static bool is_link_local_of(const uint8_t *ip, const uint8_t *mac)
{
	const uint8_t eui64[16] = {
		0xfe, 0x80, 0, 0, 0, 0, 0, 0, mac[0] ^ 2, mac[1], mac[2], 0xff, 0xfe, mac[3], mac[4], mac[5]};

	return memcmp(ip, eui64, 16) == 0;
}

bool guard_has_ip6(const struct guard *guard, const uint8_t *mac, const uint8_t *ip)
{
	const struct ip_addr address = ip_from6(ip);

	if (is_link_local_of(ip, mac) && guard_has_mac(guard, fdb_key(0, mac)))
		return true;
	/* no packet bears an IPv4 address that is written as IPv6 (RFC 4291, 2.5.5.2): it would pass for IPv4's */
	return !ip_is4(address) && is_allowed(guard, mac, address, lists6(guard, address));
}

/* The address that ARP says its sender has; of neighbour discovery what an advertisement is about, and whoever asks.
 * False: the frame says that of none. */
static bool claimed_ip(const struct frame *f, const struct headers *h, struct ip_addr *ip)
{
	const uint8_t *l3 = f->hdr + f->hdr_off + h->l3, *nd = f->hdr + f->hdr_off + h->l4;

	*ip = (struct ip_addr){0};
	if (h->type == ETHERTYPE_ARP && h->l3 + ARP_LEN <= f->hdr_len && load_ip4(l3 + ARP_SENDER_IP))
		*ip = ip_from4(load_ip4(l3 + ARP_SENDER_IP));
	else if (h->type != ETHERTYPE_IP6 || !h->l4 || h->proto != IPPROTO_ICMPV6)
		return false;
	else if (nd[0] == ND_ADVERT && h->l4 + ND_LEN <= f->hdr_len)
		*ip = ip_from6(nd + ND_TARGET);
	else if (nd[0] == ND_SOLICIT || nd[0] == ROUTER_SOLICIT)
		*ip = ip_from6(l3 + 8);
	return !ip_is_none(*ip);
}

/* An advertisement that says past the copy, or in a later fragment, what it is about. Receivers look behind any number of
 * headers. */
static bool hides_claim(const struct frame *f, const struct headers *h)
{
	return h->type == ETHERTYPE_IP6 && h->l4 && h->proto == IPPROTO_ICMPV6 &&
	       f->hdr[f->hdr_off + h->l4] == ND_ADVERT && h->l4 + ND_LEN > f->hdr_len;
}

/*
 * Does ARP or neighbour discovery claim an address that is not the sender's: one that the switch answers for itself,
 * or, in an answer to control's own question, one of another port?
 */
static bool claims_of_others(
	const struct worker *w, const struct burst *b, const struct frame *f, const struct headers *h)
{
	const struct network *net = dp_get_net(w->dp, f->net);
	const uint8_t *data = f->hdr + f->hdr_off;
	const struct lb_view *lb;
	const struct port *owner;
	struct ip_addr ip;

	if (!net || b->in->is_gateway)
		return false;
	if (hides_claim(f, h))
		return true;
	if (!claimed_ip(f, h, &ip))
		return false;
	lb = atomic_load_explicit(&net->lb, memory_order_acquire);
	if (network_is_gateway(net, ip) || (lb && lb_has_vip(lb, ip)))
		return true;
	if (!mac_equal(data, w->dp->probe_mac))
		return false;
	owner = owner_of_ip(w->dp, net, ip);
	return owner && owner != b->in && (f->src_vtep == VTEP_NONE || owner_is_up(owner));
}

/* DHCP by the ports that clients listen on too, for they do not look where an answer comes from; and router
 * advertisements. What hides its headers could be either. */
static bool serves(const struct frame *f, const struct headers *h)
{
	const uint8_t *l4 = f->hdr + f->hdr_off + h->l4;
	uint16_t from, to;

	if (h->type != ETHERTYPE_IP4 && h->type != ETHERTYPE_IP6)
		return h->hidden;
	if (h->later)
		return false;
	if (h->hidden)
		return h->type == ETHERTYPE_IP6 ? h->proto != IPPROTO_TCP : h->proto == IPPROTO_UDP;
	if (!h->l4)
		return false;
	if (h->type == ETHERTYPE_IP6 && h->proto == IPPROTO_ICMPV6)
		return l4[0] == ROUTER_ADVERT;
	if (h->proto != IPPROTO_UDP)
		return false;
	from = load16(l4);
	to = load16(l4 + 2);
	return h->type == ETHERTYPE_IP4 ? from == 67 || to == 68 : from == 547 || to == 546;
}

/* What no port may do. */
static enum drop_reason check_any(const struct worker *w, const struct burst *b, const struct frame *f,
	const struct headers *h, bool trusted)
{
	if (claims_of_others(w, b, f, h))
		return DROP_SPOOFED_ARP;
	return !trusted && serves(f, h) ? DROP_ROGUE_SERVER : DROP_COUNT;
}

/* TCP or UDP right behind a plain IPv6 header, and no DHCPv6: neither neighbour discovery nor a server's. */
static inline bool is_plain_ip6(const struct frame *f)
{
	const uint8_t *data = f->hdr + f->hdr_off, *ip = data + ETH_LEN;
	uint16_t from, to;

	if (f->hdr_len < ETH_LEN + 40 + 8 || load16(data + 12) != ETHERTYPE_IP6 || ip[0] >> 4 != 6 ||
		load16(ip + 4) + ETH_LEN + 40u > f->len)
		return false;
	from = load16(ip + 40);
	to = load16(ip + 42);
	return ip[6] == IPPROTO_TCP || (ip[6] == IPPROTO_UDP && from != 547 && to != 546);
}

/* The odd frames of ports that may send from anywhere, and those from vteps. */
static void guard_open(const struct worker *w, struct burst *b, bool trusted)
{
	for (unsigned i = 0; i < b->count; i++) {
		struct frame *f = &b->frame[i];
		enum drop_reason reason;
		struct headers h;

		if (f->verdict != V_NONE || guard_is_plain(f) || is_plain_ip6(f))
			continue;
		headers_find(f, &h);
		reason = check_any(w, b, f, &h, trusted);
		if (reason != DROP_COUNT)
			frame_drop(f, reason);
	}
}

/* Such a packet from the port's own MAC and its first address: what nearly all frames of IPv6 are. */
static inline bool is_first_ip6(const struct guard *guard, const struct frame *f, uint64_t start)
{
	return start == guard->plain6 && is_plain_ip6(f) &&
	       memcmp(f->hdr + f->hdr_off + ETH_LEN + 8, guard->ip6[0].b, 16) == 0;
}

/* The same from any of its addresses. */
static bool is_own_ip6(const struct guard *guard, const struct frame *f)
{
	const uint8_t *data = f->hdr + f->hdr_off;

	return is_plain_ip6(f) && fdb_frame_key(0, data + 6) == guard->mac &&
	       lists6(guard, ip_from6(data + ETH_LEN + 8));
}

/* A frame of a guarded port that is not what its frames are as a rule. */
static __attribute__((noinline)) void guard_odd(
	const struct worker *w, const struct burst *b, const struct guard *guard, struct frame *f)
{
	const uint8_t *data = frame_data(f);
	bool plain = guard_is_plain(f), full = guard->security == DP_SECURITY_FULL;
	enum drop_reason reason = DROP_COUNT;
	struct headers h;

	if (f->verdict != V_NONE || is_own_ip6(guard, f))
		return;
	if (!guard_has_mac(guard, fdb_frame_key(0, data + 6))) {
		frame_drop(f, DROP_SPOOFED_MAC);
		return;
	}
	if (plain && (!full || guard_has_ip4(guard, data + 6, load_ip4(data + ETH_LEN + 12))))
		return;
	headers_find(f, &h);
	if (!plain)
		reason = check_any(w, b, f, &h, guard->trusted);
	if (reason == DROP_COUNT && full)
		reason = guard_check(guard, f, &h);
	if (reason != DROP_COUNT)
		frame_drop(f, reason);
}

/* Source MAC, ethertype and source address of nearly every frame in two compares; `odd`: some frame of the
 * burst is more than that. */
static void guard_full(const struct worker *w, struct burst *b, const struct guard *guard, bool odd)
{
	for (unsigned i = 0; i < b->count; i++) {
		struct frame *f = &b->frame[i];
		const uint8_t *data = frame_data(f);
		uint64_t start;

		memcpy(&start, data + 6, 8);
		if (__builtin_expect(start != guard->plain || load_ip4(data + ETH_LEN + 12) != guard->ip[0] ||
					     (odd && !guard_is_plain(f)),
			    0) &&
			!is_first_ip6(guard, f, start))
			guard_odd(w, b, guard, f);
	}
}

static void guard_mac(const struct worker *w, struct burst *b, const struct guard *guard, bool odd)
{
	for (unsigned i = 0; i < b->count; i++) {
		struct frame *f = &b->frame[i];

		if (__builtin_expect(
			    fdb_frame_key(0, frame_data(f) + 6) != guard->mac || (odd && !guard_is_plain(f)),
			    0))
			guard_odd(w, b, guard, f);
	}
}

void guard_stage(struct worker *w, struct burst *b)
{
	const struct guard *guard = port_guard(b->in);
	bool odd = b->traits & BURST_ODD;

	if (!guard || guard->security == DP_SECURITY_OFF)
		guard_open(w, b, !guard || guard->trusted);
	else if (guard->security == DP_SECURITY_MAC)
		guard_mac(w, b, guard, odd);
	else
		guard_full(w, b, guard, odd);
}
