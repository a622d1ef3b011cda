// SPDX-License-Identifier: Apache-2.0
// Small numbers for threads and stacks that hold across the Snapshots of one process, where indices do not. Pure.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "user/analysis/frame_places.h"
#include "user/analysis/shown_frames.h"
#include "user/model/snapshot.h"

namespace alloctrail {

/// Stack contents to numbers, the same for every snapshot fed to it. Where only callers are shown, stacks that look the
/// same are the same: their frames by source line, or by address without one.
class StackNumbers {
 public:
  explicit StackNumbers(FrameChoice choice) : choice_(choice), places_(choice) {}

  /// For each stack of the snapshot its number.
  [[nodiscard]] std::vector<uint32_t> number(const Snapshot& snapshot);

 private:
  struct Known {
    Frames frames;  ///< keeps its identity from being used again
    uint32_t number;
  };
  using Identity = std::pair<const void*, at_stack_status>;

  [[nodiscard]] uint32_t number_of(const Stack& stack);
  [[nodiscard]] std::string key(const Stack& stack);

  FrameChoice choice_;
  FramePlaces places_;
  std::map<Identity, Known> by_identity_;
  std::unordered_map<std::string, uint32_t> numbers_;
};

/// A thread across snapshots: thread ids are used again, so the how-manieth thread with that id counts too.
using ThreadKey = std::pair<Tid, uint32_t>;

/// One for each thread of the snapshot.
[[nodiscard]] std::vector<ThreadKey> thread_keys(const Snapshot& snapshot);

}  // namespace alloctrail
