// SPDX-License-Identifier: Apache-2.0
#include "user/trace/probe_planner.h"

#include <fmt/core.h>

#include <set>

#include "user/elf/elf_file.h"

namespace alloctrail {
namespace {

bool is_file(const Mapping& mapping) { return mapping.file.inode != 0 && !mapping.path.empty() && mapping.path[0] == '/'; }

/// File offset of the loader's notice function, the same name in glibc and musl; 0 if the file has none.
uint64_t find_loader_notice(int fd, const std::string& name) {
  auto file = CodeFile::open(fd, name);
  if (!file) return 0;
  uint64_t offset = 0;
  file->each_function([&](const ElfFunction& function) {
    if (function.name == "_dl_debug_state") offset = file->file_offset(function.address).value_or(0);
  });
  return offset;
}

bool may_be_loader(const std::string& path) {
  const std::string base = path.substr(path.rfind('/') + 1);
  return base.rfind("ld-", 0) == 0 || base.rfind("ld.", 0) == 0 || base.find("musl") != std::string::npos;
}

}  // namespace

const ProbePlanner::FilePlan& ProbePlanner::plan_of(Tgid pid, const Mapping& mapping) {
  const auto known = files_.find(mapping.file);
  if (known != files_.end()) return known->second;
  FilePlan& file = files_[mapping.file];
  auto fd = open_mapped_file(pid, mapping);
  if (!fd) {
    file.warning = fd.error().message;
    return file;
  }
  auto plan = plan_probes(fd->get(), mapping.path);
  if (plan)
    file.plan = *std::move(plan);
  else
    file.warning = plan.error().message;
  if (may_be_loader(mapping.path)) file.loader_offset = find_loader_notice(fd->get(), mapping.path);
  return file;
}

ProcessPlan ProbePlanner::plan(Tgid pid, const std::vector<Mapping>& mappings) {
  ProcessPlan result;
  std::set<FileKey> seen;
  for (const Mapping& mapping : mappings) {
    if (!mapping.executable || !is_file(mapping) || !seen.insert(mapping.file).second) continue;
    const FilePlan& file = plan_of(pid, mapping);
    if (!file.warning.empty()) result.warnings.push_back(fmt::format("{}: not hooked: {}", mapping.path, file.warning));
    for (const std::string& function : file.plan.not_hooked)
      result.warnings.push_back(fmt::format("{}: not hooked: {}", mapping.path, function));
    for (const std::string& note : file.plan.notes) result.notes.push_back(fmt::format("{}: {}", mapping.path, note));
    if (!file.plan.probes.empty() || file.loader_offset != 0)
      result.modules.push_back({.mapping = mapping, .plan = file.plan, .loader_offset = file.loader_offset});
  }
  return result;
}

}  // namespace alloctrail
