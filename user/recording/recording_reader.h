// SPDX-License-Identifier: Apache-2.0
// Bytes of a recording -> Moments. A file is untrusted: whatever it holds, reading it takes bounded memory and ends.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>

#include "user/recording/recording.h"
#include "user/result.h"

namespace alloctrail {

/// What one Moment may take; a million sites take less than a quarter of it.
struct RecordingLimits {
  size_t moment_bytes = size_t{1} << 28;  ///< unpacked
  size_t value_bytes = size_t{1} << 30;   ///< memory of its values
};

class RecordingReader {
 public:
  /// Error: not there, not readable, not a recording, or made by an alloctrail with a newer format.
  static Result<RecordingReader> open(const std::string& path, const RecordingLimits& limits = {});
  RecordingReader(RecordingReader&&) noexcept;
  RecordingReader& operator=(RecordingReader&&) noexcept;
  ~RecordingReader();

  /// The next Moment; none at the end, or where the rest cannot be read: see problem().
  [[nodiscard]] std::optional<Moment> next();
  /// Why the end came early, as a sentence with the place; empty: it did not. A recording whose writer was killed, or is
  /// still at work, is cut short; one that was changed afterwards is damaged.
  [[nodiscard]] const std::string& problem() const;
  [[nodiscard]] bool damaged() const;

 private:
  class File;
  explicit RecordingReader(std::unique_ptr<File> file);
  std::unique_ptr<File> file_;
};

}  // namespace alloctrail
