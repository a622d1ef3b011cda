// SPDX-License-Identifier: Apache-2.0
// The flight recorder's records as they came, in a file: written before anything is made of them, so that a kill is not
// lost with the process that reports it. A record is its length (32 bits) and its bytes; a torn last one is not read.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "user/handles.h"
#include "user/kernel/oom_feed.h"
#include "user/result.h"

namespace alloctrail {

class RawLog {
 public:
  /// Makes the file anew, with room set aside for `reserve_bytes`. It is removed by remove(), and left behind by a crash.
  static Result<RawLog> create(const std::string& path, uint64_t reserve_bytes);

  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] Status append(const OomFeed::Record& record);
  [[nodiscard]] bool empty() const { return length_ == 0; }
  /// Empties the file, keeping its room.
  void clear();
  void remove();

 private:
  RawLog(std::string path, UniqueFd file) : path_(std::move(path)), file_(std::move(file)) {}
  std::string path_;
  UniqueFd file_;
  uint64_t length_ = 0;
};

/// Files of this kind in a directory that are not empty, by name: what earlier runs could not report.
[[nodiscard]] std::vector<std::string> left_raw_logs(const std::string& directory);

/// The records of such a file, in order.
[[nodiscard]] Result<std::vector<OomFeed::Record>> read_raw_log(const std::string& path);

}  // namespace alloctrail
