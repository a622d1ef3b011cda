// SPDX-License-Identifier: Apache-2.0
// /tmp/perf-PID.map: the names a just-in-time compiler publishes for the code it made.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "user/handles.h"
#include "user/ids.h"
#include "user/symbols/range_map.h"

namespace alloctrail {

/// The contents of one such file: lines "START SIZE name", both numbers hexadecimal, the name to the end of the line.
class PerfMap {
 public:
  PerfMap() = default;
  /// Lines that make no sense are left out. Where lines overlap, the later one is the newer code.
  explicit PerfMap(std::string text);
  PerfMap(const PerfMap&) = delete;
  PerfMap& operator=(const PerfMap&) = delete;
  PerfMap(PerfMap&&) = default;
  PerfMap& operator=(PerfMap&&) = default;

  /// Empty if unknown. Valid as long as this map.
  [[nodiscard]] std::string_view find(uint64_t address) const;

 private:
  std::string text_;
  RangeMap ranges_;  ///< value: offset of the name in the text
};

/// The maps of all processes that were asked for, read again when their file has changed.
class PerfMaps {
 public:
  /// The name of the code at `address`; empty if the process has published none.
  [[nodiscard]] std::string find(Tgid pid, uint64_t address);

 private:
  struct Known {
    dev_t device = 0;
    ino_t inode = 0;
    off_t size_bytes = 0;
    timespec changed{};
    std::chrono::steady_clock::time_point reread_after{};
    PerfMap map;
  };
  void refresh(Tgid pid, Known& known);

  std::map<Tgid, Known> known_;
};

/// Opens the file of a process, in the target's own root and by its process id in its own namespace. Only a regular
/// file of at most 64 MiB, reached without links, which root or the process' own user owns: others could invent names.
[[nodiscard]] UniqueFd open_perf_map(Tgid pid);

}  // namespace alloctrail
