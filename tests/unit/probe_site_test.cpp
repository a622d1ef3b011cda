// SPDX-License-Identifier: Apache-2.0
#include "user/elf/probe_site.h"

#include <gtest/gtest.h>

namespace alloctrail {
namespace {

using Bytes = std::vector<uint8_t>;

const Decoder& decoder() {
  static const std::unique_ptr<Decoder> instance = make_decoder(Architecture::X86_64);
  return *instance;
}

Bytes from_hex(std::string_view text) {
  Bytes out;
  for (size_t i = 0; i + 1 < text.size(); i += 2)
    out.push_back(static_cast<uint8_t>(std::stoul(std::string(text.substr(i, 2)), nullptr, 16)));
  return out;
}

SiteChoice choose(std::string_view hex, at_shape shape, SiteUse use) {
  return choose_site(decoder(), from_hex(hex), shape, use);
}

TEST(ProbeSite, ReasonNamesTheInstruction) {
  EXPECT_EQ(choose("4154", AT_SHAPE_SIZE, SiteUse::EntryAndReturn).reason, "entry: pushq %r12 is emulated");
  EXPECT_EQ(choose("4885ff7401c3", AT_SHAPE_FREE, SiteUse::EntryOnly).reason,
            "+3: je is emulated, testq %rdi, %rdi at the entry is not");
  EXPECT_EQ(choose("4889c75355", AT_SHAPE_FREE, SiteUse::EntryOnly).reason,
            "entry, single-stepped (movq %rax, %rdi): movq %rax, %rdi at +0 overwrites an argument");
}

TEST(ProbeSite, EveryFormTheKernelEmulatesIsTaken) {
  for (const char* code : {"50", "57", "4157", "90", "eb10", "e900000000", "7410", "0f8400000000"})
    EXPECT_TRUE(choose(code, AT_SHAPE_SIZE, SiteUse::EntryAndReturn).emulated) << code;
}

TEST(ProbeSite, FormsTheKernelStepsOrRefusesAreNot) {
  // 16-bit push, long nop, pause, call, endbr64, jump with 16-bit or hint prefix, rex.w push, indirect jump, jrcxz
  for (const char* code :
       {"6650", "0f1f00", "0f1f440000", "f390", "e800000000", "f30f1efa", "66e90000", "2e7400", "4850", "ffe0", "e300"})
    EXPECT_FALSE(choose(code, AT_SHAPE_SIZE, SiteUse::EntryAndReturn).emulated) << code;
}

TEST(ProbeSite, ArgumentWrittenByItsSubRegisterEndsTheSearch) {
  EXPECT_FALSE(choose("40b70155", AT_SHAPE_SIZE, SiteUse::EntryAndReturn).emulated);           // mov $1,%dil
  EXPECT_FALSE(choose("31f655", AT_SHAPE_REALLOC, SiteUse::EntryAndReturn).emulated);          // xor %esi,%esi
  EXPECT_FALSE(choose("b60155", AT_SHAPE_REALLOC_ARRAY, SiteUse::EntryAndReturn).emulated);    // mov $1,%dh
  EXPECT_FALSE(choose("48f7e655", AT_SHAPE_REALLOC_ARRAY, SiteUse::EntryAndReturn).emulated);  // mul %rsi: %rdx
  EXPECT_FALSE(choose("4887fe55", AT_SHAPE_SIZE, SiteUse::EntryAndReturn).emulated);           // xchg %rdi,%rsi
}

TEST(ProbeSite, RegistersTheShapeDoesNotUseMayBeWritten) {
  EXPECT_EQ(choose("31f655", AT_SHAPE_SIZE, SiteUse::EntryAndReturn).offset, 2u);
  EXPECT_EQ(choose("31d255", AT_SHAPE_REALLOC, SiteUse::EntryAndReturn).offset, 2u);
}

TEST(ProbeSite, ReturnProbeNeedsTheStackPointerOfTheEntry) {
  const char* code = "4883ec187405";  // sub $0x18,%rsp; je
  EXPECT_FALSE(choose(code, AT_SHAPE_SIZE, SiteUse::EntryAndReturn).emulated);
  const SiteChoice entry_only = choose(code, AT_SHAPE_SIZE, SiteUse::EntryOnly);
  EXPECT_EQ(entry_only.offset, 4u);
  EXPECT_EQ(entry_only.pushed_bytes, 0x18u);
  EXPECT_EQ(choose("6a017405", AT_SHAPE_FREE, SiteUse::EntryOnly).pushed_bytes, 8u);  // push $1; je
}

TEST(ProbeSite, UnknownStackPointerEndsTheSearch) {
  for (const char* code : {"5855", "4889fc55", "4883e4f055", "c955", "488d6424f855",
                           "4883ec8055"})  // pop, mov, and, leave, lea, sub negative
    EXPECT_FALSE(choose(code, AT_SHAPE_FREE, SiteUse::EntryOnly).emulated) << code;
}

TEST(ProbeSite, NothingThatLeavesTheStraightLineIsPassed) {
  // call, indirect call, ret, syscall, int3, ud2, indirect jump, jrcxz, rep movs, cpuid
  for (const char* code :
       {"e80000000055", "ffd055", "c355", "0f0555", "cc55", "0f0b55", "ffe055", "e30055", "f3a455", "0fa255"})
    EXPECT_FALSE(choose(code, AT_SHAPE_FREE, SiteUse::EntryOnly).emulated) << code;
}

TEST(ProbeSite, JumpBackToTheSiteOrBeforeItForbidsIt) {
  // test %rdi,%rdi; push %rbp; nop; jmp: once back to the push, once between entry and push, once behind it
  EXPECT_EQ(choose("4885ff55ebfd", AT_SHAPE_FREE, SiteUse::EntryOnly).offset, 0u);
  EXPECT_EQ(choose("4889c84885ff55ebfa", AT_SHAPE_FREE, SiteUse::EntryOnly).offset, 0u);
  EXPECT_EQ(choose("4885ff5590ebfd", AT_SHAPE_FREE, SiteUse::EntryOnly).offset, 3u);
  EXPECT_EQ(choose("4885ff550f84fafffffff4", AT_SHAPE_FREE, SiteUse::EntryOnly).offset, 3u);
}

TEST(ProbeSite, JumpBackToTheEntryStartsTheFunctionAnew) {
  EXPECT_EQ(choose("4885ff55ebfa", AT_SHAPE_FREE, SiteUse::EntryOnly).offset, 3u);
}

TEST(ProbeSite, SiteIsLookedForNearTheEntryOnly) {
  std::string moves;
  for (size_t i = 0; i + 1 < kMaxSiteInstructions; ++i) moves += "89c8";
  EXPECT_EQ(choose(moves + "55", AT_SHAPE_SIZE, SiteUse::EntryOnly).offset, 2 * (kMaxSiteInstructions - 1));
  EXPECT_FALSE(choose(moves + "89c855", AT_SHAPE_SIZE, SiteUse::EntryOnly).emulated);
}

TEST(ProbeSite, NoCodeIsAnAnswerToo) {
  const SiteChoice choice = choose("", AT_SHAPE_SIZE, SiteUse::EntryOnly);
  EXPECT_EQ(choice.offset, 0u);
  EXPECT_FALSE(choice.emulated);
}

}  // namespace
}  // namespace alloctrail
