// SPDX-License-Identifier: Apache-2.0
// Which unwind tables a process needs: compiles each mapped file once per run and lists the mappings for the kernel. Of
// what several threads may call here, one goes on at a time.
#pragma once

#include <map>
#include <mutex>
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

  /// Reads what the process has mapped and makes its stacks walkable by the files' unwind information. Code without any
  /// (JIT, broken files) is walked by frame pointers. Returns what it has read.
  [[nodiscard]] Result<std::vector<Mapping>> refresh(Slot slot, Tgid pid);
  /// The same for a slot that it was done for before; others are passed over. A failure comes again with the next.
  void refresh_announced(Slot slot);
  /// What has been published for the slot so far was there from the program's start, and stays.
  [[nodiscard]] Status keep_for_good(Slot slot);
  /// Executable mappings that were too many for the kernel side when this was last done: walks end where they meet one.
  [[nodiscard]] size_t left_out(Slot slot);
  /// To be called when no walk of this slot begins any more.
  void forget(Slot slot);

 private:
  struct File {
    UnwindTable table;  ///< without its rows, which are the kernel's now
    PooledUnwindTable pooled;
    uint32_t number = 0;
  };
  const File& file_of(Tgid pid, const Mapping& mapping);
  [[nodiscard]] at_unwind_mapping describe(Tgid pid, const Mapping& mapping);
  [[nodiscard]] Result<std::vector<Mapping>> read_and_publish(Slot slot, Tgid pid);
  [[nodiscard]] Status publish(Slot slot, Tgid pid, const std::vector<Mapping>& mappings, uint32_t loads);

  std::mutex mutex_;  // guards all below, and the tracer's unwind tables
  Tracer& tracer_;
  UnwindCache cache_;
  std::map<FileKey, File> files_;
  std::map<Slot, Tgid> pids_;
  std::map<Slot, std::set<FileKey>> published_;  // executable files, as of the last publication
  std::map<Slot, std::set<FileKey>> lasting_;
  std::map<Slot, size_t> left_out_;
};

}  // namespace alloctrail
