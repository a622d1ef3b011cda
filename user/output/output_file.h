// SPDX-License-Identifier: Apache-2.0
// Where reports go: standard output or a file. Nothing is written through a planted link, no file is left half-written,
// and every error of write, sync and close is reported. SIGPIPE and SIGXFSZ must be ignored by the program.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "user/result.h"

namespace alloctrail {

/// When a file becomes what `-o` names.
enum class Delivery {
  Whole,   ///< at finish(), in full or not at all; what was there before stays until then
  Stream,  ///< at once, empty; each write() is on disk as a whole or taken back and reported
};

/// Takes finished pieces of output.
class Sink {
 public:
  virtual ~Sink() = default;
  /// Writes all of `text`. A reader that went away is the error with os_error EPIPE, which a program ends quietly on.
  [[nodiscard]] virtual Status write(std::string_view text) = 0;
  /// Delivers the output; nothing may be written after it. A sink destroyed without it delivers nothing if it can.
  [[nodiscard]] virtual Status finish() = 0;
};

/// A sink for `path`; none or "-" means standard output. The target may be absent, a regular file, which is replaced by
/// a new one of mode 0600, or a character device, which is written to; links and everything else are refused.
[[nodiscard]] Result<std::unique_ptr<Sink>> open_sink(const std::optional<std::string>& path, Delivery delivery);

/// Occupies closed standard descriptors, so that no file opened later is taken for standard output; writing to one so
/// occupied fails. To be called before anything is opened.
void occupy_standard_descriptors();

}  // namespace alloctrail
