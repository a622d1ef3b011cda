// SPDX-License-Identifier: Apache-2.0
#include "user/analysis/call_tree.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <random>

#include "tests/unit/sample_snapshots.h"

namespace alloctrail {
namespace {

Frame at(const char* function, uint32_t line) { return samples::frame(line, function, "/src/main.cpp", line); }

Stack stack(std::vector<Frame> frames, at_stack_status status = AT_STACK_complete) {
  frames.insert(frames.begin(), samples::bare_frame(1, "malloc", samples::kLibc, 1));
  return {.frames = frames, .status = status};
}

// main calls read (from two lines) and parse; parse calls read as well and allocates itself.
std::vector<Stack> program() {
  return {stack({at("read", 30), at("main", 10)}), stack({at("read", 30), at("main", 11)}),
          stack({at("parse", 20), at("main", 12)}), stack({at("read", 30), at("parse", 21), at("main", 12)}),
          stack({at("parse", 20), at("main", 12)})};
}

const std::vector<Amount> kAmounts = {{100, 1}, {50, 2}, {7, 1}, {500, 5}, {3, 1}};

// "  function:line total own" for each node, two spaces a level.
std::string text(const CallTree& tree, const std::vector<Stack>& stacks) {
  std::string result;
  for (const CallNode& node : tree.nodes) {
    const Frame& frame = stacks[node.stack].frames[node.frame];
    result += std::string(node.depth * size_t{2}, ' ') + frame.function + ":" + std::to_string(frame.line) + " " +
              std::to_string(node.total.bytes) + " " + std::to_string(node.own.bytes) + "\n";
  }
  return result;
}

constexpr const char* kWhole =
    "main:12 510 0\n"
    "  parse:21 500 0\n"
    "    read:30 500 500\n"
    "  parse:20 10 10\n"
    "main:10 100 0\n"
    "  read:30 100 100\n"
    "main:11 50 0\n"
    "  read:30 50 50\n";

TEST(CallTree, CommonCallersAreMergedAndSummed) {
  const std::vector<Stack> stacks = program();
  const CallTree tree = call_tree({stacks, kAmounts}, nullptr, FrameChoice::Callers, {});
  EXPECT_EQ(text(tree, stacks), kWhole);
  EXPECT_EQ(tree.nodes[0].total, (Amount{510, 7}));
  EXPECT_EQ(tree.nodes[0].change, std::nullopt);
}

TEST(CallTree, TheOrderDoesNotDependOnTheOrderOfTheStacks) {
  std::vector<size_t> order(program().size());
  std::iota(order.begin(), order.end(), size_t{0});
  do {
    std::vector<Stack> stacks;
    std::vector<Amount> amounts;
    for (const size_t i : order) {
      stacks.push_back(program()[i]);
      amounts.push_back(kAmounts[i]);
    }
    ASSERT_EQ(text(call_tree({stacks, amounts}, nullptr, FrameChoice::Callers, {}), stacks), kWhole);
  } while (std::next_permutation(order.begin(), order.end()));
}

TEST(CallTree, EqualAmountsAreOrderedByName) {
  const std::vector<Stack> stacks = {stack({at("b", 1), at("main", 9)}), stack({at("a", 2), at("main", 9)}),
                                     stack({at("a", 1), at("main", 9)})};
  EXPECT_EQ(text(call_tree({stacks, {{8, 1}, {8, 1}, {8, 1}}}, nullptr, FrameChoice::Callers, {}), stacks),
            "main:9 24 0\n  a:1 8 8\n  a:2 8 8\n  b:1 8 8\n");
}

TEST(CallTree, StacksThatHoldNothingAreNotInIt) {
  const std::vector<Stack> stacks = program();
  const CallTree tree = call_tree({stacks, {{0, 0}, {50, 2}, {0, 0}, {0, 0}, {0, 0}}}, nullptr, FrameChoice::Callers, {});
  EXPECT_EQ(text(tree, stacks), "main:11 50 0\n  read:30 50 50\n");
}

TEST(CallTree, BlocksOfNoBytesCount) {
  const std::vector<Stack> stacks = {stack({at("main", 1)})};
  const CallTree tree = call_tree({stacks, {{0, 3}}}, nullptr, FrameChoice::Callers, {});
  ASSERT_EQ(tree.nodes.size(), 1u);
  EXPECT_EQ(tree.nodes[0].own, (Amount{0, 3}));
}

TEST(CallTree, TopKeepsTheLargestPlacesWithTheirCallersAndSumsUpTheRest) {
  const std::vector<Stack> stacks = program();
  const CallTree tree = call_tree({stacks, kAmounts}, nullptr, FrameChoice::Callers, 2);
  EXPECT_EQ(text(tree, stacks),
            "main:12 510 0\n"
            "  parse:21 500 0\n"
            "    read:30 500 500\n"
            "main:10 100 0\n"
            "  read:30 100 100\n");
  EXPECT_EQ(tree.nodes[0].left_out_calls, 1u);
  EXPECT_EQ(tree.nodes[0].left_out, (Amount{10, 2}));
  EXPECT_EQ(tree.nodes[1].left_out_calls, 0u);
  EXPECT_EQ(tree.left_out_roots, 1u);
  EXPECT_EQ(tree.left_out, (Amount{50, 2}));
}

TEST(CallTree, EveryAmountIsItsOwnPlusThatOfItsCallees) {
  std::mt19937 random(7);
  std::vector<Stack> stacks;
  std::vector<Amount> amounts;
  Amount all;
  for (int i = 0; i < 300; ++i) {
    std::vector<Frame> frames;
    for (uint32_t depth = 0; depth < 1 + random() % 6; ++depth) frames.push_back(at("f", 1 + random() % 3));
    stacks.push_back(stack(frames, random() % 8 == 0 ? AT_STACK_no_rule : AT_STACK_complete));
    amounts.push_back({random() % 100, 1});
    all += amounts.back();
  }
  for (const std::optional<size_t> top : {std::optional<size_t>(), std::optional<size_t>(20)}) {
    const CallTree tree = call_tree({stacks, amounts}, nullptr, FrameChoice::Callers, top);
    Amount roots = tree.left_out;
    for (size_t i = 0; i < tree.nodes.size(); ++i) {
      const CallNode& node = tree.nodes[i];
      if (node.depth == 0) roots += node.total;
      Amount sum = node.own;
      sum += node.left_out;
      for (size_t j = i + 1; j < tree.nodes.size() && tree.nodes[j].depth > node.depth; ++j)
        if (tree.nodes[j].depth == node.depth + 1) sum += tree.nodes[j].total;
      EXPECT_EQ(sum, node.total);
    }
    EXPECT_EQ(roots, all);
  }
}

TEST(CallTree, StacksThatEndedDifferentlyShareNoRoot) {
  const std::vector<Stack> stacks = {stack({at("read", 3), at("main", 1)}),
                                     stack({at("read", 3), at("main", 1)}, AT_STACK_truncated)};
  const CallTree tree = call_tree({stacks, {{9, 1}, {8, 1}}}, nullptr, FrameChoice::Callers, {});
  EXPECT_EQ(text(tree, stacks), "main:1 9 0\n  read:3 9 9\nmain:1 8 0\n  read:3 8 8\n");
  EXPECT_EQ(tree.nodes[2].status, AT_STACK_truncated);
  EXPECT_EQ(tree.nodes[3].status, AT_STACK_truncated);
}

TEST(CallTree, StacksWithoutFramesAreCounted) {
  const std::vector<Stack> stacks = {{.frames = {}, .status = AT_STACK_scratch_busy}};
  const CallTree tree = call_tree({stacks, {{9, 1}}}, nullptr, FrameChoice::Callers, {});
  EXPECT_TRUE(tree.nodes.empty());
  EXPECT_EQ(tree.frameless, (Amount{9, 1}));
}

TEST(CallTree, AllocatorFramesAreInItOnlyIfAllFramesAreAskedFor) {
  const std::vector<Stack> stacks = {stack({at("main", 1)})};
  EXPECT_EQ(call_tree({stacks, {{9, 1}}}, nullptr, FrameChoice::Callers, {}).nodes.size(), 1u);
  EXPECT_EQ(text(call_tree({stacks, {{9, 1}}}, nullptr, FrameChoice::All, {}), stacks), "main:1 9 0\n  malloc:0 9 9\n");
}

TEST(CallTree, ChangesReferToTheReportBeforeWhateverItsStacksAreNumbered) {
  const std::vector<Stack> stacks = program();
  std::vector<Stack> stacks_before = {stacks[3], stacks[1], stack({at("gone", 40), at("main", 12)})};
  const HeldStacks before{stacks_before, {{400, 4}, {60, 3}, {1000, 1}}};
  const CallTree tree = call_tree({stacks, kAmounts}, &before, FrameChoice::Callers, {});
  EXPECT_EQ(text(tree, stacks), kWhole);
  EXPECT_EQ(tree.nodes[0].change, (Change{510 - 1400, 7 - 5}));
  EXPECT_EQ(tree.nodes[2].change, (Change{100, 1}));
  EXPECT_EQ(tree.nodes[3].change, (Change{10, 2}));
  EXPECT_EQ(tree.nodes[6].change, (Change{-10, -1}));
}

}  // namespace
}  // namespace alloctrail
