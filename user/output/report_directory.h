// SPDX-License-Identifier: Apache-2.0
// A directory of reports, one file each: written whole or not at all, the newest kept.
#pragma once

#include <chrono>
#include <cstddef>
#include <string>
#include <string_view>

#include "user/result.h"

namespace alloctrail {

class ReportDirectory {
 public:
  /// Makes the directory (mode 0700) if it is not there. Files are named PREFIX-TIME-NAME.SUFFIX; of those with this prefix
  /// and suffix the newest `keep` stay.
  static Result<ReportDirectory> open(std::string path, std::string prefix, std::string suffix, size_t keep);

  /// Writes one report; the result is its path.
  [[nodiscard]] Result<std::string> write(std::chrono::system_clock::time_point time, std::string_view name,
                                          std::string_view text) const;
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  ReportDirectory(std::string path, std::string prefix, std::string suffix, size_t keep)
      : path_(std::move(path)), prefix_(std::move(prefix)), suffix_(std::move(suffix)), keep_(keep) {}
  void remove_old() const;

  std::string path_;
  std::string prefix_;
  std::string suffix_;
  size_t keep_;
};

}  // namespace alloctrail
