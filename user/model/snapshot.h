// SPDX-License-Identifier: Apache-2.0
// Snapshot: everything known about one traced process at one moment, as a plain value. Made from the kernel's maps
// (kernel/), named by symbols/, read by analysis/ and output/, which see nothing else.
#pragma once

#include <chrono>
#include <cstdint>
#include <cstddef>
#include <initializer_list>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "alloctrail/counters.h"
#include "alloctrail/records.h"
#include "user/ids.h"
#include "user/model/faults.h"
#include "user/model/mapped.h"
#include "user/model/memory.h"
#include "user/model/residence.h"
#include "user/model/sampled.h"

namespace alloctrail {

/// A number of blocks and the bytes the program asked for in them.
struct Amount {
  uint64_t bytes = 0;
  uint64_t blocks = 0;

  Amount& operator+=(Amount other) {
    bytes += other.bytes;
    blocks += other.blocks;
    return *this;
  }
  /// Never below zero: counters of a running program are read one after the other.
  friend Amount operator-(Amount a, Amount b) {
    return {a.bytes > b.bytes ? a.bytes - b.bytes : 0, a.blocks > b.blocks ? a.blocks - b.blocks : 0};
  }
  friend bool operator==(Amount, Amount) = default;
};

/// One function on a stack. An inlined function is a frame of its own at the address of the function it was inlined into.
struct Frame {
  Addr address{};             ///< where the call is, not where it returns to: return address - 1 for all but the innermost
  std::string function;       ///< demangled; empty: unknown
  std::string module;         ///< path of the mapped file as the target names it; empty: anonymous memory
  uint64_t module_offset = 0; ///< file offset of the address in `module`; 0 without a module
  std::string file;           ///< source file; empty: no debug information
  uint32_t line = 0;          ///< 0: unknown
  bool inlined = false;
};

/// The frames of one stack, innermost first. A frame that lies on many stacks is kept once and shared, also between
/// snapshots: copying copies no frame.
class Frames {
 public:
  using Shared = std::shared_ptr<const Frame>;

  class Iterator {
   public:
    using iterator_category = std::forward_iterator_tag;
    using value_type = Frame;
    using difference_type = std::ptrdiff_t;
    using pointer = const Frame*;
    using reference = const Frame&;

    Iterator() = default;
    explicit Iterator(const Shared* at) : at_(at) {}
    const Frame& operator*() const { return **at_; }
    const Frame* operator->() const { return at_->get(); }
    Iterator& operator++() {
      ++at_;
      return *this;
    }
    Iterator operator++(int) { return Iterator(at_++); }
    friend bool operator==(Iterator, Iterator) = default;

   private:
    const Shared* at_ = nullptr;
  };

  Frames() = default;
  explicit Frames(std::vector<Shared> frames)
      : frames_(std::make_shared<const std::vector<Shared>>(std::move(frames))) {}
  Frames(const std::vector<Frame>& frames) : Frames(shared(frames)) {}
  Frames(std::initializer_list<Frame> frames) : Frames(std::vector<Frame>(frames)) {}

  [[nodiscard]] Iterator begin() const { return Iterator(frames_ ? frames_->data() : nullptr); }
  [[nodiscard]] Iterator end() const { return Iterator(frames_ ? frames_->data() + frames_->size() : nullptr); }
  [[nodiscard]] size_t size() const { return frames_ ? frames_->size() : 0; }
  [[nodiscard]] bool empty() const { return size() == 0; }
  const Frame& operator[](size_t index) const { return *(*frames_)[index]; }
  /// The same for copies of one another, as long as one of them lives; null if there are no frames.
  [[nodiscard]] const void* identity() const { return frames_.get(); }

 private:
  static std::vector<Shared> shared(const std::vector<Frame>& frames) {
    std::vector<Shared> result;
    for (const Frame& frame : frames) result.push_back(std::make_shared<const Frame>(frame));
    return result;
  }

  std::shared_ptr<const std::vector<Shared>> frames_;
};

struct Stack {
  Frames frames;
  at_stack_status status = AT_STACK_complete;
};

struct Thread {
  Tid tid{};
  std::string name; ///< raw bytes of its comm; views escape it
  bool alive = true;
  Amount allocated; ///< since the attach
  Amount freed;     ///< blocks this thread allocated, whoever freed them
  Amount older;     ///< outstanding blocks older than ReportQuery::older; only if that was asked
  Sampled sampled = {};  ///< what of the amounts above is estimated
  uint64_t touched_bytes = 0;  ///< by page faults; only if they are watched
  [[nodiscard]] Amount outstanding() const { return allocated - freed; }
};

/// What one thread allocated from one stack.
struct Site {
  uint32_t thread = 0; ///< index into Snapshot::threads
  uint32_t stack = 0;  ///< index into Snapshot::stacks
  Amount allocated;
  Amount freed;
  Amount older;
  Sampled sampled = {}; ///< what of the amounts above is estimated
  [[nodiscard]] Amount outstanding() const { return allocated - freed; }
};

/// A run that does not record every allocation. All amounts of its sites and threads are estimates of what they would be
/// if it did; the recorded blocks alone are here.
struct Sampling {
  uint64_t rate_bytes = 0;          ///< about one sample in so many bytes, now; 0: everything is recorded now
  uint64_t highest_rate_bytes = 0;  ///< since the attach
  Amount recorded_allocated;
  Amount recorded_freed;
};

/// Figures of /proc/PID, as of the snapshot or, after an exit, the last that were read.
struct ProcessFigures {
  Tgid pid{};
  std::string comm;    ///< raw bytes
  std::string command; ///< command line, arguments joined by spaces; raw bytes
  MemoryStatus memory;
};

/// One attached probe.
struct Probe {
  std::string function; ///< as the module names it, e.g. "malloc"
  std::string module;   ///< path as the target names it
  uint64_t offset = 0;  ///< file offset of the probed instruction
  std::string kind;     ///< how it is attached: "session", "multi", "perf"
  std::string site;     ///< why this instruction: see elf/probe_site.h
  uint64_t hits = 0;
};

/// Why a process is no longer traced.
enum class EndReason { None, Exited, Execed, Detached };

struct Snapshot {
  std::chrono::system_clock::time_point time;
  std::chrono::nanoseconds elapsed{};  ///< since its probes were attached
  ProcessFigures process;
  std::optional<Residence> residence;  ///< none if smaps cannot be read; may be older than the snapshot
  std::optional<MemoryBounds> bounds;  ///< none after an exit
  std::optional<Faults> faults;        ///< none if they are not watched
  bool heap_traced = true;             ///< allocator calls are; else there are no sites
  std::vector<Thread> threads;         ///< every thread that has allocated or touched memory; order of first sight
  std::vector<Site> sites;
  std::vector<Stack> stacks;           ///< those the sites of blocks and faults and the mapped ranges refer to
  std::optional<Mapped> mapped;        ///< none if mapped ranges are not tracked
  std::vector<Probe> probes;
  at_counters counters{};
  uint64_t probe_misses = 0;           ///< probe hits the kernel did not deliver to our programs (recursion)
  std::optional<Sampling> sampling = {};  ///< none: every allocation is recorded
  std::optional<std::chrono::nanoseconds> older_than;  ///< set if `older` amounts were asked for
  EndReason end = EndReason::None;
  std::vector<std::string> warnings;   ///< sentences the user must see: no probe fired, a library could not be hooked ...

  /// Estimates if the run samples.
  [[nodiscard]] Amount allocated() const {
    Amount sum;
    for (const Site& site : sites) sum += site.allocated;
    return sum;
  }
  [[nodiscard]] Amount freed() const {
    Amount sum;
    for (const Site& site : sites) sum += site.freed;
    return sum;
  }
  [[nodiscard]] Amount outstanding() const { return allocated() - freed(); }
};

}  // namespace alloctrail
