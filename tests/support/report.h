// SPDX-License-Identifier: Apache-2.0
// Reads figures out of a JSON report and compares them with a workload's truth: equality in every figure, and
// conservation of what was seen.
#pragma once

#include <gtest/gtest.h>
#include <sys/types.h>

#include <cstdint>
#include <nlohmann/json.hpp>
#include <ostream>
#include <string>
#include <string_view>

namespace alloctrail::test {

/// Bytes and blocks that belong together.
struct Amount {
  uint64_t bytes = 0;
  uint64_t blocks = 0;
  friend bool operator==(const Amount&, const Amount&) = default;
  Amount& operator+=(const Amount& other);
};
std::ostream& operator<<(std::ostream& out, const Amount& amount);

/// `prefix`_bytes and `prefix`_blocks of an object: a report's totals, one of its threads or sites, or a truth.
Amount amount(const nlohmann::json& object, std::string_view prefix);

/// Sum over the report's thread rows with this tid and name; an empty name means any.
Amount outstanding_of_thread(const nlohmann::json& report, pid_t tid, std::string_view name = {});
/// Sum over the sites on whose stack a frame's function has this name.
Amount outstanding_of_function(const nlohmann::json& report, std::string_view function);

/// One of the report's accounting counters.
uint64_t counted(const nlohmann::json& report, std::string_view counter);

/// Nothing may be hidden: seen = live + freed + failed + sampled out + filtered + lost, in calls and in bytes,
/// with nothing in flight, and totals = sum of threads = sum of sites.
void expect_conserved(const nlohmann::json& report);
/// No allocation was lost for any reason.
void expect_nothing_lost(const nlohmann::json& report);
/// Totals and every thread equal the truth; conserved; nothing lost.
void expect_equals_truth(const nlohmann::json& report, const nlohmann::json& truth);

}  // namespace alloctrail::test
