// SPDX-License-Identifier: Apache-2.0
// From the Snapshots of one process, as they come, to Pictures: what each thread and stack holds, how fast it allocates,
// and how its bytes went since they were first seen. No operating system; one History a process.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

#include "user/analysis/accounting.h"
#include "user/analysis/balance.h"
#include "user/analysis/item_numbers.h"
#include "user/analysis/limit_history.h"
#include "user/analysis/report_table.h"
#include "user/analysis/trend.h"
#include "user/model/snapshot.h"

namespace alloctrail {

/// How the outstanding bytes of an item went since it is followed.
struct Course {
  std::vector<double> values;   ///< lowest of equal stretches of time, oldest first; the present value last
  std::optional<Trend> growth;  ///< bytes per second
};

/// What an item holds and does.
struct Activity {
  Usage usage;
  Rate allocation;                       ///< since the snapshot before; at first: since the attach
  Rate release;                          ///< of blocks it has allocated, whoever freed them
  std::shared_ptr<const Course> course;  ///< null: one of the many small items, which are not followed
};

/// Entries keep their place in their vector for the whole run; this says that the newest snapshot lacks one.
constexpr uint32_t kAbsent = ~0u;

struct ThreadEntry {
  uint32_t thread = kAbsent;  ///< index into Snapshot::threads
  Activity activity;
};

/// All stacks that look the same.
struct StackEntry {
  uint32_t stack = kAbsent;  ///< index into Snapshot::stacks: the first of them
  uint32_t holders = 0;      ///< threads with outstanding blocks from it
  uint32_t top_holder = 0;   ///< index into Picture::threads
  Activity activity;
};

/// What one thread has allocated from one stack.
struct SiteEntry {
  uint32_t thread = 0;  ///< index into Picture::threads
  uint32_t stack = 0;   ///< index into Picture::stacks
  Activity activity;
};

/// One process at one moment, with its past. Never changes once made.
struct Picture {
  std::shared_ptr<const Snapshot> snapshot;
  Activity total;
  uint64_t peak_bytes = 0;  ///< most outstanding bytes of all snapshots so far
  std::vector<ThreadEntry> threads;
  std::vector<StackEntry> stacks;
  std::vector<SiteEntry> sites;
  Accounting accounting;
  std::optional<Balance> balance;
  std::optional<LimitView> limit;
};

class History {
 public:
  /// Items of each kind whose course is followed: those that hold most.
  static constexpr size_t kFollowed = 128;

  /// The next snapshot of the same process, in order of time.
  [[nodiscard]] std::shared_ptr<const Picture> add(std::shared_ptr<const Snapshot> snapshot);

 private:
  /// The past of one item. Its course is made anew only when a floor was added.
  struct Followed {
    FloorSeries series;
    size_t floors_seen = 0;
    std::optional<Trend> growth;
  };
  using Following = std::unordered_map<uint32_t, Followed>;

  void place_threads(const Snapshot& snapshot, Picture& picture);
  void place_stacks(const Snapshot& snapshot, Picture& picture);
  void place_sites(const Snapshot& snapshot, Picture& picture);
  [[nodiscard]] static std::shared_ptr<const Course> follow(Followed& followed, double at_s, uint64_t bytes);
  template <class Entry>
  void follow_largest(std::vector<Entry>& entries, Following& following) const;
  template <class Entry>
  void set_rates(std::vector<Entry>& entries, const std::vector<Entry>* before) const;
  void set_rate(Activity& now, const Activity* before) const;

  StackNumbers stack_numbers_{FrameChoice::Callers};
  std::map<ThreadKey, uint32_t> thread_numbers_;
  std::unordered_map<uint64_t, uint32_t> site_numbers_;  // by thread << 32 | stack
  std::vector<uint32_t> threads_;                        // of the present snapshot: entry of each index
  std::vector<uint32_t> stacks_;
  size_t stack_count_ = 0;
  Followed total_;
  Following followed_threads_;
  Following followed_stacks_;
  Following followed_sites_;
  LimitHistory limits_;
  std::shared_ptr<const Picture> latest_;
  double at_s_ = 0;
  double passed_s_ = 0;
};

}  // namespace alloctrail
