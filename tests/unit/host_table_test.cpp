// SPDX-License-Identifier: Apache-2.0
#include "user/analysis/host_table.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <random>

#include "user/output/host_json.h"
#include "user/output/host_text.h"

namespace alloctrail {
namespace {

constexpr uint64_t kMiB = 1 << 20;

HostProcess process(uint32_t pid, uint64_t rss, uint32_t parent = 1) {
  HostProcess out;
  out.pid = Tgid{pid};
  out.parent = Tgid{parent};
  out.start_ticks = 100 + pid;
  out.comm = "p" + std::to_string(pid);
  out.memory.vm_rss_bytes = rss;
  out.memory.vm_size_bytes = 2 * rss;
  out.memory.threads = 1;
  return out;
}

HostSnapshot at(int second, std::vector<HostProcess> processes) {
  HostSnapshot out;
  out.elapsed = std::chrono::seconds(second);
  out.memory.total_bytes = 1000 * kMiB;
  out.memory.free_bytes = 1;
  out.memory.available_bytes = 500 * kMiB;
  out.processes = std::move(processes);
  return out;
}

std::vector<uint32_t> pids(const HostTable& table, const HostSnapshot& snapshot) {
  std::vector<uint32_t> out;
  for (const HostRow& row : table.rows) out.push_back(raw(snapshot.processes[row.process].pid));
  return out;
}

TEST(HostTable, SlowSureGrowthStandsAboveNoiseAndSteps) {
  HostHistory history;
  HostSnapshot now;
  std::mt19937 random(3);
  for (int i = 0; i <= 5; ++i) {
    std::vector<HostProcess> all = {process(10, 900 * kMiB)};
    for (uint32_t pid = 20; pid < 300; ++pid)  // up and down by up to 1 MiB
      all.push_back(process(pid, 50 * kMiB + random() % kMiB / 4096 * 4096));
    all.push_back(process(400, 10 * kMiB + static_cast<uint64_t>(i) * 34952));  // 1 MiB a minute
    all.push_back(process(500, (i < 3 ? 10 : 400) * kMiB));                     // one step
    now = at(2 * i, all);
    history.add(now);
  }
  const HostTable table = history.table(now, {});
  const HostRow& first = table.rows[0];
  EXPECT_EQ(raw(now.processes[first.process].pid), 400u);
  EXPECT_TRUE(first.growth->grows());
  EXPECT_NEAR(first.growth->per_s.value, 17476, 1);
  size_t sure = 0;
  for (const HostRow& row : table.rows) sure += row.growth->grows();
  EXPECT_LE(sure, 12u);  // 2.5 % of 280 by chance, and the one
}

TEST(HostTable, WithoutGrowthTheLargestStandsFirst) {
  HostHistory history;
  const HostSnapshot now = at(0, {process(1, 5), process(2, 9), process(3, 7)});
  history.add(now);
  const HostTable table = history.table(now, {RowOrder::Growth, 2});
  EXPECT_EQ(pids(table, now), (std::vector<uint32_t>{2, 3}));
  EXPECT_EQ(table.left_out_rows, 1u);
  EXPECT_EQ(table.left_out_rss_bytes, 5u);
  EXPECT_FALSE(table.rows[0].growth);
}

TEST(HostTable, MemoryThatGoesToSwapIsNoShrinking) {
  HostHistory history;
  HostSnapshot now;
  for (uint64_t i = 0; i <= 8; ++i) {
    HostProcess swapped = process(5, 100 * kMiB - i * kMiB);
    swapped.memory.vm_swap_bytes = 3 * i * kMiB;
    now = at(static_cast<int>(i), {swapped});
    history.add(now);
  }
  EXPECT_NEAR(history.table(now, {}).rows[0].growth->per_s.value, 2.0 * kMiB, 1);
}

TEST(HostTable, NumberThatIsUsedAgainIsAnotherProcess) {
  HostHistory history;
  for (int i = 0; i < 8; ++i) history.add(at(i, {process(5, static_cast<uint64_t>(i) * kMiB)}));
  HostProcess other = process(5, 100 * kMiB);
  other.start_ticks = 999;
  const HostSnapshot now = at(8, {other});
  history.add(now);
  EXPECT_FALSE(history.table(now, {}).rows[0].growth);
}

TEST(HostTable, ChildrenStandBelowTheirParentsAndNobodyIsLost) {
  HostHistory history;
  // The parent of 7 is not listed, that of 6 is itself.
  const HostSnapshot now = at(0, {process(1, 10, 0), process(2, 50, 1), process(3, 90, 1), process(4, 70, 2),
                                  process(7, 5, 777), process(6, 6, 6)});
  history.add(now);
  const HostTable table = history.table(now, {RowOrder::Tree, std::nullopt});
  EXPECT_EQ(pids(table, now), (std::vector<uint32_t>{1, 3, 2, 4, 6, 7}));
  std::vector<uint32_t> depths;
  for (const HostRow& row : table.rows) depths.push_back(row.depth);
  EXPECT_EQ(depths, (std::vector<uint32_t>{0, 1, 1, 2, 0, 0}));
}

TEST(HostTable, TimeLeftIsThatOfTheNearestLimitAtTheGrowthOfAllBelowIt) {
  HostHistory history;
  HostSnapshot now;
  for (uint64_t i = 0; i <= 10; ++i) {
    HostProcess one = process(5, 10 * kMiB + i * kMiB / 2), other = process(6, 10 * kMiB + i * kMiB / 2);
    one.cgroup = other.cgroup = "/app";
    now = at(static_cast<int>(10 * i), {one, other, process(7, 1)});
    CgroupMemory app;
    app.name = "/app";
    app.limit_bytes = 64 * kMiB;
    app.use_bytes = 22 * kMiB + i * kMiB;
    now.cgroups["/app"] = {app};
    history.add(now);
  }
  const HostTable table = history.table(now, {});
  EXPECT_EQ(table.rows[0].limit.cgroup, "/app");
  EXPECT_EQ(table.rows[0].limit.room_bytes, 32 * kMiB);
  EXPECT_EQ(table.rows[0].left.outcome, Forecast::Outcome::Exhausts);
  EXPECT_NEAR(table.rows[0].left.seconds.value, 320, 1e-6);
  EXPECT_EQ(table.rows[2].limit.cgroup, "");
  EXPECT_EQ(table.rows[2].left.outcome, Forecast::Outcome::NoneInSight);
}

TEST(HostText, TableHasTheHostTheGrowthAndTheLimit) {
  HostHistory history;
  HostSnapshot now;
  for (uint64_t i = 0; i <= 5; ++i) {
    HostProcess one = process(5, 10 * kMiB + i * kMiB);
    one.comm = "evil\x1b[2J\n";
    now = at(static_cast<int>(i), {one});
    history.add(now);
  }
  now.unreadable = 3;
  now.others_hidden = true;
  const std::string text = host_text(now, history.table(now, {}), TextStyle{});
  for (const char* part : {"host ", "free 1 B", "available 500 MiB", "+3.516 GiB", "15 MiB",
                           "3 processes may not be looked at", "hidepid", "GROWTH/H", "TIME LEFT"})
    EXPECT_NE(text.find(part), std::string::npos) << part << "\n" << text;
  EXPECT_EQ(text.find('\x1b'), std::string::npos);
  EXPECT_EQ(text.find("\xe2\x80\xa6 "), std::string::npos);  // nothing left out, no line says so
}

TEST(HostJson, EveryFieldIsThereAndUnknownOnesAreNull) {
  HostHistory history;
  HostSnapshot now = at(0, {process(5, 4096)});
  now.processes[0].comm = "\xff";
  history.add(now);
  const auto json = nlohmann::json::parse(host_json(now, history.table(now, {})));
  EXPECT_EQ(json["schema"], "alloctrail/ps/1");
  EXPECT_EQ(json["host"]["available_bytes"], 500 * kMiB);
  const auto& row = json["processes"][0];
  EXPECT_EQ(row["pid"], 5);
  EXPECT_EQ(row["comm"], "\xef\xbf\xbd");
  EXPECT_EQ(row["rss_bytes"], 4096);
  EXPECT_TRUE(row["growth_bytes_per_h"].is_null());
  EXPECT_TRUE(row["pss_bytes"].is_null());
  EXPECT_TRUE(row["limit"]["cgroup"].is_null());
  EXPECT_EQ(row["time_left"]["outcome"], "too_early");
  EXPECT_TRUE(row["time_left"]["seconds"]["lower"].is_null());
}

}  // namespace
}  // namespace alloctrail
