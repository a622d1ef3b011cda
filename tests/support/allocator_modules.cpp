// SPDX-License-Identifier: Apache-2.0
#include "tests/support/allocator_modules.h"

#include <set>

#include "user/target/mappings.h"

namespace alloctrail::test {

std::vector<AllocatorModule> allocator_modules_of(pid_t pid) {
  const Tgid target{static_cast<uint32_t>(pid)};
  std::vector<AllocatorModule> modules;
  std::set<FileKey> seen;
  for (const Mapping& mapping : need(read_mappings(target))) {
    if (!mapping.executable || mapping.path.empty() || mapping.path.front() != '/') continue;
    if (!seen.insert(mapping.file).second) continue;
    AllocatorModule module{.file = need(open_mapped_file(target, mapping)), .path = mapping.path, .plan = {}};
    module.plan = need(plan_probes(module.file.get(), mapping.path));
    if (!module.plan.probes.empty()) modules.push_back(std::move(module));
  }
  return modules;
}

}  // namespace alloctrail::test
