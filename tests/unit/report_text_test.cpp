// SPDX-License-Identifier: Apache-2.0
// Whole reports against the files in golden/. Run with ALLOCTRAIL_UPDATE_GOLDEN=1 to write those files anew.
#include "user/output/report_text.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "tests/unit/sample_snapshots.h"

namespace alloctrail {
namespace {

using samples::leaking;
using samples::leaking_before;

std::string read_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

void expect_golden(const std::string& name, const std::string& text) {
  const std::filesystem::path path = std::filesystem::path(GOLDEN_DIR) / (name + ".txt");
  if (std::getenv("ALLOCTRAIL_UPDATE_GOLDEN") != nullptr) std::ofstream(path, std::ios::binary) << text;
  EXPECT_EQ(text, read_file(path)) << path;
}

ReportStyle plain(size_t width) {
  return {{width, Color::Off, Charset::Utf8}, ByteFigures::Scaled};
}

std::string report(const Snapshot& now, const Snapshot* before, const ReportQuery& query, const ReportStyle& style) {
  return report_text(now, report_view(now, before, query), style);
}

size_t widest_line(const std::string& text) {
  std::istringstream lines(text);
  size_t widest = 0;
  for (std::string line; std::getline(lines, line);) widest = std::max(widest, display_width(line));
  return widest;
}

Snapshot with_losses() {
  Snapshot s = leaking();
  s.warnings = {
      "no probe has fired in 4 s: the program may use an allocator that was not found; alloctrail doctor -p 4242 "
      "shows what was",
      "libfoo.so: not hooked: 32-bit"};
  s.counters.lost_live_full_calls = 12'000;
  s.counters.lost_live_full_bytes = 1'200'000;
  s.counters.seen_calls += 12'000;
  s.counters.seen_bytes += 1'200'000;
  s.counters.filtered_calls = 33;
  s.counters.filtered_bytes = 330;
  s.counters.seen_calls += 33;
  s.counters.seen_bytes += 330;
  s.counters.missed_free_calls = 3;
  s.counters.stack_full_calls = 7;
  s.probe_misses = 5;
  s.end = EndReason::Exited;
  return s;
}

class ReportText : public testing::Test {
 protected:
  void SetUp() override { set_zone("UTC"); }
  void TearDown() override { ::unsetenv("TZ"), ::tzset(); }
  static void set_zone(const char* zone) { ::setenv("TZ", zone, 1), ::tzset(); }
};

TEST_F(ReportText, SampledFiguresHaveTheirIntervals) {
  const Snapshot before = leaking_before();
  expect_golden("report_sampled", report(samples::sampled(), &before, {}, plain(100)));
}

TEST_F(ReportText, OneOfThreeThreadsLeaksAt80Columns) {
  const Snapshot before = leaking_before();
  expect_golden("report_80", report(leaking(), &before, {}, plain(80)));
}

TEST_F(ReportText, OneOfThreeThreadsLeaksAt120Columns) {
  const Snapshot before = leaking_before();
  expect_golden("report_120", report(leaking(), &before, {}, plain(120)));
}

TEST_F(ReportText, FirstReportIntoAFileIsNotCut) {
  expect_golden("report_file", report(leaking(), nullptr, {}, plain(0)));
}

TEST_F(ReportText, TopRowsOfOneThreadWithAllFramesAndExactBytes) {
  ReportStyle style = plain(100);
  style.bytes = ByteFigures::Exact;
  expect_golden("report_one_thread", report(leaking(), nullptr, {1, Tid{4244}, FrameChoice::All}, style));
}

TEST_F(ReportText, IdleProcessSaysSo) {
  expect_golden("report_idle", report(samples::idle(), nullptr, {}, plain(80)));
}

TEST_F(ReportText, LossesAndWarningsAreLoudAndWhole) {
  expect_golden("report_losses", report(with_losses(), nullptr, {1, std::nullopt, FrameChoice::Callers}, plain(80)));
}

TEST_F(ReportText, OlderBlocksRankAndTheTablesSayIt) {
  Snapshot now = leaking();
  now.older_than = std::chrono::seconds(60);
  now.threads[2].older = now.sites[2].older = {1'000'000, 10'000};
  expect_golden("report_older", report(now, nullptr, {}, plain(100)));
}

// Two requests that leak through different lines, a cache, a stack that was cut, one without frames.
Snapshot with_calls() {
  Snapshot s = leaking();
  const Stack leak = samples::leak_stack();
  std::vector<Frame> other(leak.frames.begin(), leak.frames.end());
  other[2] = samples::frame(0x401340, "OrderBook::cancel(Order const&)", "/src/orders/order_book.cpp", 131);
  s.stacks.push_back({other, AT_STACK_complete});
  s.stacks.push_back({{leak.frames[0], leak.frames[2], leak.frames[3]}, AT_STACK_no_rule});
  s.stacks.push_back({{}, AT_STACK_scratch_busy});
  s.sites.push_back({2, 2, {2'000'000, 20'000}, {}, {}});
  s.sites.push_back({2, 3, {4'096, 1}, {}, {}});
  s.sites.push_back({2, 4, {100, 1}, {}, {}});
  s.counters.seen_calls += 20'002;
  s.counters.seen_bytes += 2'004'196;
  s.counters.tracked_calls += 20'002;
  s.counters.tracked_bytes += 2'004'196;
  return s;
}

ReportQuery tree_query() {
  ReportQuery query;
  query.stacks = StackLayout::Tree;
  return query;
}

TEST_F(ReportText, CallTreeMergesCallers) {
  const Snapshot before = leaking_before();
  expect_golden("report_tree", report(with_calls(), &before, tree_query(), plain(100)));
}

TEST_F(ReportText, CallTreeOfTheTopPlacesInAsciiSaysWhatIsLeftOut) {
  ReportQuery query = tree_query();
  query.top = 2;
  ReportStyle style = plain(70);
  style.text.charset = Charset::Ascii;
  expect_golden("report_tree_top", report(with_calls(), nullptr, query, style));
}

TEST_F(ReportText, IdleProcessHasNoCallTree) {
  const std::string text = report(samples::idle(), nullptr, tree_query(), plain(80));
  EXPECT_NE(text.find("CALL TREE by outstanding bytes\nnothing is outstanding\n"), std::string::npos) << text;
}

TEST_F(ReportText, HostileNamesStayOnTheirLineAndInTheirColumn) {
  Snapshot now = leaking();
  now.process.command = "evil\n\x1b[2J\x1b]0;title\x07 --name=\xff\xfe";
  now.threads[0].name = "\x1b[31mred";
  now.threads[1].name = "\xe6\xbc\xa2\xe5\xad\x97\xe2\x80\xae";
  now.threads[2].name = "two\nlines\r";
  now.stacks[0] = {
      {samples::frame(1, "f\x1b[0m()", "/src/\xf0\x9f\x98\x80/a\tb.c", 1),
       samples::bare_frame(2, std::string("nul\0nul", 7), "/lib/\x9b.so", 2), samples::bare_frame(3, "", "", 0)},
      AT_STACK_fault};
  now.warnings = {"can not read /tmp/\x1b[1m\n"};
  const std::string text = report(now, nullptr, {}, plain(80));
  EXPECT_EQ(text.find('\x1b'), std::string::npos);
  expect_golden("report_hostile", text);
}

TEST_F(ReportText, NothingIsWiderThanTheScreen) {
  const Snapshot before = leaking_before();
  for (size_t width = 20; width <= 160; ++width) {
    // Sentences are wrapped, so their longest piece is the limit.
    EXPECT_LE(widest_line(report(with_losses(), &before, {}, plain(width))), std::max(width, size_t{65})) << width;
    EXPECT_LE(widest_line(report(leaking(), &before, {}, plain(width))), std::max(width, size_t{45})) << width;
    EXPECT_LE(widest_line(report(with_calls(), &before, tree_query(), plain(width))), std::max(width, size_t{45})) << width;
  }
}

TEST_F(ReportText, ColoursAddNothingButEscapes) {
  const Snapshot before = leaking_before();
  const Snapshot now = with_losses();
  for (const size_t width : {size_t{40}, size_t{80}, size_t{0}}) {
    ReportStyle style = plain(width);
    const std::string without = report(now, &before, {}, style);
    style.text.color = Color::On;
    std::string with = report(now, &before, {}, style);
    EXPECT_NE(with, without);
    for (size_t at = with.find('\x1b'); at != std::string::npos; at = with.find('\x1b')) {
      with.erase(at, with.find('m', at) + 1 - at);
    }
    EXPECT_EQ(with, without);
  }
}

TEST_F(ReportText, AsciiTerminalsGetAsciiOnly) {
  ReportStyle style = plain(60);
  style.text.charset = Charset::Ascii;
  Snapshot now = leaking();
  now.threads[0].name = "\xe6\xbc\xa2";
  for (const char c : report(now, nullptr, {1, std::nullopt, FrameChoice::Callers}, style)) {
    EXPECT_TRUE(c == '\n' || (c >= 0x20 && c < 0x7f)) << static_cast<int>(c);
  }
}

TEST_F(ReportText, AnAccountThatDoesNotBalanceIsSaid) {
  Snapshot now = leaking();
  now.counters.seen_calls -= 5;
  const std::string text = report(now, nullptr, {}, plain(0));
  EXPECT_NE(text.find("NOT BALANCED"), std::string::npos);
  EXPECT_NE(text.find("(+ in flight -3)"), std::string::npos);
  EXPECT_EQ(report(leaking(), nullptr, {}, plain(0)).find("NOT BALANCED"), std::string::npos);
}

TEST_F(ReportText, DeepStacksAreCutUnlessAllFramesAreAskedFor) {
  Snapshot now = leaking();
  std::vector<Frame> frames;
  for (uint64_t i = 0; i < 250; ++i) frames.push_back(samples::frame(0x1000 + i, "recurse(int)", "/src/r.c", 7));
  now.stacks[0] = {frames, AT_STACK_truncated};
  const auto count = [](const std::string& text) {
    size_t lines = 0;
    for (size_t at = text.find("/src/r.c:7"); at != std::string::npos; at = text.find("/src/r.c:7", at + 1)) ++lines;
    return lines;
  };
  const std::string cut = report(now, nullptr, {}, plain(80));
  EXPECT_EQ(count(cut), 40u);
  EXPECT_NE(cut.find("(210 more frames; --full-stacks shows them)"), std::string::npos);
  EXPECT_NE(cut.find("(the stack ends here: deeper than the frame limit)"), std::string::npos);
  EXPECT_EQ(count(report(now, nullptr, {std::nullopt, std::nullopt, FrameChoice::All}, plain(80))), 250u);
}

}  // namespace
}  // namespace alloctrail
