// SPDX-License-Identifier: Apache-2.0
// What a process has mapped, by who mapped it. Plain values; part of a Snapshot.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "alloctrail/ranges.h"
#include "user/ids.h"

namespace alloctrail {

/// What a range is for.
enum class RangeKind {
  Anonymous,    ///< the program's own anonymous memory
  Reserved,     ///< the program's own address space without access: no memory
  Allocator,    ///< the heap, arenas and large blocks: mapped inside an allocator call
  ThreadStack,  ///< with its guard
  MainStack,
  File,
  Shared,   ///< shared memory without a file that has a name: anonymous, System V, memfd, tmpfs
  Special,  ///< mapped by the kernel: vdso and the like
};

/// How a range came to be known.
enum class RangeOrigin {
  Call,          ///< its system call was seen
  BeforeAttach,  ///< it was there
  Found,         ///< it appeared in /proc/PID/maps and no call told of it
};

/// A number of ranges and their address space; what of it has no access is no memory.
struct MappedAmount {
  uint64_t bytes = 0;
  uint64_t reserved_bytes = 0;  ///< of bytes: without access
  uint64_t ranges = 0;

  MappedAmount& operator+=(const MappedAmount& other) {
    bytes += other.bytes;
    reserved_bytes += other.reserved_bytes;
    ranges += other.ranges;
    return *this;
  }
  friend bool operator==(const MappedAmount&, const MappedAmount&) = default;
};

/// Ranges that still stand and have all of this in common.
struct MappingRow {
  RangeKind kind{};
  RangeOrigin origin{};
  Tid tid{};                      ///< who mapped it; 0 unless origin is Call
  std::string thread;             ///< raw bytes of its name
  std::optional<uint32_t> stack;  ///< index into Snapshot::stacks; only if origin is Call
  std::string path;               ///< of a file; "[heap]", "[stack]" and the like; may be empty
  MappedAmount standing;
  std::optional<uint64_t> resident_bytes{};  ///< by smaps, as of Residence::read_at; none if it was not read
  bool resident_estimated = false;         ///< shares ranges of smaps with other rows: in proportion to their bytes
};

/// Resident bytes of one range of smaps, which may hold neighbours that several calls have made.
struct ResidentPart {
  uint64_t start = 0;
  uint64_t end = 0;
  uint64_t bytes = 0;
};

/// /proc/PID/maps against what the system calls add up to.
struct MappedCheck {
  bool done = false;           ///< the process could be looked at
  uint64_t maps_bytes = 0;     ///< address space by /proc/PID/maps
  uint64_t missing_bytes = 0;  ///< only in /proc/PID/maps
  uint64_t excess_bytes = 0;   ///< only in the sum of the calls
  uint64_t access_bytes = 0;   ///< in both, and with access in only one
  uint64_t looked_up_bytes = 0;  ///< taken over from /proc/PID/maps because a call does not tell
};

struct Mapped {
  std::vector<MappingRow> rows;  ///< in no order
  MappedAmount standing;
  uint64_t mapped_bytes = 0;      ///< since the attach, by calls that were seen
  uint64_t unmapped_bytes = 0;    ///< of those bytes
  uint64_t given_back_bytes = 0;  ///< madvise that drops pages; their ranges stand on
  MappedCheck check;
  std::optional<uint64_t> resident_elsewhere_bytes;  ///< smaps' ranges that do not stand any more
  at_range_calls calls{};
  uint64_t misses = 0;    ///< system calls of the whole machine that the kernel did not deliver to our programs
  uint64_t lookups = 0;   ///< calls after which /proc/PID/maps had to be asked: shmat, remap_file_pages, i386 calls ...
  uint64_t rebuilds = 0;  ///< how often all of it was made anew because records were lost
};

}  // namespace alloctrail
