// SPDX-License-Identifier: Apache-2.0
// The kernel side's unwinding step on made-up stacks: rules, faults, lies and the cache, which no real program shows on
// demand.
#include <gtest/gtest.h>

#include <cstring>
#include <memory>

#include "tests/unit/unwind_native.h"

namespace alloctrail {
namespace {

using test::Frames;
using test::kernel;
using test::kTrampoline;
using test::Walk;
using test::Walker;

/// A process with one mapping of code at 0x10000, whose only rule is the given one, and a stack of words at 0x7000.
class UnwindStep : public testing::Test {
 protected:
  static constexpr uint64_t kCode = 0x10000, kStack = 0x7000;

  void SetUp() override {
    kernel = {};
    kernel.rows.resize(AT_UNWIND_CHUNK_ROWS);
    kernel.copy = [this](void* to, size_t bytes, uint64_t from) {
      if (from < kStack || from + 8 > kStack + 8 * stack_.size()) return -1;
      std::vector<uint64_t> memory = stack_;
      memory.resize((from + bytes - kStack) / 8 + 2);
      std::memcpy(to, reinterpret_cast<const char*>(memory.data()) + (from - kStack), bytes);
      return 0;
    };
    walker_->process.generation = 7;
    walker_->process.mapping_count = 1;
    walker_->process.mappings[0] = {kCode, kCode + 0x1000, kCode, 0, 8, 0, 0};
    kernel.blocks.assign(8, {0, 1});
  }

  Walk walk(uint32_t rule, std::vector<uint64_t> stack, uint64_t bp = 0, uint64_t sp = kStack) {
    kernel.rows[0] = {0, rule};
    stack_ = std::move(stack);
    walker_->process.generation++;
    return walker_->walk(kCode + 0x10, sp, bp, AT_UNWIND_EXACT);
  }

  std::unique_ptr<Walker> walker_ = std::make_unique<Walker>();
  std::vector<uint64_t> stack_;
};

TEST_F(UnwindStep, ZeroReturnAddressCompletesTheStack) {
  const Walk walk = this->walk(AT_UNWIND_FRAME(AT_UNWIND_CFA_RSP, 2, 0), {1, kCode + 0x20, 1, 0});
  EXPECT_EQ(walk.frames, (Frames{kCode + 0x10, kCode + 0x20}));
  EXPECT_EQ(walk.status, AT_STACK_complete);
}

TEST_F(UnwindStep, RuleOfTheCallIsUsedNotOfWhatFollowsIt) {
  // A call that never returns ends its function: the return address belongs to the next one.
  kernel.rows[1] = {0x20, AT_UNWIND_UNSUPPORTED};
  kernel.blocks[0].count = 2;
  const Walk walk = this->walk(AT_UNWIND_FRAME(AT_UNWIND_CFA_RSP, 1, 0), {kCode + 0x20, 0});
  EXPECT_EQ(walk.frames, (Frames{kCode + 0x10, kCode + 0x20}));
  EXPECT_EQ(walk.status, AT_STACK_complete);
  walker_->process.generation++;
  EXPECT_EQ(walker_->walk(kCode + 0x20, kStack, 0, AT_UNWIND_EXACT).status, AT_STACK_unsupported);
}

TEST_F(UnwindStep, AddressInNoMappingEndsTheStackAndIsKept) {
  const Walk walk = this->walk(AT_UNWIND_FRAME(AT_UNWIND_CFA_RSP, 1, 0), {0xdead0000});
  EXPECT_EQ(walk.frames, (Frames{kCode + 0x10, 0xdead0000}));
  EXPECT_EQ(walk.status, AT_STACK_no_mapping);
}

TEST_F(UnwindStep, UnreadableStackIsAFault) {
  const Walk walk = this->walk(AT_UNWIND_FRAME(AT_UNWIND_CFA_RSP, 2, 0), {1});
  EXPECT_EQ(walk.frames, (Frames{kCode + 0x10}));
  EXPECT_EQ(walk.status, AT_STACK_fault);
}

TEST_F(UnwindStep, FrameThatDoesNotLieAboveItsCalleeEndsTheStack) {
  const Walk walk = this->walk(AT_UNWIND_FRAME(AT_UNWIND_CFA_RBP, 2, 0), {1, kCode, 1, kCode}, kStack - 16);
  EXPECT_EQ(walk.frames.size(), 1u);
  EXPECT_EQ(walk.status, AT_STACK_unsupported);
}

TEST_F(UnwindStep, RuleTheTypesCannotSayEndsTheStack) {
  EXPECT_EQ(walk(AT_UNWIND_UNSUPPORTED, {kCode}).status, AT_STACK_unsupported);
  EXPECT_EQ(walk(AT_UNWIND_RULE(AT_UNWIND_SIDE, 900), {kCode}).status, AT_STACK_unsupported);
}

TEST_F(UnwindStep, WithoutARuleFramePointersAreFollowedAndTheStackIsMarked) {
  const std::vector<uint64_t> stack{0, kStack + 24, kCode + 0x20, kStack + 40, kCode + 0x30, 0, 0};
  const Walk walk = this->walk(AT_UNWIND_INVALID, stack, kStack + 8);
  EXPECT_EQ(walk.frames, (Frames{kCode + 0x10, kCode + 0x20, kCode + 0x30}));
  EXPECT_EQ(walk.status, AT_STACK_frame_pointers);
}

TEST_F(UnwindStep, WithoutARuleAnImplausibleFramePointerEndsTheStack) {
  for (const uint64_t bp : {uint64_t{0}, kStack - 8, kStack + 4, kStack + (1u << 20)}) {
    const Walk walk = this->walk(AT_UNWIND_INVALID, {kCode, kCode}, bp);
    EXPECT_EQ(walk.frames.size(), 1u);
    EXPECT_EQ(walk.status, AT_STACK_no_rule);
  }
}

TEST_F(UnwindStep, TableThatIsNotThereYetEndsTheStackAndSaysSo) {
  walker_->process.mappings[0].flags = AT_UNWIND_PENDING;
  const Walk walk = this->walk(AT_UNWIND_FRAME(AT_UNWIND_CFA_RSP, 1, 0), {kCode});
  EXPECT_EQ(walk.frames, (Frames{kCode + 0x10}));
  EXPECT_EQ(walk.status, AT_STACK_no_table);
}

TEST_F(UnwindStep, LinkerStubPopsAsMuchAsItHasPushed) {
  const uint32_t rule = AT_UNWIND_RULE(AT_UNWIND_PLT, 11);
  stack_ = {1, 0};
  kernel.rows[0] = {0, rule};
  EXPECT_EQ(walker_->walk(kCode + 0x1b, kStack, 0, AT_UNWIND_EXACT).status, AT_STACK_complete);
  walker_->process.generation++;
  stack_ = {0};
  EXPECT_EQ(walker_->walk(kCode + 0x1a, kStack, 0, AT_UNWIND_EXACT).status, AT_STACK_complete);
}

TEST_F(UnwindStep, SideRulesAreCarriedOut) {
  // CFA = *(rsp + 8) + 8, return address at CFA - 16, rbp at CFA - 24; then rbp's old value gives the next frame.
  kernel.sides = {{8, 8, -24, -16, AT_UNWIND_SIDE_AT_RSP, AT_UNWIND_RBP_AT_CFA}};
  const Walk walk = this->walk(AT_UNWIND_RULE(AT_UNWIND_SIDE, 0), {0, kStack + 40, 0, 0x1234, 0, 0});
  EXPECT_EQ(walk.status, AT_STACK_complete);
  kernel.sides = {{0, 0, 0, -8, AT_UNWIND_SIDE_AT_RBP, AT_UNWIND_RBP_LOST}};
  const Walk lost = this->walk(AT_UNWIND_RULE(AT_UNWIND_SIDE, 0), {kStack + 16, kCode + 0x40, 0}, kStack);
  EXPECT_EQ(lost.frames, (Frames{kCode + 0x10, kCode + 0x40}));
  EXPECT_EQ(lost.status, AT_STACK_fault) << "rbp is 0 from there on";
}

TEST_F(UnwindStep, CacheAnswersUntilTheProcessIsPublishedAnew) {
  const Walk first = walk(AT_UNWIND_FRAME(AT_UNWIND_CFA_RSP, 1, 0), {kCode + 0x20, kCode + 0x30, 0});
  EXPECT_EQ(kernel.block_lookups, 3u);
  const Walk second = walker_->walk(kCode + 0x10, kStack, 0, AT_UNWIND_EXACT);
  EXPECT_EQ(kernel.block_lookups, 3u);
  EXPECT_EQ(second.frames, first.frames);
  EXPECT_EQ(second.hash.hash_low, first.hash.hash_low);
  EXPECT_EQ(second.hash.hash_high, first.hash.hash_high);
  walker_->process.generation++;
  kernel.rows[0].rule = AT_UNWIND_STOP;
  EXPECT_EQ(walker_->walk(kCode + 0x10, kStack, 0, AT_UNWIND_EXACT).frames.size(), 1u);
}

TEST_F(UnwindStep, CacheEntryTornByAnotherWalkIsNotBelieved) {
  const Walk first = walk(AT_UNWIND_FRAME(AT_UNWIND_CFA_RSP, 1, 0), {kCode + 0x20, 0});
  for (auto& entry : walker_->cache.entries) entry.value ^= 0x100000000ull | AT_UNWIND_STOP;
  EXPECT_EQ(walker_->walk(kCode + 0x10, kStack, 0, AT_UNWIND_EXACT).frames, first.frames);
}

TEST_F(UnwindStep, TrampolineOfAReturnProbeIsNeverCached) {
  const uint32_t rule = AT_UNWIND_FRAME(AT_UNWIND_CFA_RSP, 1, 0);
  for (const uint64_t original : {kCode + 0x20, kCode + 0x30}) {
    kernel.replaced[kStack] = original;
    kernel.rows[0] = {0, rule};
    stack_ = {kTrampoline, 0};
    EXPECT_EQ(walker_->walk(kCode + 0x10, kStack, 0, AT_UNWIND_EXACT).frames, (Frames{kCode + 0x10, original}));
  }
}

TEST_F(UnwindStep, StacksThatDifferInOneFrameHashDifferently) {
  const uint32_t rule = AT_UNWIND_FRAME(AT_UNWIND_CFA_RSP, 1, 0);
  const Walk one = walk(rule, {kCode + 1, kCode + 2, 0}), other = walk(rule, {kCode + 2, kCode + 1, 0});
  EXPECT_NE(one.hash.hash_low, other.hash.hash_low);
  EXPECT_NE(one.hash.hash_high, other.hash.hash_high);
}

}  // namespace
}  // namespace alloctrail
