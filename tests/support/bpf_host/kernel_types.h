/* SPDX-License-Identifier: Apache-2.0 */
/* Stands in for bpf/kernel_types.h when the kernel half is compiled natively: the same names for helpers and kernel
 * structures, carried out by machine.cpp on simulated maps, threads and user memory. */
#ifndef ALLOCTRAIL_BPF_KERNEL_TYPES_H
#define ALLOCTRAIL_BPF_KERNEL_TYPES_H

#include <linux/bpf.h>
#include <stddef.h>

#define AT_READ_ONLY_DATA
#define SEC(name)
#define __uint(name, value) int(*name)[value]
#define __type(name, type) __typeof__(type) *name
#define __array(name, type) __typeof__(type) *name[]
#undef __always_inline
#define __always_inline inline __attribute__((always_inline))
#define __noinline __attribute__((noinline))

#include "tests/support/bpf_host/machine.h"

/* Only what identifies a map and its shape; the real declaration's member types carry the sizes. */
#define HOST_MAP(map) \
  (map), sizeof(*(map)->key), sizeof(*(map)->value), sizeof(*(map)->max_entries) / sizeof(int), \
      sizeof(*(map)->type) / sizeof(int) == BPF_MAP_TYPE_HASH

#define bpf_map_lookup_elem(map, key) host_lookup(HOST_MAP(map), (key))
#define bpf_map_update_elem(map, key, value, flags) host_update(HOST_MAP(map), (key), (value), (flags))
#define bpf_map_delete_elem(map, key) host_delete(HOST_MAP(map), (key))
#define bpf_task_storage_get(map, task, initial, flags) host_task_storage((task), sizeof(*(map)->value), (flags))
#define bpf_ringbuf_reserve(ring, size, flags) host_ring_reserve(size)
#define bpf_ringbuf_output(ring, data, size, flags) ((void)(data), 0L)
#define bpf_ringbuf_submit(record, flags) ((void)(record))

#define bpf_get_current_task_btf() host_current()
#define bpf_get_current_pid_tgid() host_pid_tgid()
#define bpf_get_current_comm(buffer, size) host_comm((buffer), (size))
#define bpf_get_prandom_u32() host_random()
#define bpf_ktime_get_ns() host_now_ns()
#define bpf_jiffies64() 1
#define bpf_ktime_get_boot_ns() host_now_ns()
#define bpf_probe_read_user(to, bytes, from) host_read_user((to), (bytes), (from))
#define bpf_get_stack(ctx, to, bytes, flags) host_get_stack((ctx), (to), (bytes))
#define bpf_get_attach_cookie(ctx) ((ctx)->cookie)
#define bpf_get_func_ip(ctx) ((ctx)->function)
#define bpf_send_signal(number) ((void)(number))

#define PT_REGS_IP(regs) ((regs)->ip)
#define PT_REGS_SP(regs) ((regs)->sp)
#define PT_REGS_FP(regs) ((regs)->bp)
#define PT_REGS_RC(regs) ((regs)->ax)
#define PT_REGS_PARM1(regs) ((regs)->di)
#define PT_REGS_PARM2(regs) ((regs)->si)
#define PT_REGS_PARM3(regs) ((regs)->dx)

#endif
