// SPDX-License-Identifier: Apache-2.0
// Where a process's resident memory lies: /proc/PID/smaps (a range at a time) and smaps_rollup (their sum).
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>

#include "user/ids.h"
#include "user/result.h"
#include "user/target/mappings.h"

namespace alloctrail {

/// What the kernel counts of one range, or of all.
struct ResidentBytes {
  uint64_t rss = 0;
  uint64_t pss = 0;        ///< each page divided by the number of its mappings
  uint64_t anonymous = 0;  ///< of rss: not of a file, also a written page of a private file mapping
  uint64_t anon_huge = 0;  ///< of rss: transparent huge pages
  uint64_t private_clean = 0;
  uint64_t private_dirty = 0;
  uint64_t lazy_free = 0;  ///< of rss: given back with MADV_FREE, not yet taken
  uint64_t swap = 0;
  uint64_t hugetlb = 0;  ///< pages of hugetlbfs, which rss leaves out

  ResidentBytes& operator+=(const ResidentBytes& other);
  friend bool operator==(const ResidentBytes&, const ResidentBytes&) = default;
};

struct ResidentRange {
  Mapping mapping;
  ResidentBytes bytes;
  bool grows_down = false;  ///< the main thread's stack
  bool no_reserve = false;  ///< mapped with MAP_NORESERVE; the kernel drops that where vm.overcommit_memory is 2
};

/// Parses smaps as it comes, in pieces of any size: the text for a process of 65,000 ranges has 45 MB. Hands out a
/// range when all of it was read.
class SmapsParser {
 public:
  using Sink = std::function<void(const ResidentRange&)>;
  explicit SmapsParser(Sink sink) : sink_(std::move(sink)) {}
  void add(std::string_view piece);
  /// The text is over.
  void finish();

 private:
  void line(std::string_view text);
  void flush();

  Sink sink_;
  std::string unfinished_line_;
  ResidentRange range_;
  bool in_range_ = false;
};

/// Every range of the process, by ascending address. It walks the page tables under the target's mmap lock (a few
/// microseconds a range and about 10 ms a resident GiB of small pages): not for every second of a process with
/// thousands of ranges. Fails if the process is gone or may not be looked at.
[[nodiscard]] Status read_smaps(Tgid pid, const SmapsParser::Sink& sink);

/// The sums of the whole process; about as dear as smaps, without the text.
[[nodiscard]] Result<ResidentBytes> read_smaps_rollup(Tgid pid);

}  // namespace alloctrail
