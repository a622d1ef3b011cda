// SPDX-License-Identifier: Apache-2.0
// Moments -> bytes of a recording. Writes each frame and stack once, and of sites what has changed.
#pragma once

#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "user/recording/recording.h"

namespace alloctrail {

class RecordingWriter {
 public:
  /// What a file begins with.
  [[nodiscard]] static std::string header();
  /// One more Moment; to be written behind all that came before.
  [[nodiscard]] std::string add(const Moment& moment);

 private:
  class Encoder;

  std::unordered_map<const Frame*, uint32_t> frames_;
  std::unordered_map<std::string, uint32_t> stacks_;  ///< by their definition
  std::vector<Frames> kept_;                          ///< so that an address in frames_ stays that of its frame
  std::map<Tgid, std::vector<Site>> sites_;           ///< of each process, as last written
};

}  // namespace alloctrail
