// SPDX-License-Identifier: Apache-2.0
// When two frames count as the same one in a report.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>

#include "user/analysis/shown_frames.h"
#include "user/model/snapshot.h"

namespace alloctrail {

/// Numbers the places of frames, alike for every snapshot it is asked about. With FrameChoice::Callers a place is a
/// source line of a function, or an address without one; with FrameChoice::All an address.
class FramePlaces {
 public:
  explicit FramePlaces(FrameChoice choice) : choice_(choice) {}

  /// The frame must stay where it lies in memory as long as this object is asked.
  [[nodiscard]] uint64_t number(const Frame& frame);

 private:
  FrameChoice choice_;
  std::unordered_map<const Frame*, uint64_t> by_frame_;  // frames are shared between stacks: most are known by this
  std::unordered_map<std::string, uint64_t> by_place_;
};

}  // namespace alloctrail
