// SPDX-License-Identifier: Apache-2.0
#include "user/output/report_json.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <set>

#include "tests/unit/sample_snapshots.h"

namespace alloctrail {
namespace {

using nlohmann::json;
using samples::leaking;
using samples::leaking_before;

json parsed(const Snapshot& now, const Snapshot* before = nullptr, const ReportQuery& query = {}) {
  const std::string text = report_json(now, report_view(now, before, query));
  EXPECT_EQ(text.find('\n'), std::string::npos);
  return json::parse(text);
}

std::set<std::string> keys(const json& object) {
  std::set<std::string> names;
  for (const auto& [name, value] : object.items()) names.insert(name);
  return names;
}

TEST(ReportJson, TheObjectHasExactlyTheDocumentedFields) {
  const json report = parsed(leaking());
  EXPECT_EQ(keys(report),
            (std::set<std::string>{"schema", "time", "elapsed_s", "end", "warnings", "process", "totals", "threads",
                                   "threads_left_out", "sites", "sites_left_out", "accounting", "probes"}));
  EXPECT_EQ(keys(report["process"]),
            (std::set<std::string>{"pid", "comm", "command", "rss_bytes", "vm_data_bytes", "vm_size_bytes", "threads",
                                   "vm_peak_bytes", "vm_hwm_bytes", "vm_lck_bytes", "vm_stk_bytes", "vm_exe_bytes",
                                   "vm_lib_bytes", "vm_pte_bytes", "vm_swap_bytes", "rss_anon_bytes", "rss_file_bytes",
                                   "rss_shmem_bytes"}));
  const std::set<std::string> figures = {"outstanding_bytes", "outstanding_blocks", "allocated_bytes",
                                         "allocated_blocks",  "freed_bytes",        "freed_blocks",
                                         "change_bytes",      "change_blocks"};
  std::set<std::string> totals = figures;
  totals.insert({"allocated_bytes_per_s", "allocated_blocks_per_s", "freed_bytes_per_s", "freed_blocks_per_s"});
  EXPECT_EQ(keys(report["totals"]), totals);
  std::set<std::string> thread = totals;
  thread.insert({"tid", "name", "alive", "share"});
  EXPECT_EQ(keys(report["threads"][0]), thread);
  std::set<std::string> site = figures;
  site.insert({"tid", "thread", "name", "stack_status", "stack"});
  EXPECT_EQ(keys(report["sites"][0]), site);
  EXPECT_EQ(keys(report["sites"][0]["stack"][0]),
            (std::set<std::string>{"address", "function", "module", "module_offset", "file", "line", "inlined",
                                   "allocator"}));
  EXPECT_EQ(keys(report["probes"][0]), (std::set<std::string>{"function", "module", "offset", "kind", "site", "hits"}));
}

TEST(ReportJson, SampledFiguresHaveTheirIntervals) {
  const json report = parsed(samples::sampled());
  EXPECT_EQ(report["sampling"], (json{{"rate_bytes", 65'536}, {"highest_rate_bytes", 65'536}}));
  for (const json* row : {&report["totals"], &report["threads"][0], &report["sites"][0]})
    for (const char* what : {"outstanding", "allocated", "freed"})
      for (const char* unit : {"_bytes", "_blocks"}) {
        const std::string name = std::string(what) + unit;
        EXPECT_LE((*row)[name + "_low"], (*row)[name]) << name;
        EXPECT_GE((*row)[name + "_high"], (*row)[name]) << name;
      }
  EXPECT_EQ(report["sites"][0]["outstanding_samples"], 193);
  EXPECT_LT(report["sites"][0]["outstanding_bytes_low"], report["sites"][0]["outstanding_bytes"]);
  const json& exact = report["threads"][1];
  EXPECT_EQ(exact["name"], "orders");
  EXPECT_EQ(exact["outstanding_bytes_low"], exact["outstanding_bytes_high"]);
  const json& freed = report["threads"][2];
  EXPECT_EQ(freed["outstanding_bytes"], 0);
  EXPECT_EQ(freed["outstanding_bytes_high"], 241'755) << "3.69 rates";
  EXPECT_TRUE(report["accounting"]["balanced"].get<bool>()) << report["accounting"];
  EXPECT_EQ(report["accounting"]["live_blocks"], 493);
}

TEST(ReportJson, HeadAndTotalsHoldTheSnapshotsFigures) {
  const Snapshot before = leaking_before();
  const json report = parsed(leaking(), &before);
  EXPECT_EQ(report["schema"], "alloctrail/report/1");
  EXPECT_EQ(report["time"], "2025-02-03T04:05:06.789Z");
  EXPECT_EQ(report["elapsed_s"], 4.0);
  EXPECT_EQ(report["end"], nullptr);
  EXPECT_EQ(report["warnings"], json::array());
  EXPECT_EQ(report["process"], (json{{"pid", 4242},
                                     {"comm", "orders"},
                                     {"command", "/usr/bin/orders --threads 3 --config /etc/orders/production.conf"},
                                     {"rss_bytes", 35'861'299},
                                     {"vm_data_bytes", 220'200'960},
                                     {"vm_size_bytes", 1'288'490'188},
                                     {"threads", 4},
                                     {"vm_peak_bytes", 0},
                                     {"vm_hwm_bytes", 0},
                                     {"vm_lck_bytes", 0},
                                     {"vm_stk_bytes", 0},
                                     {"vm_exe_bytes", 0},
                                     {"vm_lib_bytes", 0},
                                     {"vm_pte_bytes", 0},
                                     {"vm_swap_bytes", 0},
                                     {"rss_anon_bytes", 0},
                                     {"rss_file_bytes", 0},
                                     {"rss_shmem_bytes", 0}}));
  EXPECT_EQ(report["totals"], (json{{"outstanding_bytes", 13'046'480},
                                    {"outstanding_blocks", 125'400},
                                    {"allocated_bytes", 103'614'400},
                                    {"allocated_blocks", 1'234'600},
                                    {"freed_bytes", 90'567'920},
                                    {"freed_blocks", 1'109'200},
                                    {"change_bytes", 6'342'240},
                                    {"change_blocks", 62'498},
                                    {"allocated_bytes_per_s", 25'102'400.0},
                                    {"allocated_blocks_per_s", 306'350.0},
                                    {"freed_bytes_per_s", 21'931'280.0},
                                    {"freed_blocks_per_s", 275'101.0}}));
}

TEST(ReportJson, ThreadsAndSitesAreRankedAndComplete) {
  const Snapshot before = leaking_before();
  const json report = parsed(leaking(), &before);
  ASSERT_EQ(report["threads"].size(), 3u);
  const json& worker = report["threads"][0];
  EXPECT_EQ(worker["tid"], 4244);
  EXPECT_EQ(worker["name"], "worker-2");
  EXPECT_EQ(worker["alive"], true);
  EXPECT_EQ(worker["outstanding_bytes"], 12'689'280);
  EXPECT_EQ(worker["change_blocks"], 62'500);
  EXPECT_EQ(worker["freed_bytes_per_s"], 21'827'680.0);
  EXPECT_EQ(report["threads"][2]["alive"], false);
  ASSERT_EQ(report["sites"].size(), 4u);
  const json& site = report["sites"][0];
  EXPECT_EQ(site["tid"], 4244);
  EXPECT_EQ(site["thread"], "worker-2");
  EXPECT_EQ(site["outstanding_blocks"], 125'000);
  EXPECT_EQ(site["allocated_bytes"], 12'689'280);
  EXPECT_EQ(site["name"], "OrderBook::add");
  EXPECT_EQ(site["stack_status"], "complete");
  EXPECT_EQ(report["threads_left_out"], (json{{"rows", 0}, {"bytes", 0}, {"blocks", 0}}));
}

TEST(ReportJson, CallTreeIsThereOnDemandDepthFirst) {
  EXPECT_FALSE(parsed(leaking()).contains("call_tree"));
  ReportQuery query;
  query.stacks = StackLayout::Tree;
  query.top = 1;
  const Snapshot before = leaking_before();
  const json report = parsed(leaking(), &before, query);
  const json& tree = report["call_tree"];
  ASSERT_EQ(tree.size(), 4u);
  for (size_t i = 0; i < 4; ++i) EXPECT_EQ(tree[i]["depth"], i);
  EXPECT_EQ(tree[0]["frame"]["function"], "start_thread");
  EXPECT_EQ(tree[0]["bytes"], 12'739'280);
  EXPECT_EQ(tree[0]["blocks"], 125'100);
  EXPECT_EQ(tree[0]["own_bytes"], 0);
  EXPECT_EQ(tree[0]["change_bytes"], 6'344'640);
  EXPECT_EQ(tree[0]["stack_status"], "complete");
  EXPECT_EQ(tree[3]["frame"]["function"], "OrderBook::add(Order const&)");
  EXPECT_EQ(tree[3]["frame"]["line"], 88);
  EXPECT_EQ(tree[3]["own_blocks"], 125'100);
  EXPECT_EQ(tree[3]["left_out"], (json{{"rows", 0}, {"bytes", 0}, {"blocks", 0}}));
  EXPECT_EQ(keys(tree[0]), (std::set<std::string>{"depth", "bytes", "blocks", "own_bytes", "own_blocks", "change_bytes",
                                                  "change_blocks", "stack_status", "left_out", "frame"}));
  EXPECT_EQ(report["call_tree_left_out"], (json{{"rows", 1}, {"bytes", 307'200}, {"blocks", 300}}));
  EXPECT_EQ(report["call_tree_frameless"], (json{{"bytes", 0}, {"blocks", 0}}));
}

TEST(ReportJson, StacksStartAtTheCallerAndAddressesAreHexStrings) {
  const json stack = parsed(leaking())["sites"][0]["stack"];
  ASSERT_EQ(stack.size(), 4u);
  EXPECT_EQ(stack[0], (json{{"address", "0x401320"},
                            {"function", "OrderBook::add(Order const&)"},
                            {"module", "/usr/bin/orders"},
                            {"module_offset", "0x1320"},
                            {"file", "/src/orders/order_book.cpp"},
                            {"line", 88},
                            {"inlined", true},
                            {"allocator", false}}));
  EXPECT_EQ(stack[2], (json{{"address", "0x401500"},
                            {"function", ""},
                            {"module", "/usr/bin/orders"},
                            {"module_offset", "0x1500"},
                            {"file", ""},
                            {"line", 0},
                            {"inlined", false},
                            {"allocator", false}}));
  const json all = parsed(leaking(), nullptr, {std::nullopt, std::nullopt, FrameChoice::All})["sites"][0]["stack"];
  ASSERT_EQ(all.size(), 6u);
  EXPECT_EQ(all[0]["function"], "malloc");
  EXPECT_EQ(all[1]["allocator"], true);
  EXPECT_EQ(all[2]["allocator"], false);
}

TEST(ReportJson, WithoutAReportBeforeChangesAreNull) {
  const json report = parsed(leaking());
  EXPECT_EQ(report["totals"]["change_bytes"], nullptr);
  EXPECT_EQ(report["threads"][0]["change_blocks"], nullptr);
  EXPECT_EQ(report["sites"][0]["change_bytes"], nullptr);
}

TEST(ReportJson, AccountingHoldsEveryCounterAndTheIdentities) {
  Snapshot now = leaking();
  now.probe_misses = 9;
  const json account = parsed(now)["accounting"];
  at_counters count = now.counters;
#define EXPECT_COUNTER(name, sentence) EXPECT_EQ(account[#name], count.name) << #name;
  AT_COUNTERS(EXPECT_COUNTER)
#undef EXPECT_COUNTER
  EXPECT_EQ(account["live_blocks"], 125'400);
  EXPECT_EQ(account["live_bytes"], 13'046'480);
  EXPECT_EQ(account["freed_blocks"], 1'109'200);
  EXPECT_EQ(account["freed_bytes"], 90'567'920);
  EXPECT_EQ(account["lost_calls"], 0);
  EXPECT_EQ(account["lost_bytes"], 0);
  EXPECT_EQ(account["in_flight_calls"], 2);
  EXPECT_EQ(account["in_flight_bytes"], 64);
  EXPECT_EQ(account["untracked_calls"], 0);
  EXPECT_EQ(account["unmatched_releases"], 0);
  EXPECT_EQ(account["probe_misses"], 9);
  EXPECT_EQ(account["balanced"], true);
  now.counters.seen_calls = 0;
  EXPECT_EQ(parsed(now)["accounting"]["balanced"], false);
}

TEST(ReportJson, ProbesNameTheirSiteAndHits) {
  const json report = parsed(leaking());
  ASSERT_EQ(report["probes"].size(), 2u);
  EXPECT_EQ(report["probes"][1], (json{{"function", "free"},
                                       {"module", samples::kLibc},
                                       {"offset", "0x89729"},
                                       {"kind", "session"},
                                       {"site", "+9: push %rbp, past a test that would be single-stepped"},
                                       {"hits", 1'109'212}}));
}

TEST(ReportJson, OptionalFieldsAppearWhenAskedFor) {
  Snapshot now = leaking();
  now.older_than = std::chrono::milliseconds(1500);
  now.threads[2].older = now.sites[2].older = {77, 7};
  now.end = EndReason::Exited;
  now.warnings = {"look out"};
  const json report = parsed(now, nullptr, {1, Tid{4244}, FrameChoice::Callers});
  EXPECT_EQ(report["older_than_s"], 1.5);
  EXPECT_EQ(report["only_tid"], 4244);
  EXPECT_EQ(report["end"], "exited");
  EXPECT_EQ(report["warnings"], json::array({"look out"}));
  EXPECT_EQ(report["threads"][0]["older_bytes"], 77);
  EXPECT_EQ(report["totals"]["older_blocks"], 7);
  EXPECT_EQ(report["sites"][0]["older_bytes"], 77);
  EXPECT_EQ(report["sites_left_out"], (json{{"rows", 1}, {"bytes", 0}, {"blocks", 0}}));
}

TEST(ReportJson, AnyBytesInNamesBecomeValidUtf8) {
  Snapshot now = leaking();
  now.process.comm = "\xff\xfe";
  now.process.command =
      "a\xc0\xaf"
      "b \x1b \n \"quoted\"";
  now.threads[2].name = "\xed\xa0\x80";
  now.stacks[0] = {{samples::frame(1, "f\x80", "/src/\xe6\xbc", 1), samples::frame(2, "g\"\\\n", "", 0)},
                   AT_STACK_complete};
  now.warnings = {"\xf5"};
  now.probes[0].module = "/\xff";
  const json report = parsed(now);
  EXPECT_EQ(report["process"]["comm"], "\xef\xbf\xbd\xef\xbf\xbd");
  EXPECT_EQ(report["process"]["command"].get<std::string>().substr(0, 1), "a");
  EXPECT_NE(report["process"]["command"].get<std::string>().find("b \x1b \n \"quoted\""), std::string::npos);
  EXPECT_EQ(report["sites"][0]["stack"][0]["function"], "f\xef\xbf\xbd");
  EXPECT_EQ(report["sites"][0]["stack"][1]["function"], "g\"\\\n");
}

TEST(ReportJson, LargeFiguresStayExact) {
  Snapshot now = leaking();
  now.counters.seen_bytes = UINT64_MAX;
  now.process.memory.vm_size_bytes = UINT64_MAX - 1;
  const json report = parsed(now);
  EXPECT_EQ(report["accounting"]["seen_bytes"].get<uint64_t>(), UINT64_MAX);
  EXPECT_EQ(report["process"]["vm_size_bytes"].get<uint64_t>(), UINT64_MAX - 1);
}

TEST(ReportJson, AnIdleProcessIsAnObjectToo) {
  const json report = parsed(samples::idle());
  EXPECT_EQ(report["threads"], json::array());
  EXPECT_EQ(report["sites"], json::array());
  EXPECT_EQ(report["totals"]["outstanding_bytes"], 0);
}

TEST(JsonDocument, ObjectsBecomeOneArray) {
  JsonDocument document;
  std::string text = document.add(R"({"a":1})");
  text += document.add(R"({"a":2})");
  text += document.finish();
  EXPECT_EQ(json::parse(text), (json::array({{{"a", 1}}, {{"a", 2}}})));
  EXPECT_EQ(text.back(), '\n');
  EXPECT_EQ(json::parse(JsonDocument().finish()), json::array());
}

}  // namespace
}  // namespace alloctrail
