// SPDX-License-Identifier: Apache-2.0
// The kernel's own way to take stacks, along frame pointers, where alloctrail would take them.
#include <linux/bpf.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <utility>

#include "tests/bench/watcher.h"
#include "tests/support/allocator_modules.h"
#include "tests/support/leftovers.h"
#include "user/kernel/empty_program.h"

namespace alloctrail::bench {
namespace {

using test::need;

constexpr uint32_t kFrames = 127;  // what the kernel allows unless told otherwise
constexpr uint32_t kStacks = 16384;

UniqueFd bpf(int command, bpf_attr& attr, const char* what) {
  const long fd = syscall(__NR_bpf, command, &attr, sizeof(attr));
  if (fd < 0) throw std::runtime_error(std::string(what) + ": " + std::strerror(errno));
  return UniqueFd(static_cast<int>(fd));
}

UniqueFd make_stack_map() {
  bpf_attr attr{};
  attr.map_type = BPF_MAP_TYPE_STACK_TRACE;
  attr.key_size = sizeof(uint32_t);
  attr.value_size = kFrames * sizeof(uint64_t);
  attr.max_entries = kStacks;
  return bpf(BPF_MAP_CREATE, attr, "making a stack map");
}

constexpr bpf_insn move(uint8_t to, int32_t value) {
  bpf_insn instruction{};
  instruction.code = BPF_ALU64 | BPF_MOV | BPF_K;
  instruction.dst_reg = to & 0xfu;
  instruction.imm = value;
  return instruction;
}

/// bpf_get_stackid(context, map, BPF_F_USER_STACK), then keeps a session from probing the return.
UniqueFd load_stack_id(ProbeKind kind, const UniqueFd& map) {
  const std::array<bpf_insn, 6> code = {
      bpf_insn{.code = BPF_LD | BPF_DW | BPF_IMM, .dst_reg = 2, .src_reg = BPF_PSEUDO_MAP_FD, .off = 0, .imm = map.get()},
      bpf_insn{},
      move(3, BPF_F_USER_STACK),
      bpf_insn{.code = BPF_JMP | BPF_CALL, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = BPF_FUNC_get_stackid},
      move(0, 1),
      bpf_insn{.code = BPF_JMP | BPF_EXIT, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0}};
  static const char license[] = "Dual BSD/GPL";
  bpf_attr attr{};
  attr.prog_type = BPF_PROG_TYPE_KPROBE;
  attr.expected_attach_type = static_cast<uint32_t>(expected_attach_type(kind));
  attr.insns = reinterpret_cast<uint64_t>(code.data());
  attr.insn_cnt = code.size();
  attr.license = reinterpret_cast<uint64_t>(license);
  return bpf(BPF_PROG_LOAD, attr, "loading a program with bpf_get_stackid");
}

class StackIds : public Watcher {
 public:
  StackIds(ProbeKind kind, pid_t pid)
      : pid_(pid), map_(make_stack_map()), take_(load_stack_id(kind, map_)), pass_(need(load_empty_program(kind, 1))) {
    for (const test::AllocatorModule& module : test::allocator_modules_of(pid)) {
      std::vector<ProbePoint> allocations, releases;
      for (const PlannedProbe& probe : module.plan.probes)
        (probe.shape == AT_SHAPE_FREE ? releases : allocations).push_back({.file_offset = probe.file_offset, .cookie = 0});
      attach(kind, take_, module, allocations);
      attach(kind, pass_, module, releases);
    }
  }

  ~StackIds() override {
    links_.clear();
    while (!test::changed_text(pid_).empty()) {
    }
  }

 private:
  void attach(ProbeKind kind, const UniqueFd& program, const test::AllocatorModule& module,
              const std::vector<ProbePoint>& points) {
    const Tid thread{static_cast<uint32_t>(pid_)};
    for (UniqueFd& link : need(attach_probes(kind, ProbeSide::Entry, program.get(), module.file.get(), thread, points)).links)
      links_.push_back(std::move(link));
  }

  pid_t pid_;
  UniqueFd map_;
  UniqueFd take_;
  UniqueFd pass_;
  std::vector<UniqueFd> links_;
};

}  // namespace

std::unique_ptr<Watcher> attach_stack_ids(ProbeKind kind, pid_t pid) {
  return std::make_unique<StackIds>(kind, pid);
}

}  // namespace alloctrail::bench
