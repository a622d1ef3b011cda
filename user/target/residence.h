// SPDX-License-Identifier: Apache-2.0
// Sorts the ranges of a process by kind, and adds up what is resident in each.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "user/ids.h"
#include "user/model/residence.h"
#include "user/result.h"
#include "user/target/mapped_ranges.h"
#include "user/target/smaps.h"

namespace alloctrail {

/// Whether ranges mapped with MAP_NORESERVE can be told from others.
enum class ReserveFlags {
  Kept,
  Dropped,  ///< vm.overcommit_memory is 2
};

/// `ranges` by ascending address; `stack_pointers` of threads, as many as are known. A thread stack holds a stack
/// pointer, or is of the size of one that does and has a guard below it. An arena has the place, the size and the flags
/// that glibc's new_heap gives it (malloc/arena.c). `vm_rss_bytes` and `read_at` are left to the caller.
[[nodiscard]] Residence residence_of(const std::vector<ResidentRange>& ranges, std::vector<uint64_t> stack_pointers,
                                     ReserveFlags flags = ReserveFlags::Kept);

/// What ranges of a process are for, as far as can be told from outside.
struct OlderRanges {
  std::vector<AddressInterval> allocators;     ///< the heap, arenas, ranges that allocators have named
  std::vector<AddressInterval> thread_stacks;  ///< with their guards
};

/// Sorts what a running process has mapped. `maps` by ascending address.
[[nodiscard]] OlderRanges classify_older(const std::vector<Mapping>& maps, Tgid pid);

/// One range as it was last looked at.
struct KnownRange {
  uint64_t start = 0;
  uint64_t end = 0;
  ResidentKind kind{};
  uint64_t mean_page_bytes = 0;  ///< of its resident pages, small and huge
};

/// The stack pointer in the text of /proc/PID/task/TID/syscall; nothing of a thread that runs.
[[nodiscard]] std::optional<uint64_t> parse_stack_pointer(std::string_view syscall_text);

/// Reads a process's residence, at most as often as costs one part in a hundred of the time: smaps of a process with
/// 65,000 ranges takes most of a second, and its mmap lock.
class ResidenceReader {
 public:
  /// The latest, read anew if it is time; nothing if the process cannot be read. `now`: Snapshot::elapsed.
  [[nodiscard]] std::optional<Residence> get(Tgid pid, std::chrono::nanoseconds now);
  /// The ranges of that reading, by ascending address.
  [[nodiscard]] const std::vector<ResidentPart>& parts() const { return parts_; }
  /// The range that an address lay in at the latest reading; null if it lay in none.
  [[nodiscard]] const KnownRange* range_at(uint64_t address) const;

 private:
  std::vector<KnownRange> ranges_;
  std::optional<Residence> latest_;
  std::vector<ResidentPart> parts_;
  std::chrono::nanoseconds next_{};
};

}  // namespace alloctrail
