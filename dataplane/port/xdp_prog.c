#include "dataplane/port/xdp_prog.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <linux/if_link.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

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

/* Instructions, as the assembler in the kernel's documentation names them
 * (Documentation/bpf/standardization). */
#define INSN(c, d, s, o, i)                                                                                  \
	((struct bpf_insn){.code = (c), .dst_reg = (d), .src_reg = (s), .off = (o), .imm = (i)})
#define LOAD(size, d, s, o) INSN(BPF_LDX | BPF_MEM | (size), d, s, o, 0)
#define MOV(d, i) INSN(BPF_ALU64 | BPF_MOV | BPF_K, d, 0, 0, i)
#define MOV_REG(d, s) INSN(BPF_ALU64 | BPF_MOV | BPF_X, d, s, 0, 0)
#define ADD(d, i) INSN(BPF_ALU64 | BPF_ADD | BPF_K, d, 0, 0, i)
#define AND(d, i) INSN(BPF_ALU64 | BPF_AND | BPF_K, d, 0, 0, i)
#define CALL(function) INSN(BPF_JMP | BPF_CALL, 0, 0, 0, function)
#define EXIT() INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0)
/* A jump to the pass at the end, whose distance is filled in when that is there. */
#define PASS_IF_ABOVE(d, s) INSN(BPF_JMP | BPF_JGT | BPF_X, d, s, TO_PASS, 0)
#define PASS_UNLESS(d, i) INSN(BPF_JMP32 | BPF_JNE | BPF_K, d, 0, TO_PASS, (int32_t)(i))

enum { INSNS_MAX = 40, TO_PASS = -1 };

struct program {
	struct bpf_insn insn[INSNS_MAX];
	unsigned len;
};

static void add(struct program *p, struct bpf_insn insn)
{
	p->insn[p->len++] = insn;
}

/* r1 is the context and stays so; r2 and r3 are the frame's begin and end, with `headers` bytes at least between. */
static void add_bounds(struct program *p, int headers)
{
	add(p, LOAD(BPF_W, BPF_REG_2, BPF_REG_1, offsetof(struct xdp_md, data)));
	add(p, LOAD(BPF_W, BPF_REG_3, BPF_REG_1, offsetof(struct xdp_md, data_end)));
	add(p, MOV_REG(BPF_REG_4, BPF_REG_2));
	add(p, ADD(BPF_REG_4, headers));
	add(p, PASS_IF_ABOVE(BPF_REG_4, BPF_REG_3));
}

static void add_filter6(struct program *p, const struct xdp_filter *filter)
{
	add_bounds(p, HEADERS6);
	add(p, LOAD(BPF_H, BPF_REG_5, BPF_REG_2, AT_ETHERTYPE));
	add(p, PASS_UNLESS(BPF_REG_5, htons(0x86dd)));
	add(p, LOAD(BPF_B, BPF_REG_5, BPF_REG_2, AT_NEXT_HEADER6));
	add(p, PASS_UNLESS(BPF_REG_5, IPPROTO_UDP));
	for (unsigned i = 0; i < 4; i++) {
		add(p, LOAD(BPF_W, BPF_REG_5, BPF_REG_2, (int16_t)(AT_ADDRESS6 + 4 * i)));
		add(p, PASS_UNLESS(BPF_REG_5, filter->address.w[i]));
	}
	add(p, LOAD(BPF_H, BPF_REG_5, BPF_REG_2, AT_PORT6));
	add(p, PASS_UNLESS(BPF_REG_5, htons(filter->port)));
}

static void add_filter(struct program *p, const struct xdp_filter *filter)
{
	add_bounds(p, HEADERS);
	add(p, LOAD(BPF_H, BPF_REG_5, BPF_REG_2, AT_ETHERTYPE));
	add(p, PASS_UNLESS(BPF_REG_5, htons(0x0800)));
	add(p, LOAD(BPF_B, BPF_REG_5, BPF_REG_2, AT_VERSION));
	add(p, PASS_UNLESS(BPF_REG_5, 0x45));
	add(p, LOAD(BPF_B, BPF_REG_5, BPF_REG_2, AT_PROTOCOL));
	add(p, PASS_UNLESS(BPF_REG_5, IPPROTO_UDP));
	add(p, LOAD(BPF_H, BPF_REG_5, BPF_REG_2, AT_FRAGMENT));
	add(p, AND(BPF_REG_5, htons(0x3fff)));
	add(p, PASS_UNLESS(BPF_REG_5, 0));
	add(p, LOAD(BPF_W, BPF_REG_5, BPF_REG_2, AT_ADDRESS));
	add(p, PASS_UNLESS(BPF_REG_5, ip_to4(filter->address)));
	add(p, LOAD(BPF_H, BPF_REG_5, BPF_REG_2, AT_PORT));
	add(p, PASS_UNLESS(BPF_REG_5, htons(filter->port)));
}

/* To the socket of the queue that the frame came by; without one it is passed. */
static void add_redirect(struct program *p, int map)
{
	add(p, LOAD(BPF_W, BPF_REG_2, BPF_REG_1, offsetof(struct xdp_md, rx_queue_index)));
	add(p, INSN(BPF_LD | BPF_DW | BPF_IMM, BPF_REG_1, BPF_PSEUDO_MAP_FD, 0, map));
	add(p, INSN(0, 0, 0, 0, 0)); /* the upper half of the 64-bit immediate */
	add(p, MOV(BPF_REG_3, XDP_PASS));
	add(p, CALL(BPF_FUNC_redirect_map));
	add(p, EXIT());
}

/* What the filter jumps to. */
static void add_pass(struct program *p)
{
	for (unsigned i = 0; i < p->len; i++)
		if (p->insn[i].off == TO_PASS)
			p->insn[i].off = (int16_t)(p->len - i - 1);
	add(p, MOV(BPF_REG_0, XDP_PASS));
	add(p, EXIT());
}

int xdp_prog_load(struct xdp_prog *prog, const struct xdp_filter *filter, unsigned queues, struct dp_err *err)
{
	struct program p = {.len = 0};

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
