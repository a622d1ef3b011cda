// SPDX-License-Identifier: Apache-2.0
#include "user/elf/probe_plan.h"

#include <fcntl.h>
#include <gnu/libc-version.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "elf_image.h"

namespace alloctrail {
namespace {

using test::Bytes;
using test::ElfImage;
using test::file_of;
using Names = std::set<std::string>;

constexpr uint8_t kJump = 0xe9, kCall = 0xe8;
const Bytes kOwnWork = {0x55, 0x5d, 0xc3};   // push %rbp; pop %rbp; ret
const Bytes kTestNull = {0x48, 0x85, 0xff};  // test %rdi,%rdi
const Bytes kRet = {0xc3};

ModulePlan plan_of(const ElfImage& image) {
  const UniqueFd fd = file_of(image.build());
  auto plan = plan_probes(fd.get(), "some.so");
  EXPECT_TRUE(plan) << (plan ? "" : plan.error().message);
  return plan ? *plan : ModulePlan{};
}

const PlannedProbe* find(const ModulePlan& plan, const std::string& function, ProbeMoment moment) {
  const auto found = std::ranges::find_if(
      plan.probes, [&](const PlannedProbe& probe) { return probe.function == function && probe.moment == moment; });
  return found == plan.probes.end() ? nullptr : &*found;
}

/// The functions that have a probe at their beginning.
Names entered(const ModulePlan& plan) {
  Names out;
  for (const PlannedProbe& probe : plan.probes)
    if (probe.moment != ProbeMoment::ReturnSite) out.insert(probe.function);
  return out;
}

std::vector<uint64_t> return_sites(const ModulePlan& plan) {
  std::vector<uint64_t> out;
  for (const PlannedProbe& probe : plan.probes)
    if (probe.moment == ProbeMoment::ReturnSite) out.push_back(probe.file_offset);
  return out;
}

TEST(ProbePlan, FileWithoutAllocatorYieldsNothing) {
  ElfImage image;
  image.add("main", kOwnWork);
  const ModulePlan plan = plan_of(image);
  EXPECT_EQ(plan.allocator, "");
  EXPECT_TRUE(plan.probes.empty() && plan.not_hooked.empty() && plan.notes.empty());
}

TEST(ProbePlan, AllocationsAreProbedAtEntryAndReturnReleasesAtEntry) {
  ElfImage image;
  image.soname = "libc.so.6";
  image.add("malloc", kOwnWork);
  image.add("free", ElfImage::join({kTestNull, {0x74, 0x02}, kOwnWork}));
  const ModulePlan plan = plan_of(image);
  EXPECT_EQ(plan.allocator, "glibc");
  ASSERT_EQ(plan.probes.size(), 2u);
  EXPECT_EQ(plan.probes[0].function, "malloc");
  EXPECT_EQ(plan.probes[0].moment, ProbeMoment::EntryAndReturn);
  EXPECT_EQ(plan.probes[0].file_offset, ElfImage::file_offset(0));
  EXPECT_EQ(plan.probes[0].flags, AT_PROBE_LEAF);
  EXPECT_EQ(plan.probes[1].function, "free");
  EXPECT_EQ(plan.probes[1].shape, AT_SHAPE_FREE);
  EXPECT_EQ(plan.probes[1].moment, ProbeMoment::Entry);
  EXPECT_EQ(plan.probes[1].file_offset, ElfImage::file_offset(1) + 3);
  EXPECT_EQ(plan.probes[1].flags, 0u);
}

TEST(ProbePlan, TwoNamesOfOneAddressAreOneProbeUnderTheKnownName) {
  ElfImage image;
  image.alias("tc_free", image.add("cfree", kOwnWork));
  image.alias("free", 0);
  image.alias("_ZdlPv", 0);
  EXPECT_EQ(entered(plan_of(image)), Names{"free"});
}

TEST(ProbePlan, FunctionThatOnlyJumpsToAnotherIsLeftToIt) {
  ElfImage image;
  image.soname = "libc.so.6";
  image.add("memalign", kOwnWork);
  image.add("aligned_alloc", ElfImage::transfer(kJump, 1, 0, 0));
  image.add("free", kOwnWork);
  image.add("cfree", ElfImage::transfer(kJump, 3, 0, 2));
  const ModulePlan plan = plan_of(image);
  EXPECT_EQ(entered(plan), (Names{"memalign", "free"}));
  EXPECT_EQ(plan.notes, (std::vector<std::string>{"aligned_alloc: all its calls are seen at memalign",
                                                  "cfree: all its calls are seen at free"}));
  EXPECT_TRUE(plan.not_hooked.empty());
}

TEST(ProbePlan, JumpThroughALinkageStubIsFollowedByName) {
  ElfImage image;
  image.soname = "libc.so.6";
  image.add("malloc", kOwnWork);
  const size_t elsewhere = image.import("free");  // defined in some other file
  image.add("cfree", ElfImage::transfer(kJump, 2, 0, elsewhere));
  const size_t here = image.import("malloc");
  image.add("valloc", ElfImage::transfer(kJump, 4, 0, here));
  EXPECT_EQ(entered(plan_of(image)), Names{"malloc"});
}

TEST(ProbePlan, ThunkToInternalCodeIsProbedItself) {
  ElfImage image;
  image.add("malloc", ElfImage::transfer(kJump, 0, 0, 1));
  image.add("__libc_malloc_impl", kOwnWork);
  const ModulePlan plan = plan_of(image);
  EXPECT_EQ(plan.allocator, "musl");
  EXPECT_EQ(entered(plan), Names{"malloc"});
  EXPECT_EQ(plan.probes[0].file_offset, ElfImage::file_offset(0));
}

TEST(ProbePlan, AllocationThatCallsAnotherKeepsItsOwnProbe) {
  ElfImage image;
  image.soname = "libc.so.6";
  image.add("malloc", kOwnWork);
  image.add("calloc", ElfImage::join({{0x53}, ElfImage::transfer(kCall, 1, 1, 0), {0x5b, 0xc3}}));
  const ModulePlan plan = plan_of(image);
  EXPECT_EQ(entered(plan), (Names{"malloc", "calloc"}));
  EXPECT_EQ(find(plan, "malloc", ProbeMoment::EntryAndReturn)->flags, AT_PROBE_LEAF);
  EXPECT_EQ(find(plan, "calloc", ProbeMoment::EntryAndReturn)->flags, 0u);
}

TEST(ProbePlan, RoundingFunctionKeepsItsProbeSinceTheSizeChangesBehindIt) {
  ElfImage image;
  image.soname = "libc.so.6";
  image.add("valloc", kOwnWork);
  image.add("pvalloc", ElfImage::transfer(kJump, 1, 0, 0));
  EXPECT_EQ(entered(plan_of(image)), (Names{"valloc", "pvalloc"}));
}

TEST(ProbePlan, FunctionsThatJumpInACircleAreNotAllLeftOut) {
  ElfImage image;
  image.soname = "libc.so.6";
  image.add("malloc", ElfImage::transfer(kJump, 0, 0, 1));
  image.add("valloc", ElfImage::transfer(kJump, 1, 0, 0));
  EXPECT_EQ(entered(plan_of(image)), Names{"valloc"});
}

TEST(ProbePlan, OperatorsThatGoThroughMallocAreLeftToIt) {
  ElfImage image;
  image.soname = "libc.so.6";
  image.add("malloc", kOwnWork);
  image.add("free", kOwnWork);
  // push; call malloc; test %rax,%rax; je (back to the call); pop; ret
  image.add("_Znwm",
            ElfImage::join({{0x53}, ElfImage::transfer(kCall, 2, 1, 0), {0x48, 0x85, 0xc0, 0x74, 0xf6, 0x5b, 0xc3}}));
  image.add("_ZdlPv", ElfImage::transfer(kJump, 3, 0, 1));
  image.add("_ZdlPvm", ElfImage::join({kTestNull, {0x74, 0x05}, ElfImage::transfer(kJump, 4, 5, 3), kRet}));
  const ModulePlan plan = plan_of(image);
  EXPECT_EQ(entered(plan), (Names{"malloc", "free"}));
  EXPECT_EQ(plan.notes.size(), 3u);
}

TEST(ProbePlan, OperatorThatCallsAHelperThatCallsMallocIsLeftToMalloc) {
  ElfImage image;
  image.soname = "libc.so.6";
  image.add("malloc", kOwnWork);
  image.add("helper", ElfImage::join({{0x53}, ElfImage::transfer(kCall, 1, 1, 0), {0x5b, 0xc3}}), STB_LOCAL);
  image.add("_Znwm", ElfImage::join({{0x53}, ElfImage::transfer(kCall, 2, 1, 1), {0x5b, 0xc3}}));
  EXPECT_EQ(entered(plan_of(image)), Names{"malloc"});
}

TEST(ProbePlan, OperatorsOfAFileWithoutMallocAreNotProbed) {
  ElfImage image;
  image.add("_Znwm", kOwnWork);
  image.add("_ZdlPv", kOwnWork);
  const ModulePlan plan = plan_of(image);
  EXPECT_EQ(plan.allocator, "");
  EXPECT_TRUE(plan.probes.empty());
  EXPECT_EQ(plan.notes.size(), 1u);
}

/// operator new with a path of its own and one that jumps to slot 1.
ElfImage with_fast_new() {
  ElfImage image;
  image.add("malloc", kOwnWork);
  image.add("slow_path", {0x90, 0x90, 0xc3}, STB_LOCAL);
  // test %rdi,%rdi; je +1; ret; jmp slow_path
  image.add("_Znwm", ElfImage::join({kTestNull, {0x74, 0x01}, kRet, ElfImage::transfer(kJump, 2, 6, 1)}));
  return image;
}

TEST(ProbePlan, ThrowingNewIsProbedAtItsReturnInstructionsNeverByAReturnProbe) {
  const ModulePlan plan = plan_of(with_fast_new());
  const PlannedProbe* entry = find(plan, "_Znwm", ProbeMoment::Entry);
  ASSERT_NE(entry, nullptr);
  EXPECT_EQ(entry->flags, AT_PROBE_THROWS);
  EXPECT_EQ(entry->file_offset, ElfImage::file_offset(2) + 3);
  EXPECT_EQ(find(plan, "_Znwm", ProbeMoment::EntryAndReturn), nullptr);
  EXPECT_EQ(return_sites(plan), (std::vector<uint64_t>{ElfImage::file_offset(1) + 2, ElfImage::file_offset(2) + 5}));
  EXPECT_EQ(find(plan, "_Znwm", ProbeMoment::ReturnSite)->flags, AT_PROBE_THROWS);
  EXPECT_EQ(find(plan, "_Znwm", ProbeMoment::ReturnSite)->shape, AT_SHAPE_SIZE);
}

TEST(ProbePlan, ReturnInstructionSharedByTwoOperatorsIsProbedOnce) {
  ElfImage image = with_fast_new();
  image.add("_Znam", ElfImage::join({kTestNull, {0x74, 0x01}, kRet, ElfImage::transfer(kJump, 3, 6, 1)}));
  EXPECT_EQ(return_sites(plan_of(image)),
            (std::vector<uint64_t>{ElfImage::file_offset(1) + 2, ElfImage::file_offset(2) + 5,
                                   ElfImage::file_offset(3) + 5}));
}

TEST(ProbePlan, ReturnBehindACallThatNeverReturnsIsNotProbed) {
  ElfImage image;
  image.add("malloc", kOwnWork);
  image.add("abort", kOwnWork);
  image.add("_Znwm", ElfImage::join({kTestNull, {0x74, 0x01}, kRet, ElfImage::transfer(kCall, 2, 6, 1), kRet}));
  EXPECT_EQ(return_sites(plan_of(image)), (std::vector<uint64_t>{ElfImage::file_offset(2) + 5}));
}

TEST(ProbePlan, ThrowingNewThatLeavesByAComputedJumpIsNotHookedAndSaysSo) {
  ElfImage image;
  image.add("malloc", kOwnWork);
  image.add("_Znwm", {0x48, 0x85, 0xff, 0x74, 0x01, 0xc3, 0xff, 0xe0});  // ...; ret; jmp *%rax
  const ModulePlan plan = plan_of(image);
  EXPECT_EQ(entered(plan), Names{"malloc"});
  EXPECT_EQ(
      plan.not_hooked,
      (std::vector<std::string>{"_Znwm: its returns cannot all be found: it jumps to a computed address at 0x31046"}));
}

TEST(ProbePlan, NothrowNewMayCarryAReturnProbe) {
  ElfImage image;
  image.add("malloc", kOwnWork);
  image.add("_ZnwmRKSt9nothrow_t", kOwnWork);
  EXPECT_NE(find(plan_of(image), "_ZnwmRKSt9nothrow_t", ProbeMoment::EntryAndReturn), nullptr);
}

TEST(ProbePlan, ReleaseThatSometimesJumpsToAnotherIsFlagged) {
  ElfImage image;
  image.soname = "libc.so.6";
  image.add("free", kOwnWork);
  // test $1,%dil; je +1; ret; jmp free
  image.add("_ZdlPvm",
            ElfImage::join({{0x40, 0xf6, 0xc7, 0x01, 0x74, 0x01}, kRet, ElfImage::transfer(kJump, 1, 7, 0)}));
  const ModulePlan plan = plan_of(image);
  ASSERT_NE(find(plan, "_ZdlPvm", ProbeMoment::Entry), nullptr);
  EXPECT_EQ(find(plan, "_ZdlPvm", ProbeMoment::Entry)->flags, AT_PROBE_HANDS_ON);
  EXPECT_EQ(find(plan, "free", ProbeMoment::Entry)->flags, 0u);
}

TEST(ProbePlan, ReleaseThatStartsItselfAnewHandsNothingOn) {
  ElfImage image;
  image.soname = "libc.so.6";
  // test $1,%dil; je +1; ret; jmp free
  image.add("free", ElfImage::join({{0x40, 0xf6, 0xc7, 0x01, 0x74, 0x01}, kRet, ElfImage::transfer(kJump, 0, 7, 0)}));
  EXPECT_EQ(plan_of(image).probes.at(0).flags, 0u);
}

TEST(ProbePlan, ReleaseThatReturnsEarlyForNullOnlyIsLeftToTheOther) {
  ElfImage image;
  image.soname = "libc.so.6";
  image.add("free", kOwnWork);
  image.add("_ZdlPv", ElfImage::join({kTestNull, {0x75, 0x01}, kRet, ElfImage::transfer(kJump, 1, 6, 0)}));  // jne
  EXPECT_EQ(entered(plan_of(image)), Names{"free"});
}

TEST(ProbePlan, ReleaseOfAnUnknownAllocatorMayWrapTheNextOne) {
  ElfImage image;
  image.add("malloc", kOwnWork);
  image.add("free", kOwnWork);
  const ModulePlan plan = plan_of(image);
  EXPECT_EQ(plan.allocator, "custom");
  EXPECT_EQ(find(plan, "free", ProbeMoment::Entry)->flags, AT_PROBE_HANDS_ON);
}

TEST(ProbePlan, ReallocToZeroIsFlaggedByAllocator) {
  ElfImage glibc, musl;
  glibc.soname = "libc.so.6";
  glibc.add("realloc", kOwnWork);
  musl.add("realloc", kOwnWork);
  musl.add("__malloc_donate", kOwnWork);
  EXPECT_EQ(plan_of(glibc).probes.at(0).flags, AT_PROBE_ZERO_FREES | AT_PROBE_LEAF);
  EXPECT_EQ(plan_of(musl).probes.at(0).flags, AT_PROBE_LEAF);
}

TEST(ProbePlan, AllocationOfUnknownMakeMayBeAWrapper) {
  ElfImage image;
  image.add("malloc", kOwnWork);
  EXPECT_EQ(plan_of(image).probes.at(0).flags, 0u);
}

TEST(ProbePlan, LocalMallocCountsOnlyInAFileKnownToHoldAnAllocator) {
  ElfImage program;
  program.add("malloc", kOwnWork, STB_LOCAL);
  EXPECT_TRUE(plan_of(program).probes.empty());
  program.add("_int_malloc", kOwnWork, STB_LOCAL);
  EXPECT_EQ(entered(plan_of(program)), Names{"malloc"});
}

TEST(ProbePlan, LoadersOwnMallocIsNotProbed) {
  ElfImage image;
  image.soname = "ld-linux-x86-64.so.2";
  image.add("malloc", kOwnWork);
  const ModulePlan plan = plan_of(image);
  EXPECT_TRUE(plan.probes.empty());
  EXPECT_EQ(plan.notes.size(), 1u);
}

TEST(ProbePlan, SymbolOutsideTheCodeIsReportedNotProbed) {
  ElfImage image;
  image.add("free", kOwnWork);
  const size_t last = image.add("malloc", kOwnWork);
  Bytes content = image.build();
  // The segment ends before the last function.
  const uint64_t bytes = last * ElfImage::kSlotBytes;
  std::memcpy(content.data() + sizeof(Elf64_Ehdr) + offsetof(Elf64_Phdr, p_filesz), &bytes, sizeof(bytes));
  const UniqueFd fd = file_of(content);
  const auto plan = plan_probes(fd.get(), "some.so");
  ASSERT_TRUE(plan);
  EXPECT_EQ(entered(*plan), Names{"free"});
  EXPECT_EQ(plan->not_hooked, std::vector<std::string>{"malloc: its code is not in the file"});
}

TEST(ProbePlan, ErrorsNameTheFile) {
  const UniqueFd fd = file_of({'#', '!', '/'});
  const auto plan = plan_probes(fd.get(), "/bin/script");
  ASSERT_FALSE(plan);
  EXPECT_EQ(plan.error().message, "/bin/script: not an ELF file");
}

/// A library that Debian 12 ships; the expected sets hold for its versions.
struct RealLibrary {
  const char* path;
  const char* allocator;
  Names entered;
  size_t return_sites;
};

const RealLibrary kRealLibraries[] = {
    {"/lib/x86_64-linux-gnu/libc.so.6",
     "glibc",
     {"malloc", "free", "calloc", "realloc", "reallocarray", "posix_memalign", "aligned_alloc", "valloc", "pvalloc"},
     0},
    {"/lib/ld-musl-x86_64.so.1",
     "musl",
     {"malloc", "free", "calloc", "realloc", "reallocarray", "posix_memalign", "aligned_alloc"},
     0},
    {"/usr/lib/x86_64-linux-gnu/libjemalloc.so.2",
     "jemalloc",
     {"malloc", "free", "calloc", "realloc", "posix_memalign", "aligned_alloc", "memalign", "valloc", "mallocx",
      "rallocx", "dallocx", "sdallocx", "_Znwm", "_ZnwmRKSt9nothrow_t", "_ZdlPvm", "_ZdaPvm"},
     3},
    {"/usr/lib/x86_64-linux-gnu/libtcmalloc.so.4",
     "tcmalloc",
     {"malloc", "free", "calloc", "realloc", "posix_memalign", "aligned_alloc", "pvalloc", "_Znwm",
      "_ZnwmSt11align_val_t", "_ZnwmRKSt9nothrow_t", "_ZnwmSt11align_val_tRKSt9nothrow_t", "_ZdlPvm",
      "_ZdlPvRKSt9nothrow_t", "_ZdlPvSt11align_val_t", "_ZdlPvmSt11align_val_t", "_ZdlPvSt11align_val_tRKSt9nothrow_t",
      "tc_malloc_skip_new_handler"},
     6},
    {"/usr/lib/x86_64-linux-gnu/libmimalloc.so.2",
     "mimalloc",
     {"malloc",
      "free",
      "calloc",
      "realloc",
      "pvalloc",
      "reallocf",
      "_Znwm",
      "mi_malloc_small",
      "mi_malloc_aligned",
      "mi_malloc_aligned_at",
      "mi_zalloc",
      "mi_zalloc_small",
      "mi_zalloc_aligned",
      "mi_zalloc_aligned_at",
      "mi_mallocn",
      "mi_calloc_aligned",
      "mi_calloc_aligned_at",
      "mi_rezalloc",
      "mi_realloc_aligned",
      "mi_realloc_aligned_at",
      "mi_rezalloc_aligned",
      "mi_rezalloc_aligned_at",
      "mi_reallocn",
      "mi_reallocarray",
      "mi_recalloc",
      "mi_recalloc_aligned",
      "mi_recalloc_aligned_at",
      "mi_posix_memalign",
      "mi_pvalloc",
      "mi_new_n",
      "mi_new_nothrow",
      "mi_new_aligned_nothrow"},
     5},
    {"/usr/lib/x86_64-linux-gnu/libstdc++.so.6", "", {}, 0},
};

class RealLibraries : public testing::TestWithParam<RealLibrary> {};

TEST_P(RealLibraries, ExactlyTheExpectedFunctionsAreEntered) {
  const RealLibrary& library = GetParam();
  if (std::string(gnu_get_libc_version()) != "2.36") GTEST_SKIP() << "the expected sets are those of Debian 12";
  const UniqueFd fd(open(library.path, O_RDONLY | O_CLOEXEC));
  if (!fd) GTEST_SKIP() << library.path << " is not installed";
  const auto plan = plan_probes(fd.get(), library.path);
  ASSERT_TRUE(plan) << plan.error().message;
  EXPECT_EQ(plan->allocator, library.allocator);
  EXPECT_EQ(entered(*plan), library.entered);
  EXPECT_EQ(return_sites(*plan).size(), library.return_sites);
  EXPECT_EQ(plan->not_hooked, std::vector<std::string>{});
  std::set<std::pair<uint64_t, ProbeMoment>> places;
  for (const PlannedProbe& probe : plan->probes) EXPECT_TRUE(places.emplace(probe.file_offset, probe.moment).second);
}

INSTANTIATE_TEST_SUITE_P(ProbePlan, RealLibraries, testing::ValuesIn(kRealLibraries), [](const auto& info) {
  return std::string(*info.param.allocator != '\0' ? info.param.allocator : "none");
});

}  // namespace
}  // namespace alloctrail
