// SPDX-License-Identifier: Apache-2.0
// The floor: BPF programs of two instructions, attached by the program's own code to the sites it would choose.
#include <linux/bpf.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <map>
#include <set>
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

/// A file that defines an allocator, and the probes that full tracing would put on it.
struct Module {
  UniqueFd file;
  std::vector<PlannedProbe> probes;
};

/// Moves probes to the first instructions of their functions.
void move_to_entries(Module& module, const std::string& name) {
  const CodeFile file = need(CodeFile::open(module.file.get(), name));
  std::map<std::string, uint64_t, std::less<>> entries;
  file.each_function([&](const ElfFunction& function) {
    if (const auto offset = file.file_offset(function.address)) entries.emplace(function.name, *offset);
  });
  for (PlannedProbe& probe : module.probes)
    if (probe.moment != ProbeMoment::ReturnSite) probe.file_offset = entries.at(probe.function);
}

std::vector<Module> find_allocators(pid_t pid, EmptySites sites) {
  const Tgid target{static_cast<uint32_t>(pid)};
  std::vector<Module> modules;
  std::set<FileKey> seen;
  for (const Mapping& mapping : need(read_mappings(target))) {
    if (!mapping.executable || mapping.path.empty() || mapping.path.front() != '/') continue;
    if (!seen.insert(mapping.file).second) continue;
    Module module{.file = need(open_mapped_file(target, mapping)), .probes = {}};
    module.probes = need(plan_probes(module.file.get(), mapping.path)).probes;
    if (sites == EmptySites::FunctionEntries) move_to_entries(module, mapping.path);
    if (!module.probes.empty()) modules.push_back(std::move(module));
  }
  return modules;
}

class EmptyProbes : public Watcher {
 public:
  EmptyProbes(ProbeKind kind, EmptySites sites, pid_t pid)
      : kind_(kind), pid_(pid), pass_(load_program(kind, 0)), skip_return_(load_program(kind, 1)) {
    for (const Module& module : find_allocators(pid, sites)) {
      std::vector<ProbePoint> entries, returning;
      for (const PlannedProbe& probe : module.probes)
        (probe.moment == ProbeMoment::EntryAndReturn && sites != EmptySites::ChosenEntries ? returning : entries)
            .push_back({.file_offset = probe.file_offset, .cookie = 0});
      attach(ProbeSide::Entry, kind == ProbeKind::Session ? skip_return_ : pass_, module, entries);
      attach(ProbeSide::Entry, pass_, module, returning);
      if (kind != ProbeKind::Session) attach(ProbeSide::Return, pass_, module, returning);
    }
  }

  ~EmptyProbes() override {
    links_.clear();
    while (!test::changed_text(pid_).empty()) {
    }
  }

 private:
  void attach(ProbeSide side, const UniqueFd& program, const Module& module, const std::vector<ProbePoint>& points) {
    const Tid thread{static_cast<uint32_t>(pid_)};
    for (UniqueFd& link : need(attach_probes(kind_, side, program.get(), module.file.get(), thread, points)))
      links_.push_back(std::move(link));
  }

  ProbeKind kind_;
  pid_t pid_;
  UniqueFd pass_;
  UniqueFd skip_return_;
  std::vector<UniqueFd> links_;
};

}  // namespace

std::unique_ptr<Watcher> attach_empty(ProbeKind kind, EmptySites sites, pid_t pid) {
  return std::make_unique<EmptyProbes>(kind, sites, pid);
}

}  // namespace alloctrail::bench
