// SPDX-License-Identifier: Apache-2.0
#include "user/analysis/shown_frames.h"

#include <numeric>

#include "user/analysis/allocator_frames.h"
#include "user/analysis/frame_origin.h"

namespace alloctrail {

std::vector<uint32_t> shown_frames(const Stack& stack, FrameChoice choice) {
  const auto size = static_cast<uint32_t>(stack.frames.size());
  std::vector<uint32_t> shown;
  if (choice == FrameChoice::All) {
    shown.resize(size);
    std::iota(shown.begin(), shown.end(), 0u);
    return shown;
  }
  bool in_library = false;  // the last shown frame stands for a row of the library's
  for (auto i = static_cast<uint32_t>(allocator_frame_count(stack)); i < size; ++i) {
    const Frame& frame = stack.frames[i];
    const bool library = is_standard_library_frame(frame);
    if (!library || !in_library)
      shown.push_back(i);
    else if (!frame.function.empty())
      shown.back() = i;
    in_library = library;
  }
  return shown;
}

}  // namespace alloctrail
