// SPDX-License-Identifier: Apache-2.0
// Whole screens against the files in golden/. Run with ALLOCTRAIL_UPDATE_GOLDEN=1 to write those files anew.
#include <gtest/gtest.h>

#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "tests/unit/live_view_samples.h"
#include "user/tui/key_bindings.h"

namespace alloctrail {
namespace {

using samples::leak_in_steps;
using samples::on_page;
using samples::scene_of;
using samples::shown;

void expect_golden(const std::string& name, const std::string& text) {
  const std::filesystem::path path = std::filesystem::path(GOLDEN_DIR) / ("top_" + name + ".txt");
  if (std::getenv("ALLOCTRAIL_UPDATE_GOLDEN") != nullptr) std::ofstream(path, std::ios::binary) << text;
  std::ostringstream expected;
  expected << std::ifstream(path, std::ios::binary).rdbuf();
  EXPECT_EQ(text, expected.str()) << path;
}

class LiveViewGolden : public testing::Test {
 protected:
  void SetUp() override { ::setenv("TZ", "UTC", 1), ::tzset(); }
  void TearDown() override { ::unsetenv("TZ"), ::tzset(); }
};

TEST_F(LiveViewGolden, ThreadsAt80Columns) {
  expect_golden("threads_80x24", shown(*scene_of(leak_in_steps()), on_page(Page::Threads), 80, 24));
}

TEST_F(LiveViewGolden, ThreadsAt120Columns) {
  expect_golden("threads_120x40", shown(*scene_of(leak_in_steps()), on_page(Page::Threads), 120, 40));
}

TEST_F(LiveViewGolden, ThreadsAt40Columns) {
  expect_golden("threads_40x10", shown(*scene_of(leak_in_steps()), on_page(Page::Threads), 40, 10));
}

TEST_F(LiveViewGolden, StacksAt80Columns) {
  expect_golden("stacks_80x24", shown(*scene_of(leak_in_steps()), on_page(Page::Stacks), 80, 24));
}

TEST_F(LiveViewGolden, StacksAt120Columns) {
  expect_golden("stacks_120x40", shown(*scene_of(leak_in_steps()), on_page(Page::Stacks), 120, 40));
}

TEST_F(LiveViewGolden, CallTree) {
  expect_golden("tree_80x24", shown(*scene_of(leak_in_steps()), on_page(Page::CallTree), 80, 24));
}

TEST_F(LiveViewGolden, OneStack) {
  expect_golden("stack_80x24", shown(*scene_of(leak_in_steps()), on_page(Page::StackDetail), 80, 24));
}

TEST_F(LiveViewGolden, ProcessAndItsFields) {
  expect_golden("process_80x60", shown(*scene_of(leak_in_steps()), on_page(Page::Process), 80, 60));
}

TEST_F(LiveViewGolden, ProbesAndLosses) {
  std::vector<Snapshot> steps = leak_in_steps();
  steps.back().counters.lost_live_full_calls = 12'000;
  steps.back().counters.lost_live_full_bytes = 1'200'000;
  steps.back().counters.seen_calls += 12'000;
  steps.back().counters.seen_bytes += 1'200'000;
  steps.back().probe_misses = 5;
  expect_golden("probes_80x24", shown(*scene_of(std::move(steps)), on_page(Page::Probes), 80, 24));
}

TEST_F(LiveViewGolden, NothingYet) { expect_golden("nothing_80x24", shown(Scene{}, ViewState{}, 80, 24)); }

TEST_F(LiveViewGolden, IdleProcess) {
  expect_golden("idle_80x24", shown(*scene_of({samples::idle()}), ViewState{}, 80, 24));
}

TEST_F(LiveViewGolden, TenThousandThreads) {
  ViewState state;
  const auto scene = scene_of({samples::many_threads(10'000)});
  const Drawn before = draw(*scene, state, {80, 24});
  press(state, Key{.kind = Key::Kind::End}, scene, before);
  expect_golden("many_threads_80x24", shown(*scene, state, 80, 24));
}

TEST_F(LiveViewGolden, WideAndBrokenNames) {
  Snapshot s = samples::leaking();
  s.process.command = "evil\n\x1b[2J\x1b]0;title\x07 --name=\xff\xfe";
  s.process.comm = "\xe6\xbc\xa2\xe5\xad\x97\x1b";
  s.threads[0].name = "\x1b[31mred";
  s.threads[1].name = "\xe6\xbc\xa2\xe5\xad\x97\xe6\xbc\xa2\xe5\xad\x97\xe6\xbc\xa2\xe5\xad\x97\xe6\xbc\xa2\xe5\xad\x97";
  s.threads[2].name = "e\xcc\x81two\nlines\r";
  s.warnings = {"can not read /tmp/\x1b[1m\n"};
  const std::string text = shown(*scene_of({s}), on_page(Page::Threads), 80, 24);
  EXPECT_EQ(text.find('\x1b'), std::string::npos);
  expect_golden("hostile_80x24", text);
}

TEST_F(LiveViewGolden, ExitedProcessStaysAndSaysSo) {
  std::vector<Snapshot> steps = leak_in_steps();
  steps.back().end = EndReason::Exited;
  expect_golden("exited_80x24", shown(*scene_of(std::move(steps)), on_page(Page::Threads), 80, 24));
}

TEST_F(LiveViewGolden, ManyProcesses) {
  std::vector<Snapshot> steps = leak_in_steps();
  steps.push_back(samples::idle());
  expect_golden("processes_80x24", shown(*scene_of(std::move(steps)), on_page(Page::Processes), 80, 24));
}

TEST_F(LiveViewGolden, AsciiTerminal) {
  ViewState state = on_page(Page::Threads);
  state.charset = Charset::Ascii;
  const std::string text = shown(*scene_of(leak_in_steps()), state, 80, 24);
  for (const char c : text) EXPECT_TRUE(c == '\n' || (c >= 0x20 && c < 0x7f)) << static_cast<int>(c);
  expect_golden("ascii_80x24", text);
}

TEST_F(LiveViewGolden, HelpAt80Columns) {
  expect_golden("help_80x40", shown(*scene_of(leak_in_steps()), on_page(Page::Help), 80, 40));
}

TEST_F(LiveViewGolden, ColoursAddNothingButEscapes) {
  const auto scene = scene_of(leak_in_steps());
  for (const Page page : {Page::Threads, Page::Stacks, Page::Probes, Page::Help}) {
    const CellGrid grid = draw(*scene, on_page(page), {80, 24}).grid;
    std::string with = grid_text(grid, Color::On);
    EXPECT_NE(with.find('\x1b'), std::string::npos);
    for (size_t at = with.find('\x1b'); at != std::string::npos; at = with.find('\x1b'))
      with.erase(at, with.find('m', at) + 1 - at);
    std::istringstream lines(with);
    std::string trimmed;
    for (std::string line; std::getline(lines, line);) trimmed += line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
    EXPECT_EQ(trimmed, grid_text(grid, Color::Off));
  }
}

}  // namespace
}  // namespace alloctrail
