// SPDX-License-Identifier: Apache-2.0
#include "user/analysis/frame_places.h"

#include <utility>

namespace alloctrail {

uint64_t FramePlaces::number(const Frame& frame) {
  const auto [known, is_new] = by_frame_.try_emplace(&frame);
  if (!is_new) return known->second;
  const bool by_line = choice_ == FrameChoice::Callers && !frame.file.empty();
  std::string place = std::to_string(by_line ? frame.line : raw(frame.address));
  if (by_line) place.append(1, '\0').append(frame.function).append(1, '\0').append(frame.file);
  known->second = by_place_.try_emplace(std::move(place), by_place_.size()).first->second;
  return known->second;
}

}  // namespace alloctrail
