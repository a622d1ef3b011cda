// SPDX-License-Identifier: Apache-2.0
// The floor: BPF programs of two instructions, attached by the program's own code to the sites it would choose.
#include <linux/bpf.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <utility>

#include "tests/bench/watcher.h"
#include "tests/support/leftovers.h"
#include "user/elf/elf_file.h"
#include "user/elf/probe_plan.h"
#include "user/target/mappings.h"

namespace alloctrail::bench {
namespace {

template <class T>
T need(Result<T> result) {
  if (!result) throw std::runtime_error(result.error().message);
  return *std::move(result);
}

/// A program that returns `result`, which in a session says whether the return is left alone.
UniqueFd load_program(ProbeKind kind, int32_t result) {
  const std::array<bpf_insn, 2> code = {
      bpf_insn{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = result},
      bpf_insn{.code = BPF_JMP | BPF_EXIT, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0}};
  static const char license[] = "Dual BSD/GPL";
  bpf_attr attr{};
  attr.prog_type = BPF_PROG_TYPE_KPROBE;
  attr.expected_attach_type = static_cast<uint32_t>(expected_attach_type(kind));
  attr.insns = reinterpret_cast<uint64_t>(code.data());
  attr.insn_cnt = code.size();
  attr.license = reinterpret_cast<uint64_t>(license);
  const long fd = syscall(__NR_bpf, BPF_PROG_LOAD, &attr, sizeof(attr));
  if (fd < 0) throw std::runtime_error(std::string("loading an empty program: ") + std::strerror(errno));
  return UniqueFd(static_cast<int>(fd));
}

struct Allocator {
  UniqueFd file;
  uint64_t malloc_entry = 0;  // file offsets
  uint64_t free_entry = 0;
  uint64_t malloc_site = 0;
  uint64_t free_site = 0;
};

void find_entries(Allocator& found, const std::string& name) {
  const CodeFile file = need(CodeFile::open(found.file.get(), name));
  file.each_function([&](const ElfFunction& function) {
    if (function.name == "malloc") found.malloc_entry = file.file_offset(function.address).value_or(0);
    if (function.name == "free") found.free_entry = file.file_offset(function.address).value_or(0);
  });
}

Allocator find_allocator(pid_t pid) {
  const Tgid target{static_cast<uint32_t>(pid)};
  for (const Mapping& mapping : need(read_mappings(target))) {
    if (!mapping.executable || mapping.path.empty() || mapping.path.front() != '/') continue;
    Allocator found{.file = need(open_mapped_file(target, mapping))};
    const ModulePlan plan = need(plan_probes(found.file.get(), mapping.path));
    for (const PlannedProbe& probe : plan.probes) {
      if (probe.function == "malloc") found.malloc_site = probe.file_offset;
      if (probe.function == "free") found.free_site = probe.file_offset;
    }
    if (found.malloc_site == 0 || found.free_site == 0) continue;
    find_entries(found, mapping.path);
    return found;
  }
  throw std::runtime_error("no allocator in process " + std::to_string(pid));
}

class EmptyProbes : public Watcher {
 public:
  EmptyProbes(ProbeKind kind, EmptySites sites, pid_t pid)
      : kind_(kind), pid_(pid), allocator_(find_allocator(pid)), pass_(load_program(kind, 0)),
        skip_return_(load_program(kind, 1)) {
    const bool entries = sites == EmptySites::FunctionEntries;
    const bool returns = sites != EmptySites::ChosenEntries;
    const uint64_t malloc_at = entries ? allocator_.malloc_entry : allocator_.malloc_site;
    attach(ProbeSide::Entry, !returns && kind == ProbeKind::Session ? skip_return_ : pass_, malloc_at);
    if (returns && kind != ProbeKind::Session) attach(ProbeSide::Return, pass_, malloc_at);
    attach(ProbeSide::Entry, kind == ProbeKind::Session ? skip_return_ : pass_,
           entries ? allocator_.free_entry : allocator_.free_site);
  }

  ~EmptyProbes() override {
    links_.clear();
    while (!test::changed_text(pid_).empty()) {
    }
  }

 private:
  void attach(ProbeSide side, const UniqueFd& program, uint64_t file_offset) {
    for (UniqueFd& link : need(attach_probes(kind_, side, program.get(), allocator_.file.get(),
                                             Tid(static_cast<uint32_t>(pid_)), {{.file_offset = file_offset}})))
      links_.push_back(std::move(link));
  }

  ProbeKind kind_;
  pid_t pid_;
  Allocator allocator_;
  UniqueFd pass_;
  UniqueFd skip_return_;
  std::vector<UniqueFd> links_;
};

}  // namespace

std::unique_ptr<Watcher> attach_empty(ProbeKind kind, EmptySites sites, pid_t pid) {
  return std::make_unique<EmptyProbes>(kind, sites, pid);
}

}  // namespace alloctrail::bench
