// SPDX-License-Identifier: Apache-2.0
// Where the resident memory of a process lies, by the kind of range. A plain value, read by target/residence.
#pragma once

#include <chrono>
#include <cstdint>

namespace alloctrail {

/// What a range of a process is for.
enum class ResidentKind {
  BrkHeap,
  Arena,
  NamedAllocator,
  ThreadStack,
  MainStack,
  OtherAnonymous,
  File,
  Shared,
  Special,
  Unknown,  ///< gone before it was looked at
};

/// Resident bytes. Every resident page of the process is in exactly one of the kinds.
struct Residence {
  uint64_t brk_heap = 0;         ///< [heap]: the program break
  uint64_t arenas = 0;           ///< glibc's arenas of threads
  uint64_t named_allocator = 0;  ///< anonymous ranges that an allocator has named after itself
  uint64_t thread_stacks = 0;    ///< those of exited threads that are kept for new ones, too
  uint64_t main_stack = 0;
  uint64_t other_anonymous = 0;  ///< the program's own maps, and what an allocator has mapped without a sign of it
  uint64_t file = 0;             ///< code and data of programs and libraries, mapped files
  uint64_t shared = 0;           ///< shared memory: memfd, tmpfs, SysV, anonymous
  uint64_t special = 0;          ///< vdso and the like

  uint64_t ranges = 0;
  uint64_t huge_bytes = 0;             ///< of all these, transparent huge pages of anonymous memory
  uint64_t reserved_bytes = 0;         ///< address space without access: no memory
  uint64_t vm_rss_bytes = 0;           ///< VmRSS of the same moment
  std::chrono::nanoseconds read_at{};  ///< Snapshot::elapsed of that moment

  [[nodiscard]] uint64_t allocators() const { return brk_heap + arenas + named_allocator; }
  [[nodiscard]] uint64_t sum() const {
    return allocators() + thread_stacks + main_stack + other_anonymous + file + shared + special;
  }
  friend bool operator==(const Residence&, const Residence&) = default;
};

}  // namespace alloctrail
