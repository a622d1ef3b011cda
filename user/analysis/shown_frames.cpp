// SPDX-License-Identifier: Apache-2.0
#include "user/analysis/shown_frames.h"

#include <algorithm>
#include <numeric>
#include <string_view>

#include "user/analysis/allocator_frames.h"

namespace alloctrail {
namespace {

bool is_standard_library_frame(const Frame& frame) {
  const std::string_view file = frame.file;
  const std::string_view function = frame.function;
  const std::string_view module = frame.module;
  if (file.find("/include/c++/") != file.npos || file.find("/c++/v1/") != file.npos) return true;
  if (!file.empty()) return false;
  if (function.starts_with("std::") || function.starts_with("__gnu_cxx::")) return true;
  const std::string_view base = module.substr(module.rfind('/') + 1);
  return base.starts_with("libstdc++.") || base.starts_with("libc++.");
}

}  // namespace

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
