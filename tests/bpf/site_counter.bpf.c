// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Counts what arrives at the probes of one function, and whether what alloctrail relies on there holds: the arguments in
 * their registers, and the caller's address where the bytes pushed since the entry say. */
#include "alloctrail/probe.h"
#include "bpf/kernel_types.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Set before the probes are attached: the code that calls the function. */
__u64 caller_from, caller_to;

__u64 entries, returns, entries_from_elsewhere, arguments[3];

static __always_inline int by_caller(__u64 address) { return address >= caller_from && address <= caller_to; }

static __always_inline __u64 word_at(__u64 address)
{
  __u64 word = 0;

  bpf_probe_read_user(&word, sizeof(word), (void *)address);
  return word;
}

static __always_inline void count(struct pt_regs *ctx, __u64 cookie)
{
  __u32 phase = AT_COOKIE_PHASE(cookie);

  if (phase == AT_PHASE_RETURN || (phase == AT_PHASE_BOTH && bpf_get_func_ip(ctx) != PT_REGS_IP(ctx))) {
    /* A return probe runs at the caller, a probe on `ret` before it. */
    __u64 address = AT_COOKIE_FLAGS(cookie) & AT_PROBE_THROWS ? word_at(PT_REGS_SP(ctx)) : PT_REGS_IP(ctx);

    if (by_caller(address)) __sync_fetch_and_add(&returns, 1);
    return;
  }
  if (!by_caller(word_at(PT_REGS_SP(ctx) + AT_COOKIE_PUSHED(cookie)))) {
    __sync_fetch_and_add(&entries_from_elsewhere, 1);
    return;
  }
  __sync_fetch_and_add(&entries, 1);
  __sync_fetch_and_add(&arguments[0], PT_REGS_PARM1(ctx));
  __sync_fetch_and_add(&arguments[1], PT_REGS_PARM2(ctx));
  __sync_fetch_and_add(&arguments[2], PT_REGS_PARM3(ctx));
}

SEC("uprobe")
int count_site(struct pt_regs *ctx)
{
  __u64 cookie = bpf_get_attach_cookie(ctx);

  count(ctx, cookie);
  /* In a session 1 says that the return need not be probed. */
  return AT_COOKIE_FLAGS(cookie) & AT_PROBE_SESSION && AT_COOKIE_PHASE(cookie) != AT_PHASE_BOTH;
}
