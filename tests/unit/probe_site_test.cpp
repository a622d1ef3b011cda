// SPDX-License-Identifier: Apache-2.0
#include "user/elf/probe_site.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

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

constexpr int kNoSite = -1;  // nothing but the entry, single-stepped

struct RealFunction {
  const char* library;
  const char* function;
  at_shape shape;
  SiteUse use;
  const char* code;
  int offset;
};

/// First bytes as Debian 12 ships them: glibc 2.36, musl 1.2.3, jemalloc 5.3.0, gperftools 2.10, mimalloc 2.0.9,
/// libstdc++ 12. The offsets were read off a disassembly by hand.
const RealFunction kRealFunctions[] = {
    {"glibc", "malloc", AT_SHAPE_SIZE, SiteUse::EntryAndReturn,
     "415455534889fb4883ec10803d461b1400000f84f80100004885db0f", 0},
    {"glibc", "free", AT_SHAPE_FREE, SiteUse::EntryOnly, "4885ff0f84bf00000055488d77f05348", 3},
    {"glibc", "calloc", AT_SHAPE_COUNT_SIZE, SiteUse::EntryAndReturn,
     "41554889f8415455534883ec1848f7e64889c30f90c04885db0f88d9", 0},
    {"glibc", "realloc", AT_SHAPE_REALLOC, SiteUse::EntryAndReturn,
     "4157415641554154554889f5534889fb4883ec28803d3d131400000f", 0},
    {"glibc", "reallocarray", AT_SHAPE_REALLOC_ARRAY, SiteUse::EntryAndReturn,
     "4889f048f7e24889c67005e940b8f8ff488b05e985130064c7000c00", kNoSite},
    {"glibc", "posix_memalign", AT_SHAPE_OUT_ALIGN_SIZE, SiteUse::EntryAndReturn, "803d010214000041544989d4554889fd",
     7},
    {"glibc", "memalign", AT_SHAPE_ALIGN_SIZE, SiteUse::EntryAndReturn, "803d710e1400007407e932f6ffff6690", 7},
    {"glibc", "valloc", AT_SHAPE_SIZE, SiteUse::EntryAndReturn, "803d310e140000534889fb741b488b05", 7},
    {"glibc", "pvalloc", AT_SHAPE_SIZE, SiteUse::EntryAndReturn, "803d010e140000534889fb742b488b05", 7},
    {"musl", "malloc", AT_SHAPE_SIZE, SiteUse::EntryAndReturn,
     "e96b190000662e0f1f84000000000090554889f85348f7d84821f848", 0},
    {"musl", "free", AT_SHAPE_FREE, SiteUse::EntryOnly, "e9bb0a0000662e0f1f8400000000009041544989f455534885f6740c", 0},
    {"musl", "calloc", AT_SHAPE_COUNT_SIZE, SiteUse::EntryAndReturn,
     "41544989f455534885f6740c4889f848f7e60f80b90000004c0fafe7", 0},
    {"musl", "realloc", AT_SHAPE_REALLOC, SiteUse::EntryAndReturn,
     "e9fbfaffff662e0f1f840000000000904889d14885d274084889f048", 0},
    {"musl", "reallocarray", AT_SHAPE_REALLOC_ARRAY, SiteUse::EntryAndReturn, "4889d14885d274084889f048f7e17009", 6},
    {"musl", "posix_memalign", AT_SHAPE_OUT_ALIGN_SIZE, SiteUse::EntryAndReturn,
     "53b8160000004889fb4889f74883fe0776124889d6e896b0feff4885", 0},
    {"musl", "aligned_alloc", AT_SHAPE_ALIGN_SIZE, SiteUse::EntryAndReturn,
     "554889f85348f7d84821f84883ec084839f80f85300200004889c348", 0},
    {"jemalloc", "malloc", AT_SHAPE_SIZE, SiteUse::EntryAndReturn, "4881ff001000000f8793000000488d15", 7},
    {"jemalloc", "free", AT_SHAPE_FREE, SiteUse::EntryOnly,
     "4889f8488b150e530a004889f948c1e81a4881e1000000c025f00000006448030425000000004801d0483b88b00100000f858a0000004889",
     48},
    {"jemalloc", "calloc", AT_SHAPE_COUNT_SIZE, SiteUse::EntryAndReturn,
     "41574156415541544989f455534889fb4881ec8800000064488b2c25", 0},
    {"jemalloc", "realloc", AT_SHAPE_REALLOC, SiteUse::EntryAndReturn,
     "4157415641554154554889fd534889f34881ec8800000064488b0425", 0},
    {"jemalloc", "posix_memalign", AT_SHAPE_OUT_ALIGN_SIZE, SiteUse::EntryAndReturn,
     "4157415641554989fd41544989d4554889f5534883ec7864488b1c25", 0},
    {"jemalloc", "aligned_alloc", AT_SHAPE_ALIGN_SIZE, SiteUse::EntryAndReturn,
     "41574156415541544989f4554889fd534883ec6864488b1c25000000", 0},
    {"jemalloc", "mallocx", AT_SHAPE_SIZE, SiteUse::EntryAndReturn,
     "41574156415541544c63e6554889fd534881ec8800000064488b0425", 0},
    {"jemalloc", "rallocx", AT_SHAPE_REALLOC, SiteUse::EntryAndReturn, "31c9e9e91cffff660f1f840000000000", 2},
    {"jemalloc", "dallocx", AT_SHAPE_FREE, SiteUse::EntryOnly,
     "41574156415541544c63e6554589e64889fd534181e600ff0f004881", 0},
    {"jemalloc", "sdallocx", AT_SHAPE_FREE, SiteUse::EntryOnly, "4989f84881fe00100000770c85d27508f7c7", 10},
    {"jemalloc", "_Znwm", AT_SHAPE_SIZE, SiteUse::EntryOnly, "4881ff001000000f8793000000488d15", 7},
    {"jemalloc", "_ZnwmRKSt9nothrow_t", AT_SHAPE_SIZE, SiteUse::EntryAndReturn, "4881ff001000000f8793000000488d15", 7},
    {"jemalloc", "_ZdlPvm", AT_SHAPE_FREE, SiteUse::EntryOnly, "4885ff74134883ec08e81233f8ff4883", 3},
    {"jemalloc", "_ZdlPv", AT_SHAPE_FREE, SiteUse::EntryOnly,
     "e9ebaff5ff66662e0f1f840000000000e9dbaff5ff66662e0f1f8400", 0},
    {"jemalloc", "_ZnwmSt11align_val_t", AT_SHAPE_SIZE, SiteUse::EntryOnly,
     "534889fb4889f74889dee891b4f5ff4885c0740c5bc3662e0f1f8400", 0},
    {"tcmalloc", "malloc", AT_SHAPE_SIZE, SiteUse::EntryAndReturn, "488b05f93201004989f84885c00f858e000000488b", 13},
    {"tcmalloc", "free", AT_SHAPE_FREE, SiteUse::EntryOnly, "488b0599411c004885c00f85900000004889", 10},
    {"tcmalloc", "calloc", AT_SHAPE_COUNT_SIZE, SiteUse::EntryAndReturn, "488b0d1939010064807910000f857e0100004157",
     12},
    {"tcmalloc", "realloc", AT_SHAPE_REALLOC, SiteUse::EntryAndReturn,
     "4157415641554154554889f5534883ec484885ff0f844e0200004989", 0},
    {"tcmalloc", "posix_memalign", AT_SHAPE_OUT_ALIGN_SIZE, SiteUse::EntryAndReturn,
     "488d46ff4883c8074885f0752b53b816000000", 11},
    {"tcmalloc", "memalign", AT_SHAPE_ALIGN_SIZE, SiteUse::EntryAndReturn, "4989f84881ff002000000f87f80000004c89", 10},
    {"tcmalloc", "valloc", AT_SHAPE_SIZE, SiteUse::EntryAndReturn,
     "554889fd488b3d053201004885ff750fe8cbc9fdff4863f848893df1", 0},
    {"tcmalloc", "pvalloc", AT_SHAPE_SIZE, SiteUse::EntryAndReturn,
     "534889fb488b3dd53101004885ff750fe89bc9fdff4863f848893dc1", 0},
    {"tcmalloc", "_Znwm", AT_SHAPE_SIZE, SiteUse::EntryOnly, "488b05393b01004989f84885c00f858e000000488b", 13},
    {"tcmalloc", "_ZnwmSt11align_val_t", AT_SHAPE_SIZE, SiteUse::EntryOnly,
     "4989f94989f04881fe002000000f87c50000004889", 13},
    {"tcmalloc", "_ZnwmRKSt9nothrow_t", AT_SHAPE_SIZE, SiteUse::EntryAndReturn,
     "488b05393701004989f84885c00f858e000000488b", 13},
    {"tcmalloc", "_ZdlPvm", AT_SHAPE_FREE, SiteUse::EntryOnly, "488b0519401c004885c00f8590000000f7c7", 10},
    {"tcmalloc", "_ZdlPvSt11align_val_t", AT_SHAPE_FREE, SiteUse::EntryOnly, "488b05193c1c004885c00f85900000004889",
     10},
    {"tcmalloc_minimal", "malloc", AT_SHAPE_SIZE, SiteUse::EntryAndReturn, "488b0559ab00004885c07575488b0505a100", 10},
    {"tcmalloc_minimal", "free", AT_SHAPE_FREE, SiteUse::EntryOnly, "488b0559b11b004885c00f85900000004889", 10},
    {"tcmalloc_minimal", "calloc", AT_SHAPE_COUNT_SIZE, SiteUse::EntryAndReturn,
     "41554889f841544883ec0848f7e64989c50f90c04885f60f840b0100", 0},
    {"tcmalloc_minimal", "_Znwm", AT_SHAPE_SIZE, SiteUse::EntryOnly, "488b05d9b100004885c07575488b0585a700", 10},
    {"tcmalloc_minimal", "_ZdlPvm", AT_SHAPE_FREE, SiteUse::EntryOnly, "488b05d9af1b004885c00f85800000004885", 10},
    {"mimalloc", "malloc", AT_SHAPE_SIZE, SiteUse::EntryAndReturn,
     "488b0549b400004889fe64488b384881fe000400007729488d460748", kNoSite},
    {"mimalloc", "free", AT_SHAPE_FREE, SiteUse::EntryOnly, "4889f94885ff745d488d7fff4889c848", 6},
    {"mimalloc", "calloc", AT_SHAPE_COUNT_SIZE, SiteUse::EntryAndReturn,
     "488b15c9ad00004889f864488b3a4883f801740848f7e64889c67064", kNoSite},
    {"mimalloc", "realloc", AT_SHAPE_REALLOC, SiteUse::EntryAndReturn,
     "488b0549a900004889f24889fe64488b004889c7e9f74effff0f1f80", kNoSite},
    {"mimalloc", "_Znwm", AT_SHAPE_SIZE, SiteUse::EntryOnly, "55534889fb4883ec08488b0500a5000064488b284881ff0004000077",
     0},
    {"mimalloc", "_ZnwmSt11align_val_t", AT_SHAPE_SIZE, SiteUse::EntryOnly,
     "41544989fc554889f5534889ee4c89e7e86b44ffff4889c34885c074", 0},
    {"mimalloc", "mi_malloc_small", AT_SHAPE_SIZE, SiteUse::EntryAndReturn,
     "488b05d9b50000644c8b00488d470748c1e803498b44c008488b50104885d2740f488b0a834018", 31},
    {"mimalloc", "mi_malloc_aligned", AT_SHAPE_SIZE, SiteUse::EntryAndReturn,
     "488b05b99c00004889f24889fe64488b004889c7e98743ffff0f1f80", kNoSite},
    {"mimalloc", "mi_posix_memalign", AT_SHAPE_OUT_ALIGN_SIZE, SiteUse::EntryAndReturn,
     "b8160000004885ff744e4885f6744155", 8},
    {"mimalloc", "mi_new_nothrow", AT_SHAPE_SIZE, SiteUse::EntryAndReturn, "488b0549a30000534889fb64488b3848", 7},
    {"mimalloc", "posix_memalign", AT_SHAPE_OUT_ALIGN_SIZE, SiteUse::EntryAndReturn,
     "e96b5cffff66662e0f1f840000000000e9eb59ffff66662e0f1f8400", 0},
    {"libstdc++", "_Znwm", AT_SHAPE_SIZE, SiteUse::EntryOnly, "f30f1efa4885ffb80100000053480f45c74889c3", 12},
    {"libstdc++", "_ZdlPv", AT_SHAPE_FREE, SiteUse::EntryOnly, "f30f1efae9872fffff0f1f8000000000", 4},
    {"libstdc++", "_ZdlPvm", AT_SHAPE_FREE, SiteUse::EntryOnly, "f30f1efae91727ffff0f1f8000000000", 4},
};

class RealFunctions : public testing::TestWithParam<RealFunction> {};

void expect_site(const SiteChoice& choice, int offset) {
  EXPECT_EQ(choice.offset, static_cast<uint32_t>(offset == kNoSite ? 0 : offset)) << choice.reason;
  EXPECT_EQ(choice.emulated, offset != kNoSite) << choice.reason;
  EXPECT_EQ(choice.pushed_bytes, 0u) << choice.reason;
}

TEST_P(RealFunctions, SiteIsTheFirstEmulatedInstruction) {
  const RealFunction& function = GetParam();
  expect_site(choose(function.code, function.shape, function.use), function.offset);
}

TEST_P(RealFunctions, SiteLiesBehindALeadingEndbr64) {
  const RealFunction& function = GetParam();
  expect_site(choose("f30f1efa" + std::string(function.code), function.shape, function.use),
              function.offset == kNoSite ? kNoSite : function.offset + 4);
}

TEST_P(RealFunctions, CutShortAnywhereTheSiteStaysInside) {
  const RealFunction& function = GetParam();
  const Bytes code = from_hex(function.code);
  for (size_t size = 1; size < code.size(); ++size) {
    const SiteChoice choice = choose_site(decoder(), std::span(code).first(size), function.shape, function.use);
    EXPECT_LT(choice.offset, size);
    EXPECT_TRUE(choice.offset == 0 || choice.offset == static_cast<uint32_t>(function.offset));
  }
}

INSTANTIATE_TEST_SUITE_P(ProbeSite, RealFunctions, testing::ValuesIn(kRealFunctions), [](const auto& info) {
  std::string name = std::string(info.param.library) + "_" + info.param.function;
  std::replace_if(
      name.begin(), name.end(), [](char c) { return isalnum(static_cast<unsigned char>(c)) == 0; }, '_');
  return name;
});

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

/// Opcodes that prologues are made of, so that random code often has a site.
Bytes random_code(std::mt19937& random) {
  static const char* const kPieces[] = {"55",   "4154",     "4885ff", "7405",         "4889f8", "4883ec18",
                                        "31c0", "f30f1efa", "90",     "0f8410000000", "ebf0",   "89d6"};
  Bytes out;
  for (unsigned pieces = 1 + random() % 12; pieces > 0; --pieces) {
    const Bytes piece = from_hex(kPieces[random() % std::size(kPieces)]);
    out.insert(out.end(), piece.begin(), piece.end());
    if (random() % 4 == 0) out.push_back(static_cast<uint8_t>(random()));
  }
  return out;
}

TEST(ProbeSite, RandomCodeNeverYieldsASiteOutsideItOrBehindAWrittenArgument) {
  std::mt19937 random(42);
  int slid = 0;
  for (int round = 0; round < 20000; ++round) {
    Bytes code = random_code(random);
    if (round % 3 == 0)
      for (uint8_t& byte : code) byte = static_cast<uint8_t>(random());
    const SiteUse use = random() % 2 == 0 ? SiteUse::EntryOnly : SiteUse::EntryAndReturn;
    const SiteChoice choice = choose_site(decoder(), code, static_cast<at_shape>(random() % AT_SHAPE_COUNT), use);
    ASSERT_LT(choice.offset, code.size());
    ASSERT_FALSE(choice.reason.empty());
    ASSERT_TRUE(use == SiteUse::EntryOnly || choice.pushed_bytes == 0);
    if (choice.offset == 0) continue;
    ++slid;
    ASSERT_TRUE(choice.emulated);
    uint64_t at = 0;
    while (at < choice.offset) {  // the site is an instruction start, reached straight from the entry, %rdi unharmed
      const auto instruction = decoder().decode(std::span(code).subspan(at), at);
      ASSERT_TRUE(instruction);
      ASSERT_EQ(instruction->flow, Flow::Next);
      ASSERT_EQ(instruction->arguments_written & 1, 0u);
      at += instruction->length;
    }
    ASSERT_EQ(at, choice.offset);
  }
  EXPECT_GT(slid, 1000);
}

}  // namespace
}  // namespace alloctrail
