// SPDX-License-Identifier: Apache-2.0
#include "user/symbols/packed_frames.h"

#include <string_view>

namespace alloctrail {
namespace {

constexpr uint64_t kMaxFrames = 65;
constexpr size_t kMaxTextBytes = 64 * 1024;

std::string_view bounded(std::string_view text) {
  return text.substr(0, kMaxTextBytes);
}

}  // namespace

void pack_frames(const std::vector<Frame>& frames, WireWriter& out) {
  out.number(frames.size());
  for (const Frame& frame : frames) {
    out.text(bounded(frame.function));
    out.text(bounded(frame.file));
    out.number(uint64_t{frame.line} << 1 | uint64_t{frame.inlined});
  }
}

std::vector<Frame> take_frames(WireReader& in) {
  std::vector<Frame> frames(in.number(kMaxFrames));
  for (Frame& frame : frames) {
    frame.function = in.text(kMaxTextBytes);
    frame.file = in.text(kMaxTextBytes);
    const uint64_t place = in.number(uint64_t{UINT32_MAX} << 1 | 1);
    frame.line = static_cast<uint32_t>(place >> 1);
    frame.inlined = (place & 1) != 0;
  }
  if (frames.empty() || !in.is_good()) return {Frame()};
  return frames;
}

}  // namespace alloctrail
