// SPDX-License-Identifier: Apache-2.0
// Reports of OOM kills and of what precedes them, as text and as JSON.
#include <gtest/gtest.h>

#include <cstdlib>
#include <ctime>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "tests/unit/sample_snapshots.h"
#include "user/output/oom_json.h"
#include "user/output/oom_text.h"
#include "user/output/reclaim_text.h"

namespace alloctrail {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

const TextStyle kPlain{.width = 0, .color = Color::Off, .charset = Charset::Utf8};

Stack stack_of(std::initializer_list<const char*> functions, at_stack_status status = AT_STACK_complete) {
  std::vector<Frame> frames;
  uint64_t address = 0x1000;
  for (const char* function : functions)
    frames.push_back({.address = Addr(address += 0x10),
                      .function = function,
                      .module = "/srv/demo",
                      .module_offset = address,
                      .file = "demo.cpp",
                      .line = static_cast<uint32_t>(frames.size() + 1)});
  return {.frames = frames, .status = status};
}

/// Killed at its own limit by one of its own threads.
OomReport own_limit() {
  OomReport report;
  report.number = 3;
  report.time = std::chrono::system_clock::time_point(std::chrono::seconds(1'700'000'000));
  report.reason = OomReason::CgroupLimit;
  report.pid = Tgid{4242};
  report.comm = "demo";
  report.command = "/srv/demo --port 80";
  report.uid = 1000;
  report.oom_score_adj = -5;
  report.trigger_pid = Tgid{4242};
  report.trigger_tid = Tid{4244};
  report.trigger_comm = "parser";
  report.trigger_state = "running";
  report.stacks = {stack_of({"leak", "parse", "run"}), stack_of({"wait", "run"})};
  report.trigger_stack = 0;
  report.kernel_stack = {"oom_kill_process", "out_of_memory", "handle_mm_fault"};
  report.cgroups = {{.path = "/app/demo", .usage_bytes = 32u << 20, .limit_bytes = 32u << 20, .kernel_bytes = 1u << 20},
                    {.path = "/app", .usage_bytes = 64u << 20, .limit_bytes = {}, .kernel_bytes = 2u << 20}};
  report.full_cgroup = 0;
  report.usage = OomUsage{.path = "/app/demo",
                          .use_bytes = 31u << 20,
                          .anon_bytes = 29u << 20,
                          .file_bytes = 1u << 20,
                          .shmem_bytes = 0,
                          .kernel_bytes = 1u << 20,
                          .after_kill = microseconds(850)};
  report.figures = {{.name = "VmSize", .bytes = 100u << 20},
                    {.name = "VmRSS", .bytes = 30u << 20, .certainty = Certainty::Approximate}};
  report.rss_bytes = 30u << 20;
  report.memory_error_bytes = 256u << 10;
  report.thread_count = 4;
  report.threads = {{.tid = Tid{4242}, .name = "demo", .state = "in futex", .stack = 1},
                    {.tid = Tid{4244}, .name = "parser", .state = "running", .stack = 0, .trigger = true},
                    {.tid = Tid{4245}, .name = "idle", .state = "in futex", .stack = 1}};
  report.death_took = milliseconds(12);
  report.losses = {.threads_not_seen = 1, .stacks_cut = 0, .records_dropped = 0, .late_calls = 17};
  return report;
}

/// Another process asked for memory under a limit above the victim's cgroup; nothing was known of the victim.
OomReport limit_above() {
  OomReport report = own_limit();
  report.comm = "\x1b[31mred";
  report.command.clear();
  report.trigger_pid = Tgid{99};
  report.trigger_tid = Tid{99};
  report.trigger_comm = "other";
  report.trigger_state = "in write";
  report.cgroups[1].limit_bytes = 64u << 20;
  report.full_cgroup = 1;
  report.usage.reset();
  report.mappings_seen = false;
  report.stacks[1].status = AT_STACK_frame_pointers;
  for (OomThread& thread : report.threads) thread.trigger = false;
  report.thread_count = 3;
  report.losses = {};
  report.notes = {"the process was gone before its mappings could be read"};
  return report;
}

ReclaimNotice notice() {
  return {.time = std::chrono::system_clock::time_point(std::chrono::seconds(1'700'000'000)),
          .pid = Tgid{4242},
          .tid = Tid{4244},
          .thread = "parser",
          .state = "running",
          .stack = stack_of({"leak", "parse", "run"})};
}

LimitView limit() {
  return {.nearest = {.cgroup = "/app/demo",
                      .limit_bytes = 32u << 20,
                      .use_bytes = 30u << 20,
                      .swap_bytes = 0,
                      .room_bytes = 2u << 20},
          .left = {.outcome = Forecast::Outcome::Exhausts, .seconds = {90, 80, 100}},
          .warned_percent = {}};
}

class OomReportText : public testing::Test {
 protected:
  void SetUp() override { ::setenv("TZ", "UTC", 1), ::tzset(); }
  void TearDown() override { ::unsetenv("TZ"), ::tzset(); }
};

/// Every one of these stands in the text, in this order.
void expect_in_order(const std::string& text, std::initializer_list<const char*> pieces) {
  size_t at = 0;
  for (const char* piece : pieces) {
    const size_t found = text.find(piece, at);
    ASSERT_NE(found, std::string::npos) << piece << "\nis missing, or not in its place, in\n" << text;
    at = found + std::string_view(piece).size();
  }
}

TEST_F(OomReportText, KillAtTheOwnLimit) {
  expect_in_order(oom_text(own_limit(), FrameChoice::All, kPlain),
                  {"OOM KILL of demo (pid 4242)   2023-11-14T22:13:20.000Z\n",
                   "why       the victim's memory cgroup, /app/demo, was at its limit: 32 MiB of 32 MiB used",
                   "victim    /srv/demo --port 80, pid 4242, uid 1000, oom_score_adj -5, threads 4, cgroup /app/demo\n",
                   "trigger   parser (tid 4244) of the victim itself, running\n", "death     its last thread was gone 12 ms",
                   "VmSize 100 MiB  VmRSS ~30 MiB  Threads 4\n", "off by at most 256 KiB each\n", "/app/demo", "32 MiB",
                   "/app ", "64 MiB", "-", "/app/demo, ", "after the kill: 31 MiB used, of it anon 29 MiB, file 1 MiB, shmem 0 B",
                   "ALLOCATION that failed: parser (4244)\n", "leak", "parse", "run",
                   "kernel: oom_kill_process < out_of_memory < handle_mm_fault\n", "THREADS at death: 3 of 4\n",
                   "1. parser (4244, the trigger), running\n", "leak", "2. demo (4242), idle (4245), in futex\n", "wait",
                   "LOST: 1 threads not seen\n", "LOST: 17 allocator calls after the kill, not accounted\n"});
}

TEST_F(OomReportText, KillAtALimitAboveByAnotherProcess) {
  const std::string text = oom_text(limit_above(), FrameChoice::All, kPlain);
  expect_in_order(text, {"a memory cgroup above the victim's, /app, was at its limit", "of another process, pid 99, in write\n",
                         "NOTE: the process was gone before its mappings could be read", "THREADS at death: 3 of 3\n",
                         "nothing lost: every thread was seen"});
  EXPECT_EQ(text.find('\x1b'), std::string::npos);
  EXPECT_EQ(text.find("after the kill:"), std::string::npos);
}

TEST_F(OomReportText, TracedVictimWithWhatGrewInTheEnd) {
  OomReport report = own_limit();
  report.accounting = samples::leaking();
  report.earlier = samples::leaking_before();
  expect_in_order(oom_text(report, FrameChoice::All, kPlain),
                  {"OUTSTANDING ALLOCATIONS as of the kill; changes and rates are those of the last 2 s\n", "change +"});
}

TEST_F(OomReportText, AProcessThatWasDyingAnywayWasNotKilled) {
  OomReport report = own_limit();
  report.reason = OomReason::Exiting;
  const std::string text = oom_text(report, FrameChoice::All, kPlain);
  EXPECT_EQ(text.find("OOM KILL"), std::string::npos);
  EXPECT_NE(text.find("the process was dying already"), std::string::npos);
}

TEST(OomReportJson, IsCompleteAndValid) {
  OomReport report = own_limit();
  const auto json = nlohmann::json::parse(oom_json(report));
  EXPECT_EQ(json.at("schema"), "alloctrail/oom/1");
  EXPECT_EQ(json.at("reason"), "cgroup_limit");
  EXPECT_EQ(json.at("cgroups").at(0).at("full"), true);
  EXPECT_EQ(json.at("cgroups").at(1).at("full"), false);
  EXPECT_TRUE(json.at("cgroups").at(1).at("limit_bytes").is_null());
  EXPECT_EQ(json.at("usage").at("anon_bytes"), 29u << 20);
  EXPECT_EQ(json.at("usage").at("after_kill_ns"), 850'000);
  EXPECT_EQ(json.at("figures").at("VmRSS").at("exact"), false);
  EXPECT_EQ(json.at("threads").size(), 3u);
  EXPECT_EQ(json.at("stacks").at(0).at("frames").size(), 3u);
  EXPECT_EQ(json.at("losses").at("late_calls"), 17);
  EXPECT_TRUE(json.at("accounting").is_null());
  EXPECT_EQ(json.at("changes_since_ns"), 0);
  report.accounting = samples::leaking();
  report.earlier = samples::leaking_before();
  const auto traced = nlohmann::json::parse(oom_json(report));
  EXPECT_EQ(traced.at("accounting").at("schema"), "alloctrail/report/1");
  EXPECT_EQ(traced.at("changes_since_ns"), (report.accounting->elapsed - report.earlier->elapsed).count());
  EXPECT_FALSE(traced.at("accounting").at("totals").at("change_bytes").is_null());
}

TEST(OomReportJson, NamesMayHoldAnyBytes) {
  OomReport report = limit_above();
  report.comm = "\xff\xfe";
  EXPECT_TRUE(nlohmann::json::accept(oom_json(report)));
}

TEST(ReclaimNotice, AsTextAndJson) {
  const std::string text = reclaim_text(notice(), limit(), FrameChoice::All, kPlain);
  EXPECT_NE(text.find("AT THE LIMIT: process 4242   2023-11-14T22:13:20.000Z\n"), std::string::npos) << text;
  EXPECT_NE(text.find("the kernel takes memory back to let parser (tid 4244) go on, running\n"), std::string::npos) << text;
  EXPECT_NE(text.find("time left"), std::string::npos) << text;
  const auto json = nlohmann::json::parse(reclaim_json(notice(), limit()));
  EXPECT_EQ(json.at("schema"), "alloctrail/reclaim/1");
  EXPECT_EQ(json.at("nearest_limit").at("room_bytes"), 2u << 20);
  EXPECT_EQ(json.at("thread").at("name"), "parser");
  EXPECT_EQ(json.at("stack").at("frames").size(), 3u);
}

}  // namespace
}  // namespace alloctrail
