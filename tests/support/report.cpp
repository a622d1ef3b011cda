// SPDX-License-Identifier: Apache-2.0
// Sums over the JSON rows of a report, and the equalities a right report fulfils.
#include "tests/support/report.h"

#include <algorithm>
#include <map>
#include <utility>

namespace alloctrail::test {
namespace {

using nlohmann::json;

std::string key(std::string_view prefix, std::string_view unit) {
  return std::string(prefix) + "_" + std::string(unit);
}

/// All that a row or a truth says about blocks.
struct Figures {
  Amount allocated;
  Amount outstanding;
  friend bool operator==(const Figures&, const Figures&) = default;
  Figures& operator+=(const Figures& other) {
    allocated += other.allocated;
    outstanding += other.outstanding;
    return *this;
  }
};

std::ostream& operator<<(std::ostream& out, const Figures& figures) {
  return out << "allocated " << figures.allocated << ", outstanding " << figures.outstanding;
}

Figures figures(const json& object) {
  return {amount(object, "allocated"), amount(object, "outstanding")};
}

using ByThread = std::map<std::pair<int64_t, std::string>, Figures>;

/// Rows that allocated something, by tid and name.
ByThread by_thread(const json& rows, std::string_view name_key) {
  ByThread result;
  for (const json& row : rows)
    if (amount(row, "allocated").blocks != 0)
      result[{row.at("tid").get<int64_t>(), row.at(std::string(name_key)).get<std::string>()}] += figures(row);
  return result;
}

Figures sum(const ByThread& threads) {
  Figures result;
  for (const auto& [thread, row] : threads) result += row;
  return result;
}

/// The accounting as a failure message shows it.
json nonzero_counters(const json& report) {
  json result;
  for (const auto& [name, value] : report.at("accounting").items())
    if (value != 0) result[name] = value;
  return result;
}

uint64_t sum_of_lost(const json& report, std::string_view unit) {
  uint64_t result = 0;
  for (const char* reason :
       {"lost_live_full", "lost_site_full", "lost_return", "lost_state", "lost_fault", "lost_range"})
    result += counted(report, key(reason, unit));
  return result;
}

}  // namespace

Amount& Amount::operator+=(const Amount& other) {
  bytes += other.bytes;
  blocks += other.blocks;
  return *this;
}

std::ostream& operator<<(std::ostream& out, const Amount& amount) {
  return out << amount.bytes << " bytes in " << amount.blocks << " blocks";
}

Amount amount(const json& object, std::string_view prefix) {
  return {object.at(key(prefix, "bytes")).get<uint64_t>(), object.at(key(prefix, "blocks")).get<uint64_t>()};
}

Amount outstanding_of_thread(const json& report, pid_t tid, std::string_view name) {
  Amount result;
  for (const json& thread : report.at("threads"))
    if (thread.at("tid").get<pid_t>() == tid && (name.empty() || thread.at("name").get<std::string>() == name))
      result += amount(thread, "outstanding");
  return result;
}

Amount outstanding_of_function(const json& report, std::string_view function) {
  const auto is_function = [&](const json& frame) {
    return frame.contains("function") && frame.at("function").is_string() &&
           frame.at("function").get<std::string>().starts_with(function);
  };
  Amount result;
  for (const json& site : report.at("sites")) {
    const json& stack = site.at("stack");
    if (std::any_of(stack.begin(), stack.end(), is_function)) result += amount(site, "outstanding");
  }
  return result;
}

uint64_t counted(const json& report, std::string_view counter) {
  return report.at("accounting").at(std::string(counter)).get<uint64_t>();
}

void expect_conserved(const json& report) {
  const Amount outstanding = amount(report.at("totals"), "outstanding");
  const Amount freed = amount(report.at("totals"), "freed");
  const auto remainder = [&](std::string_view unit, uint64_t live_and_freed) {
    return counted(report, key("seen", unit)) - live_and_freed - counted(report, key("failed", unit)) -
           counted(report, key("sampled_out", unit)) - counted(report, key("filtered", unit)) -
           sum_of_lost(report, unit);
  };
  EXPECT_EQ(remainder("calls", outstanding.blocks + freed.blocks), 0U) << nonzero_counters(report);
  EXPECT_EQ(remainder("bytes", outstanding.bytes + freed.bytes), 0U) << nonzero_counters(report);
  EXPECT_EQ(report.at("accounting").at("in_flight_calls"), 0) << nonzero_counters(report);
  EXPECT_TRUE(report.at("accounting").at("balanced").get<bool>()) << nonzero_counters(report);
  EXPECT_EQ(counted(report, "tracked_calls"), outstanding.blocks + freed.blocks) << nonzero_counters(report);
  EXPECT_EQ(counted(report, "released_calls"),
            freed.blocks - counted(report, "missed_free_calls") + counted(report, "free_unknown_calls"))
      << nonzero_counters(report);
  EXPECT_EQ(sum(by_thread(report.at("threads"), "name")), figures(report.at("totals")));
  EXPECT_EQ(by_thread(report.at("sites"), "thread"), by_thread(report.at("threads"), "name"));
}

void expect_nothing_lost(const json& report) {
  EXPECT_EQ(sum_of_lost(report, "calls"), 0U) << nonzero_counters(report);
  EXPECT_EQ(counted(report, "missed_free_calls"), 0U) << nonzero_counters(report);
}

void expect_equals_truth(const json& report, const json& truth) {
  const ByThread expected = by_thread(truth.at("threads"), "name");
  EXPECT_EQ(by_thread(report.at("threads"), "name"), expected);
  EXPECT_EQ(figures(report.at("totals")), sum(expected));
  EXPECT_EQ(counted(report, "failed_calls"), truth.at("failed_calls").get<uint64_t>()) << nonzero_counters(report);
  EXPECT_EQ(counted(report, "released_calls"), truth.at("released_calls").get<uint64_t>()) << nonzero_counters(report);
  EXPECT_EQ(counted(report, "free_unknown_calls"), truth.at("older_frees").get<uint64_t>()) << nonzero_counters(report);
  expect_conserved(report);
  expect_nothing_lost(report);
}

}  // namespace alloctrail::test
