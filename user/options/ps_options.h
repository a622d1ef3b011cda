// SPDX-License-Identifier: Apache-2.0
// `alloctrail ps` as the user asked for it.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "user/output/terminal.h"

namespace alloctrail {

struct PsOptions {
  std::chrono::nanoseconds interval = std::chrono::seconds(2);
  std::optional<uint64_t> count;     ///< tables; none: until a signal comes
  std::vector<std::string> cgroups;  ///< only what is in these; empty: all
  std::optional<size_t> top;         ///< rows; none: kTextRows as flat text, else all
  static constexpr size_t kTextRows = 20;
  bool tree = false;
  bool pss = false;
  bool json_lines = false;
  ColorWhen color = ColorWhen::Auto;

  [[nodiscard]] std::optional<size_t> rows() const {
    return top || tree || json_lines ? top : std::optional<size_t>(kTextRows);
  }
};

}  // namespace alloctrail
