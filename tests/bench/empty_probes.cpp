// SPDX-License-Identifier: Apache-2.0
// The floor: BPF programs of two instructions, attached by the program's own code to the sites it would choose.
#include <map>
#include <utility>

#include "tests/bench/watcher.h"
#include "tests/support/allocator_modules.h"
#include "tests/support/leftovers.h"
#include "user/elf/elf_file.h"
#include "user/kernel/empty_program.h"

namespace alloctrail::bench {
namespace {

using test::need;

/// Moves probes to the first instructions of their functions.
void move_to_entries(test::AllocatorModule& module) {
  const CodeFile file = need(CodeFile::open(module.file.get(), module.path));
  std::map<std::string, uint64_t, std::less<>> entries;
  file.each_function([&](const ElfFunction& function) {
    if (const auto offset = file.file_offset(function.address)) entries.emplace(function.name, *offset);
  });
  for (PlannedProbe& probe : module.plan.probes)
    if (probe.moment != ProbeMoment::ReturnSite) probe.file_offset = entries.at(probe.function);
}

class EmptyProbes : public Watcher {
 public:
  EmptyProbes(ProbeKind kind, EmptySites sites, pid_t pid)
      : kind_(kind), pid_(pid), pass_(need(load_empty_program(kind, 0))), skip_return_(need(load_empty_program(kind, 1))) {
    for (test::AllocatorModule& module : test::allocator_modules_of(pid)) {
      if (sites == EmptySites::FunctionEntries) move_to_entries(module);
      std::vector<ProbePoint> entries, returning;
      for (const PlannedProbe& probe : module.plan.probes)
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
  void attach(ProbeSide side, const UniqueFd& program, const test::AllocatorModule& module, const std::vector<ProbePoint>& points) {
    const Tid thread{static_cast<uint32_t>(pid_)};
    for (UniqueFd& link : need(attach_probes(kind_, side, program.get(), module.file.get(), thread, points)).links)
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
