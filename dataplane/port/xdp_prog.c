#include "dataplane/port/xdp_prog.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <linux/if_link.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

#include "dataplane/port/bpf_insn.h"

/* Offsets in an untagged frame with an IPv4 header without options; of IPv6 without extensions. */
enum {
	AT_ETHERTYPE = 12,
	AT_VERSION = 14,
	AT_FRAGMENT = 20,
	AT_PROTOCOL = 23,
	AT_ADDRESS = 30,
	AT_PORT = 36,
	HEADERS = 42,
	AT_NEXT_HEADER6 = 20,
	AT_ADDRESS6 = 38,
	AT_PORT6 = 56,
	HEADERS6 = 62,
};

enum { TO_PASS = -1 };

/* r1 is the context and stays so; r2 and r3 are the frame's begin and end, with `headers` bytes at least between. */
static void add_bounds(struct bpf_code *p, int headers)
{
	bpf_add(p, LOAD(BPF_W, BPF_REG_2, BPF_REG_1, offsetof(struct xdp_md, data)));
	bpf_add(p, LOAD(BPF_W, BPF_REG_3, BPF_REG_1, offsetof(struct xdp_md, data_end)));
	bpf_add(p, MOV_REG(BPF_REG_4, BPF_REG_2));
	bpf_add(p, ADD(BPF_REG_4, headers));
	bpf_add(p, JUMP_IF_ABOVE(BPF_REG_4, BPF_REG_3, TO_PASS));
}

static void add_filter6(struct bpf_code *p, const struct xdp_filter *filter)
{
	add_bounds(p, HEADERS6);
	bpf_add(p, LOAD(BPF_H, BPF_REG_5, BPF_REG_2, AT_ETHERTYPE));
	bpf_add(p, JUMP_UNLESS(BPF_REG_5, htons(0x86dd), TO_PASS));
	bpf_add(p, LOAD(BPF_B, BPF_REG_5, BPF_REG_2, AT_NEXT_HEADER6));
	bpf_add(p, JUMP_UNLESS(BPF_REG_5, IPPROTO_UDP, TO_PASS));
	for (unsigned i = 0; i < 4; i++) {
		bpf_add(p, LOAD(BPF_W, BPF_REG_5, BPF_REG_2, (int16_t)(AT_ADDRESS6 + 4 * i)));
		bpf_add(p, JUMP_UNLESS(BPF_REG_5, filter->address.w[i], TO_PASS));
	}
	bpf_add(p, LOAD(BPF_H, BPF_REG_5, BPF_REG_2, AT_PORT6));
	bpf_add(p, JUMP_UNLESS(BPF_REG_5, htons(filter->port), TO_PASS));
}

static void add_filter(struct bpf_code *p, const struct xdp_filter *filter)
{
	add_bounds(p, HEADERS);
	bpf_add(p, LOAD(BPF_H, BPF_REG_5, BPF_REG_2, AT_ETHERTYPE));
	bpf_add(p, JUMP_UNLESS(BPF_REG_5, htons(0x0800), TO_PASS));
	bpf_add(p, LOAD(BPF_B, BPF_REG_5, BPF_REG_2, AT_VERSION));
	bpf_add(p, JUMP_UNLESS(BPF_REG_5, 0x45, TO_PASS));
	bpf_add(p, LOAD(BPF_B, BPF_REG_5, BPF_REG_2, AT_PROTOCOL));
	bpf_add(p, JUMP_UNLESS(BPF_REG_5, IPPROTO_UDP, TO_PASS));
	bpf_add(p, LOAD(BPF_H, BPF_REG_5, BPF_REG_2, AT_FRAGMENT));
	bpf_add(p, AND(BPF_REG_5, htons(0x3fff)));
	bpf_add(p, JUMP_UNLESS(BPF_REG_5, 0, TO_PASS));
	bpf_add(p, LOAD(BPF_W, BPF_REG_5, BPF_REG_2, AT_ADDRESS));
	bpf_add(p, JUMP_UNLESS(BPF_REG_5, ip_to4(filter->address), TO_PASS));
	bpf_add(p, LOAD(BPF_H, BPF_REG_5, BPF_REG_2, AT_PORT));
	bpf_add(p, JUMP_UNLESS(BPF_REG_5, htons(filter->port), TO_PASS));
}

/* To the socket of the queue that the frame came by; without one it is passed. */
static void add_redirect(struct bpf_code *p, int map)
{
	bpf_add(p, LOAD(BPF_W, BPF_REG_2, BPF_REG_1, offsetof(struct xdp_md, rx_queue_index)));
	bpf_add(p, WIDE(BPF_REG_1, BPF_PSEUDO_MAP_FD, map));
	bpf_add(p, WIDE_HIGH(0));
	bpf_add(p, MOV(BPF_REG_3, XDP_PASS));
	bpf_add(p, CALL(BPF_FUNC_redirect_map));
	bpf_add(p, EXIT());
}

/* What the filter jumps to. */
static void add_pass(struct bpf_code *p)
{
	bpf_land(p, TO_PASS);
	bpf_add(p, MOV(BPF_REG_0, XDP_PASS));
	bpf_add(p, EXIT());
}

int xdp_prog_load(struct xdp_prog *prog, const struct xdp_filter *filter, unsigned queues, struct dp_err *err)
{
	struct bpf_code p = {.len = 0};

	*prog = (struct xdp_prog){-1, -1, -1, false};
	prog->map = bpf_map_create(
		BPF_MAP_TYPE_XSKMAP, "sluice_xsks", sizeof(uint32_t), sizeof(uint32_t), queues, NULL);
	if (prog->map < 0)
		return dp_fail(err, -errno, "device: bpf map: %s", strerror(errno));
	if (!filter->everything && ip_is4(filter->address))
		add_filter(&p, filter);
	else if (!filter->everything)
		add_filter6(&p, filter);
	add_redirect(&p, prog->map);
	if (!filter->everything) /* nothing that is never reached: the kernel refuses it */
		add_pass(&p);
	prog->prog = bpf_prog_load(BPF_PROG_TYPE_XDP, "sluice", "BSD", p.insn, p.len, NULL);
	if (prog->prog < 0)
		return dp_fail(err, -errno, "device: bpf program: %s", strerror(errno));
	return 0;
}

int xdp_prog_set(struct xdp_prog *prog, unsigned queue, int fd)
{
	uint32_t key = queue, value = (uint32_t)fd;

	return bpf_map_update_elem(prog->map, &key, &value, BPF_ANY) < 0 ? -errno : 0;
}

int xdp_prog_attach(struct xdp_prog *prog, int ifindex, struct dp_err *err)
{
	LIBBPF_OPTS(bpf_link_create_opts, driver, .flags = XDP_FLAGS_DRV_MODE);
	LIBBPF_OPTS(bpf_link_create_opts, generic, .flags = XDP_FLAGS_SKB_MODE);

	prog->link = bpf_link_create(prog->prog, ifindex, BPF_XDP, &driver);
	if (prog->link < 0 && errno != EBUSY && errno != EEXIST) {
		prog->link = bpf_link_create(prog->prog, ifindex, BPF_XDP, &generic);
		prog->generic = true;
	}
	if (prog->link >= 0)
		return 0;
	if (errno == EBUSY || errno == EEXIST)
		return dp_fail(err, -EBUSY, "device: has another XDP program");
	return dp_fail(err, -errno, "device: XDP: %s", strerror(errno));
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void xdp_prog_close(struct xdp_prog *prog)
{
	close_fd(&prog->link);
	close_fd(&prog->prog);
	close_fd(&prog->map);
}
