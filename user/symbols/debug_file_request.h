// SPDX-License-Identifier: Apache-2.0
// How the symbol worker, which may open nothing, asks for the separate debug files of a file.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "user/handles.h"

namespace alloctrail {

/// Everything in it comes from a file that may be hostile.
struct DebugFileRequest {
  enum class By : uint32_t {
    BuildId,        ///< `name` is the build-id, as bytes
    Link,           ///< `name` is the file name in .gnu_debuglink
    Supplementary,  ///< `name` is the path in .gnu_debugaltlink of the debug file that was opened last
  };
  By by = By::BuildId;
  std::string name;
  uint32_t place = 0;  ///< which of the places to look at, from 0 on

  friend bool operator==(const DebugFileRequest&, const DebugFileRequest&) = default;
};

struct DebugFileReply {
  UniqueFd fd;                ///< none: there is no such file at this place
  bool has_more_places = false;
};

class DebugFileSource {
 public:
  virtual ~DebugFileSource() = default;
  [[nodiscard]] virtual DebugFileReply open(const DebugFileRequest& request) = 0;
};

}  // namespace alloctrail
