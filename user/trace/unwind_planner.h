// SPDX-License-Identifier: Apache-2.0
// Which unwind tables a process needs: compiles each mapped file once per run and lists the mappings for the kernel.
#pragma once

#include <map>
#include <set>
#include <vector>

#include "user/elf/unwind_cache.h"
#include "user/ids.h"
#include "user/kernel/tracer.h"
#include "user/target/mappings.h"

namespace alloctrail {

class UnwindPlanner {
 public:
  explicit UnwindPlanner(Tracer& tracer) : tracer_(tracer) {}

  /// Makes the stacks of this process walkable by its files' unwind information. Code without any (JIT, broken files)
  /// is walked by frame pointers.
  /// `loads` is what Tracer::loads() said before they were read.
  [[nodiscard]] Status publish(Slot slot, Tgid pid, const std::vector<Mapping>& mappings, uint32_t loads);
  /// What has been published for the slot so far was there from the program's start, and stays.
  void keep_for_good(Slot slot) { lasting_[slot] = published_[slot]; }

 private:
  struct File {
    UnwindTable table;  ///< without its rows, which are the kernel's now
    PooledUnwindTable pooled;
    uint32_t number = 0;
  };
  const File& file_of(Tgid pid, const Mapping& mapping);
  [[nodiscard]] at_unwind_mapping describe(Tgid pid, const Mapping& mapping);

  Tracer& tracer_;
  UnwindCache cache_;
  std::map<FileKey, File> files_;
  std::map<Slot, std::set<FileKey>> published_;  // executable files, as of the last publication
  std::map<Slot, std::set<FileKey>> lasting_;
};

}  // namespace alloctrail
