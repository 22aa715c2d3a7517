/*
 * bpf_insn.h: BPF programs put together by hand, so that no compiler for them is needed. Instructions, as the assembler
 * in the kernel's documentation names them (Documentation/bpf/standardization).
 */
#pragma once

#include <linux/bpf.h>
#include <stdint.h>

#define INSN(c, d, s, o, i)                                                                                  \
	((struct bpf_insn){.code = (c), .dst_reg = (d), .src_reg = (s), .off = (o), .imm = (i)})
#define LOAD(size, d, s, o) INSN(BPF_LDX | BPF_MEM | (size), d, s, o, 0)
#define MOV(d, i) INSN(BPF_ALU64 | BPF_MOV | BPF_K, d, 0, 0, i)
#define MOV_REG(d, s) INSN(BPF_ALU64 | BPF_MOV | BPF_X, d, s, 0, 0)
#define ADD(d, i) INSN(BPF_ALU64 | BPF_ADD | BPF_K, d, 0, 0, i)
#define AND(d, i) INSN(BPF_ALU64 | BPF_AND | BPF_K, d, 0, 0, i)
#define CALL(function) INSN(BPF_JMP | BPF_CALL, 0, 0, 0, function)
#define EXIT() INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0)
/* The two of a 64-bit immediate. */
#define WIDE(d, source, i) INSN(BPF_LD | BPF_DW | BPF_IMM, d, source, 0, (int32_t)(i))
#define WIDE_HIGH(i) INSN(0, 0, 0, 0, (int32_t)((uint64_t)(i) >> 32))
/* Jumps to a place whose distance is filled in when it is there: bpf_land(). */
#define JUMP_IF_ABOVE(d, s, to) INSN(BPF_JMP | BPF_JGT | BPF_X, d, s, to, 0)
#define JUMP_UNLESS(d, i, to) INSN(BPF_JMP32 | BPF_JNE | BPF_K, d, 0, to, (int32_t)(i))
#define JUMP_UNLESS_REG(d, s, to) INSN(BPF_JMP | BPF_JNE | BPF_X, d, s, to, 0)

enum { BPF_INSNS_MAX = 48 };

struct bpf_code {
	struct bpf_insn insn[BPF_INSNS_MAX];
	unsigned len;
};

static inline void bpf_add(struct bpf_code *p, struct bpf_insn insn)
{
	p->insn[p->len++] = insn;
}

/* What jumps to `to`, which is below zero, comes here. */
static inline void bpf_land(struct bpf_code *p, int16_t to)
{
	for (unsigned i = 0; i < p->len; i++)
		if (p->insn[i].off == to && BPF_CLASS(p->insn[i].code) != BPF_LDX)
			p->insn[i].off = (int16_t)(p->len - i - 1);
}
