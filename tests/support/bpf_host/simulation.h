// SPDX-License-Identifier: Apache-2.0
// The simulated machine as tests drive it: threads that call allocator functions, and what the kernel half makes of it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>

#include <linux/bpf.h>

#include "alloctrail/counters.h"
#include "alloctrail/live_table.h"
#include "alloctrail/probe.h"
#include "alloctrail/records.h"
#include "tests/support/bpf_host/machine.h"

namespace alloctrail::bpf_host {

void reset();                          ///< empty maps, no threads, no memory
void limit_live_blocks(size_t blocks); ///< the live table is full beyond this; its buckets are full already
void occupy_buckets(size_t entries);   ///< as if other threads, preempted, were writing that many entries of each bucket
void fail_thread_state(bool fails);    ///< the kernel has no memory for new threads' state
void run_as(task_struct* task);
void write_user(uint64_t address, uint64_t word);
void unmap_user(uint64_t address);
void seed_random(uint32_t seed);     ///< of what the kernel half draws
size_t live_blocks();
size_t spilled_blocks();  ///< of those, blocks that found no room in their bucket

inline constexpr uint32_t kSlot = 3;
inline constexpr uint32_t kTgid = 100;

/// Probes as the planner would place them, by index.
enum ProbeIndex : uint32_t { kMalloc, kCalloc, kRealloc, kReallocarray, kPosixMemalign, kAlignedAlloc, kFree, kDelete, kNew };

/// A thread of the traced process. Return probes pend in its task as in the kernel: newest first.
class SimulatedThread {
 public:
  explicit SimulatedThread(uint32_t tid) : task_{.pid = static_cast<int>(tid), .tgid = kTgid, .utask = &utask_} {}
  SimulatedThread(const SimulatedThread&) = delete;
  SimulatedThread& operator=(const SimulatedThread&) = delete;

  /// Enters an allocating function whose return address lies at `sp`. Its return is probed if the kernel half wants it
  /// and `return_probe_made` (the kernel can fail to make one).
  void enter(ProbeIndex probe, at_shape shape, uint64_t sp, uint64_t a, uint64_t b = 0, uint64_t c = 0,
             bool return_probe_made = true) {
    pt_regs regs = registers(probe, shape, sp, a, b, c);
    write_user(sp, kReturnAddress + probe);
    run_as(&task_);
    const bool skipped = at_allocate(&regs) != 0;
    if (skipped || !return_probe_made || throws(probe)) return;
    pending_.push_front({.stack = sp, .orig_ret_vaddr = kReturnAddress + probe, .next = nullptr});
    relink();
  }
  /// Returns from the function entered at `sp` with `result`.
  void leave(ProbeIndex probe, at_shape shape, uint64_t sp, uint64_t result) {
    const bool by_return_probe = !pending_.empty() && pending_.front().stack == sp;
    if (by_return_probe) {
      pending_.pop_front();
      relink();
    }
    pt_regs regs = registers(probe, shape, sp, 0, 0, 0);
    if (!throws(probe)) regs.sp = sp + 8;
    if (throws(probe)) regs.cookie = cookie(probe, shape, AT_PHASE_RETURN);
    regs.ip = kReturnAddress;
    regs.ax = result;
    run_as(&task_);
    if (by_return_probe || throws(probe)) at_allocate(&regs);
  }
  /// A return probe fires for a call that is not the one being paired, as where every return of a function is probed.
  void stray_return(ProbeIndex probe, at_shape shape, uint64_t sp, uint64_t result) {
    pt_regs regs = registers(probe, shape, sp + 8, 0, 0, 0);
    regs.cookie = cookie(probe, shape, AT_PHASE_RETURN);
    regs.ax = result;
    run_as(&task_);
    at_allocate(&regs);
  }
  void allocate(uint64_t size, uint64_t address, uint64_t sp = kStack) {
    enter(kMalloc, AT_SHAPE_SIZE, sp, size);
    leave(kMalloc, AT_SHAPE_SIZE, sp, address);
  }
  void reallocate(uint64_t old, uint64_t size, uint64_t address, uint64_t sp = kStack) {
    enter(kRealloc, AT_SHAPE_REALLOC, sp, old, size);
    leave(kRealloc, AT_SHAPE_REALLOC, sp, address);
  }
  void release(uint64_t address, uint64_t sp = kStack, ProbeIndex probe = kFree) {
    pt_regs regs = registers(probe, AT_SHAPE_FREE, sp, address, 0, 0);
    run_as(&task_);
    at_release(&regs);
  }
  void end() {
    run_as(&task_);
    at_exit(nullptr);
  }
  void execute_another_program() {
    run_as(&task_);
    at_exec(nullptr);
  }

  static constexpr uint64_t kStack = 0x7ffc00001000;

 private:
  static constexpr uint64_t kFunctions = 0x7f0000001000;
  static constexpr uint64_t kReturnAddress = 0x555500001000;

  static bool throws(ProbeIndex probe) { return probe == kNew; }
  static uint64_t cookie(ProbeIndex probe, at_shape shape, at_phase phase) {
    uint32_t flags = AT_PROBE_SESSION;
    if (probe == kRealloc) flags |= AT_PROBE_ZERO_FREES;
    if (throws(probe)) flags |= AT_PROBE_THROWS;
    if (probe == kDelete) flags |= AT_PROBE_HANDS_ON;
    if (probe == kMalloc || probe == kRealloc || probe == kPosixMemalign || probe == kAlignedAlloc) flags |= AT_PROBE_LEAF;
    return AT_COOKIE(probe, kSlot, shape, phase, flags, 0);
  }
  pt_regs registers(ProbeIndex probe, at_shape shape, uint64_t sp, uint64_t a, uint64_t b, uint64_t c) {
    pt_regs regs{};
    regs.ip = regs.function = kFunctions + probe * 64;
    regs.sp = sp;
    regs.di = a;
    regs.si = b;
    regs.dx = c;
    regs.cookie = cookie(probe, shape, throws(probe) || shape == AT_SHAPE_FREE ? AT_PHASE_ENTRY : AT_PHASE_BOTH);
    return regs;
  }
  void relink() {
    return_instance* next = nullptr;
    for (auto instance = pending_.rbegin(); instance != pending_.rend(); ++instance) {
      instance->next = next;
      next = &*instance;
    }
    utask_.return_instances = next;
  }

  std::deque<return_instance> pending_;
  uprobe_task utask_{};
  task_struct task_;
};

}  // namespace alloctrail::bpf_host
