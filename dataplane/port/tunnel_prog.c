#include "dataplane/port/tunnel_prog.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <linux/ethtool.h>
#include <linux/pkt_cls.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dataplane/port/bpf_insn.h"

enum {
	TCX_EGRESS = 47, /* Linux 6.6; newer than Debian 12's headers */
	TCX_NEXT = -1,
	OUTER = 50, /* IPv4, UDP, VXLAN and the inner Ethernet header, which lie behind the outer one */
	ETHERNET = 14,
	HEADERS = OUTER + ETHERNET,
	TO_NEXT = -1,
	TO_DROP = -2,
};

static const uint64_t encap = BPF_F_ADJ_ROOM_FIXED_GSO | BPF_F_ADJ_ROOM_ENCAP_L3_IPV4 |
			      BPF_F_ADJ_ROOM_ENCAP_L4_UDP | BPF_F_ADJ_ROOM_ENCAP_L2_ETH |
			      BPF_F_ADJ_ROOM_ENCAP_L2(ETHERNET);

/* Changes the room behind the Ethernet header by `bytes`. r6 is the context. */
static void add_adjust(struct bpf_code *p, int bytes, uint64_t flags)
{
	bpf_add(p, MOV_REG(BPF_REG_1, BPF_REG_6));
	bpf_add(p, MOV(BPF_REG_2, bytes));
	bpf_add(p, MOV(BPF_REG_3, BPF_ADJ_ROOM_MAC));
	bpf_add(p, WIDE(BPF_REG_4, 0, flags));
	bpf_add(p, WIDE_HIGH(flags));
	bpf_add(p, CALL(BPF_FUNC_skb_adjust_room));
	bpf_add(p, JUMP_UNLESS(BPF_REG_0, 0, TO_DROP));
}

/* All headers to the stack, or from there. */
static void add_copy(struct bpf_code *p, int function)
{
	bpf_add(p, MOV_REG(BPF_REG_1, BPF_REG_6));
	bpf_add(p, MOV(BPF_REG_2, 0));
	bpf_add(p, MOV_REG(BPF_REG_3, BPF_REG_10));
	bpf_add(p, ADD(BPF_REG_3, -HEADERS));
	bpf_add(p, MOV(BPF_REG_4, HEADERS));
	bpf_add(p, MOV(BPF_REG_5, 0));
	bpf_add(p, CALL(function));
	bpf_add(p, JUMP_UNLESS(BPF_REG_0, 0, TO_DROP));
}

static int load(uint64_t cookie)
{
	struct bpf_code code = {.len = 0}, *p = &code;
	int fd;

	bpf_add(p, MOV_REG(BPF_REG_6, BPF_REG_1));
	bpf_add(p, CALL(BPF_FUNC_get_socket_cookie));
	bpf_add(p, WIDE(BPF_REG_1, 0, cookie));
	bpf_add(p, WIDE_HIGH(cookie));
	bpf_add(p, JUMP_UNLESS_REG(BPF_REG_0, BPF_REG_1, TO_NEXT));
	add_copy(p, BPF_FUNC_skb_load_bytes);
	add_adjust(p, -OUTER, BPF_F_ADJ_ROOM_FIXED_GSO);
	add_adjust(p, OUTER, encap);
	add_copy(p, BPF_FUNC_skb_store_bytes);
	bpf_land(p, TO_NEXT);
	bpf_add(p, MOV(BPF_REG_0, TCX_NEXT));
	bpf_add(p, EXIT());
	bpf_land(p, TO_DROP);
	bpf_add(p, MOV(BPF_REG_0, TC_ACT_SHOT));
	bpf_add(p, EXIT());
	fd = bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "sluice_tunnel", "BSD", p->insn, p->len, NULL);
	return fd < 0 ? -errno : fd;
}

static int ethtool(int fd, int ifindex, void *data)
{
	struct ifreq req = {.ifr_ifindex = ifindex};

	if (ioctl(fd, SIOCGIFNAME, &req) < 0)
		return -errno;
	req.ifr_data = data;
	return ioctl(fd, SIOCETHTOOL, &req) < 0 ? -errno : 0;
}

/* How many features the kernel knows. */
static uint32_t count_features(int fd, int ifindex)
{
	uint64_t room[(sizeof(struct ethtool_sset_info) + sizeof(uint32_t) + 7) / 8] = {0};
	struct ethtool_sset_info *info = (void *)room; /* with a number for each set asked for */

	info->cmd = ETHTOOL_GSSET_INFO;
	info->sset_mask = UINT64_C(1) << ETH_SS_FEATURES;
	return ethtool(fd, ifindex, info) == 0 && info->sset_mask ? info->data[0] : 0;
}

/* Does the device have the feature `name` at work? */
static int has_feature(int fd, int ifindex, const char *name)
{
	uint32_t count = count_features(fd, ifindex), blocks = (count + 31) / 32, at = 0;
	struct ethtool_gstrings *names = calloc(1, sizeof(*names) + count * ETH_GSTRING_LEN);
	struct ethtool_gfeatures *state = calloc(1, sizeof(*state) + blocks * sizeof(state->features[0]));
	int found = 0;

	if (names && state) {
		*names = (struct ethtool_gstrings){
			.cmd = ETHTOOL_GSTRINGS, .string_set = ETH_SS_FEATURES, .len = count};
		*state = (struct ethtool_gfeatures){.cmd = ETHTOOL_GFEATURES, .size = blocks};
		if (ethtool(fd, ifindex, names) < 0 || ethtool(fd, ifindex, state) < 0)
			count = 0;
		while (at < count && strncmp((char *)names->data + (size_t)at * ETH_GSTRING_LEN, name,
					     ETH_GSTRING_LEN) != 0)
			at++;
		found = at < count && (state->features[at / 32].active & UINT32_C(1) << at % 32);
	}
	free(state);
	free(names);
	return found;
}

int tunnel_prog_attach(struct tunnel_prog *prog, int fd, int ifindex)
{
	uint64_t cookie;
	socklen_t len = sizeof(cookie);

	tunnel_prog_close(prog);
	if (!has_feature(fd, ifindex, "tx-udp_tnl-segmentation"))
		return -EOPNOTSUPP;
	if (getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &len) < 0)
		return -errno;
	prog->prog = load(cookie);
	if (prog->prog < 0)
		return prog->prog;
	prog->link = bpf_link_create(prog->prog, ifindex, (enum bpf_attach_type)TCX_EGRESS, NULL);
	if (prog->link < 0) {
		int rc = -errno;

		tunnel_prog_close(prog);
		return rc;
	}
	return 0;
}

void tunnel_prog_close(struct tunnel_prog *prog)
{
	if (prog->link >= 0)
		close(prog->link);
	if (prog->prog >= 0)
		close(prog->prog);
	*prog = (struct tunnel_prog){-1, -1};
}
