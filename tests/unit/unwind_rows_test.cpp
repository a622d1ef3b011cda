// SPDX-License-Identifier: Apache-2.0
// The unwind compiler on images written by hand: which rows each kind of call frame instruction gives, and the tables
// around the rows.
#include "user/elf/unwind_rows.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/auxv.h>
#include <unistd.h>

#include <algorithm>
#include <random>

#include "alloctrail/unwind_lookup.h"
#include "tests/unit/unwind_image_builder.h"
#include "user/handles.h"

static bool operator==(const at_unwind_row& a, const at_unwind_row& b) {
  return a.pc == b.pc && a.rule == b.rule;
}
static void PrintTo(const at_unwind_row& row, std::ostream* out) {
  *out << std::hex << "{0x" << row.pc << ", type " << AT_UNWIND_TYPE(row.rule) << " value 0x"
       << AT_UNWIND_VALUE(row.rule) << "}";
}

namespace alloctrail {
namespace {

using test::ByteWriter;
using test::FrameSection;
using test::kCodeVaddr;
using Rows = std::vector<at_unwind_row>;

constexpr uint32_t kInvalid = AT_UNWIND_INVALID;
uint32_t by_rsp(uint32_t cfa_words, uint32_t rbp_words = 0) {
  return AT_UNWIND_FRAME(AT_UNWIND_CFA_RSP, cfa_words, rbp_words);
}
uint32_t by_rbp(uint32_t cfa_words, uint32_t rbp_words) {
  return AT_UNWIND_FRAME(AT_UNWIND_CFA_RBP, cfa_words, rbp_words);
}

UnwindTable compile(std::span<const std::byte> image) {
  auto table = compile_unwind_table(image, "image");
  EXPECT_TRUE(table) << table.error().message;
  return table ? std::move(*table) : UnwindTable{};
}
UnwindTable compile(FrameSection& section) {
  return compile(test::build_image(section));
}

/// One function of 0x40 bytes at the start of the code.
UnwindTable compile_one(const ByteWriter& instructions, const ByteWriter& common = {},
                        const std::string& augmentation = "zR") {
  FrameSection section;
  section.function(section.common(common, augmentation), kCodeVaddr, 0x40, instructions);
  return compile(section);
}

TEST(UnwindRows, FramePointerPrologueGivesARowForEachChange) {
  const auto table =
      compile_one({DW_CFA_advance_loc | 1, DW_CFA_def_cfa_offset, 16, DW_CFA_offset | 6, 2, DW_CFA_advance_loc | 3,
                   DW_CFA_def_cfa_register, 6, DW_CFA_advance_loc1, 0x30, DW_CFA_def_cfa, 7, 8});
  EXPECT_EQ(table.rows,
            (Rows{{0, by_rsp(1)}, {1, by_rsp(2, 2)}, {4, by_rbp(2, 2)}, {0x34, by_rsp(1, 2)}, {0x40, kInvalid}}));
  EXPECT_EQ(table.image_base_vaddr, kCodeVaddr);
  EXPECT_EQ(table.stats.functions, 1u);
  EXPECT_EQ(table.stats.broken, 0u);
}

TEST(UnwindRows, RestoredStateIsTheRememberedOne) {
  const auto table =
      compile_one({DW_CFA_def_cfa_offset, 48, DW_CFA_offset | 6, 2, DW_CFA_advance_loc | 8, DW_CFA_remember_state,
                   DW_CFA_def_cfa_offset, 8, DW_CFA_restore | 6, DW_CFA_advance_loc | 1, DW_CFA_restore_state});
  EXPECT_EQ(table.rows, (Rows{{0, by_rsp(6, 2)}, {8, by_rsp(1)}, {9, by_rsp(6, 2)}, {0x40, kInvalid}}));
}

TEST(UnwindRows, AdvancesOfEveryWidthAreScaledAndAdded) {
  const auto table =
      compile_one({DW_CFA_advance_loc1, 2, DW_CFA_def_cfa_offset, 16, DW_CFA_advance_loc2, 3, 0, DW_CFA_def_cfa_offset,
                   24, DW_CFA_advance_loc4, 4, 0, 0, 0, DW_CFA_def_cfa_offset, 32});
  EXPECT_EQ(table.rows, (Rows{{0, by_rsp(1)}, {2, by_rsp(2)}, {5, by_rsp(3)}, {9, by_rsp(4)}, {0x40, kInvalid}}));
}

TEST(UnwindRows, RowsThatChangeOnlyOtherRegistersAreMerged) {
  const auto table = compile_one({DW_CFA_advance_loc | 1, DW_CFA_offset | 3, 3, DW_CFA_advance_loc | 1,
                                  DW_CFA_GNU_args_size, 16, DW_CFA_advance_loc | 1, DW_CFA_expression, 12, 1, 0x30});
  EXPECT_EQ(table.rows, (Rows{{0, by_rsp(1)}, {0x40, kInvalid}}));
}

TEST(UnwindRows, BytesBetweenFunctionsHaveNoRuleAsTheyMayBeAFunctionToo) {
  FrameSection section;
  const size_t common = section.common();
  section.function(common, kCodeVaddr + 0x100, 0x11, {DW_CFA_def_cfa_offset, 16});
  section.function(common, kCodeVaddr + 0x120, 0x10, {});
  section.function(common, kCodeVaddr + 0x140, 0x10, {});
  EXPECT_EQ(compile(section).rows, (Rows{{0, kInvalid},
                                         {0x100, by_rsp(2)},
                                         {0x111, kInvalid},
                                         {0x120, by_rsp(1)},
                                         {0x130, kInvalid},
                                         {0x140, by_rsp(1)},
                                         {0x150, kInvalid}}));
}

TEST(UnwindRows, EntriesOutOfOrderAreSorted) {
  FrameSection section;
  const size_t common = section.common();
  section.function(common, kCodeVaddr + 0x80, 0x40, {DW_CFA_def_cfa_offset, 16});
  section.function(common, kCodeVaddr, 0x80, {});
  EXPECT_EQ(compile(section).rows, (Rows{{0, by_rsp(1)}, {0x80, by_rsp(2)}, {0xc0, kInvalid}}));
}

TEST(UnwindRows, EntryThatClaimsAllTheCodeYieldsToTheOnesInsideIt) {
  FrameSection section;
  const size_t common = section.common();
  section.function(common, kCodeVaddr, UINT64_MAX - kCodeVaddr, {DW_CFA_def_cfa_offset, 16});
  section.function(common, kCodeVaddr + 0x80, 0x40, {});
  EXPECT_EQ(compile(section).rows, (Rows{{0, by_rsp(2)}, {0x80, by_rsp(1)}, {0xc0, kInvalid}}));
}

TEST(UnwindRows, EntriesOfDroppedFunctionsAreCountedAndLeftOut) {
  FrameSection section;
  const size_t common = section.common();
  section.function(common, 0, 0x40, {});
  section.function(common, kCodeVaddr + 0x2000, 0x40, {});
  section.function(common, kCodeVaddr, 0x40, {});
  const auto table = compile(section);
  EXPECT_EQ(table.rows, (Rows{{0, by_rsp(1)}, {0x40, kInvalid}}));
  EXPECT_EQ(table.stats.broken, 2u);
}

TEST(UnwindRows, UndefinedReturnAddressIsTheEndOfTheStack) {
  const auto table = compile_one({DW_CFA_undefined, 16});
  EXPECT_EQ(table.rows, (Rows{{0, AT_UNWIND_STOP}, {0x40, kInvalid}}));
}

TEST(UnwindRows, EntryPointWithoutFrameInformationIsTheEndOfTheStack) {
  FrameSection section;
  const size_t common = section.common();
  section.function(common, kCodeVaddr, 0x40, {});
  section.function(common, kCodeVaddr + 0x80, 0x40, {});
  test::ImageParts parts;
  parts.eh_frame = &section.bytes().bytes();
  const auto rule = [&](uint64_t entry, uint64_t at) {
    parts.entry_vaddr = kCodeVaddr + entry;
    return rule_at(*compile_unwind_table(test::build_image(parts), "image"), kCodeVaddr + at);
  };
  EXPECT_EQ(rule(0x50, 0x50), uint32_t{AT_UNWIND_STOP});
  EXPECT_EQ(rule(0x50, 0x7f), uint32_t{AT_UNWIND_STOP});
  EXPECT_EQ(rule(0x50, 0x4f), uint32_t{AT_UNWIND_INVALID});
  EXPECT_EQ(rule(0x50, 0x80), AT_UNWIND_FRAME(AT_UNWIND_CFA_RSP, 1, 0));
  EXPECT_EQ(rule(0x20, 0x20), AT_UNWIND_FRAME(AT_UNWIND_CFA_RSP, 1, 0));  // it has rules of its own
  EXPECT_EQ(rule(0x20, 0x50), uint32_t{AT_UNWIND_INVALID});
  EXPECT_EQ(rule(0x100, 0x100), uint32_t{AT_UNWIND_INVALID});  // nothing says where it ends
}

// The loader runs constructors before main: their stacks begin at its entry point.
TEST(UnwindRows, StacksThroughTheLoadersEntryPointAreWhole) {
  const UniqueFd file(::open("/lib64/ld-linux-x86-64.so.2", O_RDONLY | O_CLOEXEC));
  if (!file) GTEST_SKIP() << "no glibc";
  Elf64_Ehdr header{};
  ASSERT_EQ(::pread(file.get(), &header, sizeof header, 0), static_cast<ssize_t>(sizeof header));
  EXPECT_EQ(rule_at(*compile_unwind_table(file.get(), "ld.so"), header.e_entry + 8), uint32_t{AT_UNWIND_STOP});
}

TEST(UnwindRows, LinkerStubExpressionKeepsItsThreshold) {
  const auto table = compile_one({DW_CFA_def_cfa_expression, 11, DW_OP_breg7, 8, DW_OP_breg16, 0, DW_OP_lit15,
                                  DW_OP_and, DW_OP_lit11, DW_OP_ge, DW_OP_lit3, DW_OP_shl, DW_OP_plus});
  EXPECT_EQ(table.rows, (Rows{{0, AT_UNWIND_RULE(AT_UNWIND_PLT, 11)}, {0x40, kInvalid}}));
}

TEST(UnwindRows, KernelSignalFrameIsKnownByItsAugmentationAndForm) {
  const ByteWriter frame{DW_CFA_def_cfa_expression, 4, DW_OP_breg7, 0xa0, 0x01, DW_OP_deref};
  EXPECT_EQ(compile_one(frame, {}, "zRS").rows, (Rows{{0, AT_UNWIND_SIGNAL}, {0x40, kInvalid}}));
  EXPECT_EQ(compile_one({}, {}, "zRS").rows, (Rows{{0, AT_UNWIND_UNSUPPORTED}, {0x40, kInvalid}}));
}

TEST(UnwindRows, RealignedStackGoesToTheSideTable) {
  // CFA = *(rbp - 16), rbp saved at rbp + 0: what GCC writes for a function that realigns its stack.
  const auto table = compile_one({DW_CFA_expression, 6, 2, DW_OP_breg6, 0, DW_CFA_def_cfa_expression, 3, DW_OP_breg6,
                                  0x70, DW_OP_deref, DW_CFA_advance_loc | 4, DW_CFA_def_cfa_expression, 5, DW_OP_breg7,
                                  8, DW_OP_deref, DW_OP_plus_uconst, 8});
  ASSERT_EQ(table.rows,
            (Rows{{0, AT_UNWIND_RULE(AT_UNWIND_SIDE, 0)}, {4, AT_UNWIND_RULE(AT_UNWIND_SIDE, 1)}, {0x40, kInvalid}}));
  ASSERT_EQ(table.sides.size(), 2u);
  const at_unwind_side& realigned = table.sides[0];
  EXPECT_EQ(realigned.cfa, AT_UNWIND_SIDE_AT_RBP);
  EXPECT_EQ(realigned.offset, -16);
  EXPECT_EQ(realigned.add, 0);
  EXPECT_EQ(realigned.rbp, AT_UNWIND_RBP_AT_RBP);
  EXPECT_EQ(realigned.rbp_offset, 0);
  EXPECT_EQ(realigned.return_offset, -8);
  EXPECT_EQ(table.sides[1].cfa, AT_UNWIND_SIDE_AT_RSP);
  EXPECT_EQ(table.sides[1].offset, 8);
  EXPECT_EQ(table.sides[1].add, 8);
}

TEST(UnwindRows, DistancesTheRuleCannotHoldGoToTheSideTable) {
  const auto table = compile_one({DW_CFA_def_cfa_offset, 20, DW_CFA_advance_loc | 1, DW_CFA_def_cfa_offset, 0x80, 0x80,
                                  0x08, DW_CFA_advance_loc | 1, DW_CFA_def_cfa_offset, 0xf8, 0xff, 0x07});
  ASSERT_EQ(table.sides.size(), 2u);
  EXPECT_EQ(table.sides[0].offset, 20);
  EXPECT_EQ(table.sides[1].offset, 131'072);
  EXPECT_EQ(table.rows[2], (at_unwind_row{2, by_rsp(0x3fff)}));
}

TEST(UnwindRows, ReturnAddressAwayFromTheCfaGoesToTheSideTable) {
  const auto table = compile_one({DW_CFA_def_cfa_offset, 32, DW_CFA_offset | 16, 3, DW_CFA_offset | 6, 4});
  ASSERT_EQ(table.rows, (Rows{{0, AT_UNWIND_RULE(AT_UNWIND_SIDE, 0)}, {0x40, kInvalid}}));
  EXPECT_EQ(table.sides[0].cfa, AT_UNWIND_SIDE_RSP);
  EXPECT_EQ(table.sides[0].offset, 32);
  EXPECT_EQ(table.sides[0].return_offset, -24);
  EXPECT_EQ(table.sides[0].rbp, AT_UNWIND_RBP_AT_CFA);
  EXPECT_EQ(table.sides[0].rbp_offset, -32);
}

TEST(UnwindRows, NumbersWrittenLongerThanNeededAreRead) {
  const auto table =
      compile_one({DW_CFA_def_cfa_offset, 0x90, 0x80, 0x80, 0x80, 0x80, 0x00, DW_CFA_advance_loc | 1,
                   DW_CFA_def_cfa_expression, 7, DW_OP_breg6, 0xf0, 0xff, 0xff, 0xff, 0x7f, DW_OP_deref});
  EXPECT_EQ(table.rows[0].rule, by_rsp(2));
  ASSERT_EQ(table.sides.size(), 1u);
  EXPECT_EQ(table.sides[0].offset, -16);
}

TEST(UnwindRows, EqualSideRulesAreStoredOnce) {
  const auto table = compile_one({DW_CFA_def_cfa_offset, 20, DW_CFA_advance_loc | 1, DW_CFA_def_cfa_offset, 16,
                                  DW_CFA_advance_loc | 1, DW_CFA_def_cfa_offset, 20});
  EXPECT_EQ(table.sides.size(), 1u);
  EXPECT_EQ(table.rows[0].rule, table.rows[2].rule);
}

TEST(UnwindRows, RulesThatNeedOtherRegistersAreMarkedAndCounted) {
  for (const ByteWriter& odd :
       {ByteWriter{DW_CFA_register, 16, 5}, ByteWriter{DW_CFA_def_cfa_register, 10}, ByteWriter{DW_CFA_register, 6, 3},
        ByteWriter{DW_CFA_offset_extended, 7, 3}, ByteWriter{DW_CFA_val_expression, 6, 1, DW_OP_lit0},
        ByteWriter{DW_CFA_def_cfa_expression, 1, DW_OP_lit1}}) {
    const auto table = compile_one(odd);
    EXPECT_EQ(table.rows, (Rows{{0, AT_UNWIND_UNSUPPORTED}, {0x40, kInvalid}}));
    EXPECT_EQ(table.stats.unsupported_rows, 1u);
  }
}

TEST(UnwindRows, InstructionNobodyKnowsEndsTheFunctionThere) {
  const auto table = compile_one({DW_CFA_advance_loc | 8, 0x3f, DW_CFA_advance_loc | 8, DW_CFA_def_cfa_offset, 16});
  EXPECT_EQ(table.rows, (Rows{{0, by_rsp(1)}, {8, kInvalid}}));
  EXPECT_EQ(table.stats.broken, 1u);
}

TEST(UnwindRows, FrameSectionIsFoundWithoutSectionHeaders) {
  FrameSection section;
  section.function(section.common(), kCodeVaddr, 0x40, {});
  section.bytes().raw(uint32_t{0}).raw(uint32_t{0x31323334});  // the terminator, then what lies behind the section
  test::ImageParts parts;
  parts.eh_frame = &section.bytes().bytes();
  parts.section_headers = false;
  const auto table = compile(test::build_image(parts));
  EXPECT_EQ(table.rows, (Rows{{0, by_rsp(1)}, {0x40, kInvalid}}));
  EXPECT_EQ(table.stats.broken, 0u);
}

TEST(UnwindRows, DebugFrameFillsInWhereEhFrameCoversLittle) {
  FrameSection eh;
  eh.function(eh.common(), kCodeVaddr, 0x40, {});
  FrameSection debug(FrameSection::Kind::DebugFrame);
  const size_t common = debug.common();
  debug.function(common, kCodeVaddr, 0x40, {DW_CFA_def_cfa_offset, 24});
  debug.function(common, kCodeVaddr + 0x40, 0x40, {DW_CFA_def_cfa_offset, 16});
  test::ImageParts parts;
  parts.eh_frame = &eh.bytes().bytes();
  parts.debug_frame = &debug.bytes().bytes();
  EXPECT_EQ(compile(test::build_image(parts)).rows, (Rows{{0, by_rsp(1)}, {0x40, by_rsp(2)}, {0x80, kInvalid}}));
  parts.code_bytes = 0x80;
  EXPECT_EQ(compile(test::build_image(parts)).rows, (Rows{{0, by_rsp(1)}, {0x40, kInvalid}})) << "half is enough";
}

TEST(UnwindRows, ImageWithoutFrameInformationHasNoRules) {
  const auto table = compile(test::build_image(test::ImageParts{}));
  EXPECT_EQ(table.rows, (Rows{{0, kInvalid}}));
  EXPECT_EQ(rule_at(table, kCodeVaddr), kInvalid);
}

/// A table with functions of random sizes: rows from one a byte to one in several blocks.
UnwindTable random_table(size_t functions) {
  std::mt19937 random(functions);
  FrameSection section;
  const size_t common = section.common();
  uint64_t at = 0x900;
  for (size_t i = 0; i < functions; i++) {
    ByteWriter instructions;
    const unsigned changes = random() % 40, stride = 1 + random() % 60;
    for (unsigned change = 0; change < changes; change++)
      instructions.append({static_cast<int>(DW_CFA_advance_loc | (1 + random() % stride)), DW_CFA_def_cfa_offset,
                           static_cast<int>(8 * (1 + random() % 15))});
    if (i % 7 == 0) instructions.append({DW_CFA_advance_loc | 1, DW_CFA_def_cfa_offset, static_cast<int>(9 + i % 5)});
    section.function(common, kCodeVaddr + at, 2600, instructions);
    at += 2600 + random() % 3000;
  }
  test::ImageParts parts;
  parts.code_bytes = at;
  parts.eh_frame = &section.bytes().bytes();
  return compile(test::build_image(parts));
}

uint32_t rule_by_linear_search(const UnwindTable& table, uint64_t offset) {
  uint32_t rule = kInvalid;
  for (const at_unwind_row& row : table.rows) {
    if (row.pc > offset) break;
    rule = row.rule;
  }
  return rule;
}

TEST(UnwindRows, BlockLookupFindsWhatALinearSearchFinds) {
  const auto table = random_table(30);
  ASSERT_GT(table.rows.size(), 300u);
  for (uint64_t offset = 0; offset < table.rows.back().pc + 3000; offset++)
    ASSERT_EQ(rule_at(table, kCodeVaddr + offset), rule_by_linear_search(table, offset)) << offset;
  EXPECT_EQ(rule_at(table, kCodeVaddr - 1), kInvalid);
  EXPECT_EQ(rule_at(table, UINT64_MAX), kInvalid);
}

TEST(UnwindRows, BlockWithARowOnEveryByteIsSearchedToItsLastByte) {
  FrameSection section;
  ByteWriter instructions;
  for (int i = 0; i < 1100; i++) instructions.append({DW_CFA_advance_loc | 1, DW_CFA_def_cfa_offset, 8 + i % 2 * 8});
  section.function(section.common(), kCodeVaddr, 1100, instructions);
  const auto table = compile(section);
  EXPECT_EQ(table.blocks[1].count, AT_UNWIND_BLOCK_BYTES);
  for (uint64_t offset = 0; offset < 1101; offset++)
    ASSERT_EQ(rule_at(table, kCodeVaddr + offset), rule_by_linear_search(table, offset)) << offset;
}

TEST(UnwindRows, PlacedBlocksNeverStraddleChunksAndGiveTheSameRules) {
  const auto table = random_table(60);
  std::vector<uint32_t> side_indices;
  for (size_t i = 0; i < table.sides.size(); i++) side_indices.push_back(static_cast<uint32_t>(100 + i));
  const auto rows = static_cast<uint32_t>(table.rows.size());
  for (uint32_t before_edge = 0; before_edge < rows; before_edge += 7) {
    const uint32_t first = AT_UNWIND_CHUNK_ROWS - before_edge;
    const auto placed = place_unwind_table(table, first, side_indices);
    ASSERT_EQ(placed.blocks.size(), table.blocks.size());
    Rows pool(2 * AT_UNWIND_CHUNK_ROWS);
    std::copy(placed.rows.begin(), placed.rows.end(), pool.begin() + first);
    for (size_t i = 0; i < placed.blocks.size(); i++) {
      const at_unwind_block& block = placed.blocks[i];
      const uint32_t chunk = block.row / AT_UNWIND_CHUNK_ROWS;
      ASSERT_EQ((block.row + block.count - 1) / AT_UNWIND_CHUNK_ROWS, chunk);
      for (uint32_t offset = static_cast<uint32_t>(i) << AT_UNWIND_BLOCK_SHIFT, n = 0; n < 16; n++, offset += 33) {
        uint32_t rule = at_unwind_search(pool.data() + chunk * AT_UNWIND_CHUNK_ROWS, AT_UNWIND_CHUNK_ROWS - 1,
                                         block.row, block.count, offset);
        if (offset >> AT_UNWIND_BLOCK_SHIFT != i) break;
        if (AT_UNWIND_TYPE(rule) == AT_UNWIND_SIDE) rule -= AT_UNWIND_RULE(0, 100);
        ASSERT_EQ(rule, rule_at(table, kCodeVaddr + offset));
      }
    }
  }
}

TEST(UnwindRows, BiasTurnsAddressesOfAnyPartOfAMappingIntoOffsets) {
  FrameSection section;
  section.function(section.common(), kCodeVaddr, 0x40, {});
  const auto table = compile(section);
  const auto whole = mapping_bias(table, 0x7f0000001000, 0x1000);
  ASSERT_TRUE(whole);
  EXPECT_EQ(*whole, 0x7f0000001000u);
  EXPECT_EQ(mapping_bias(table, 0x7f0000002000, 0x2000), whole) << "a later part of the same segment";
  EXPECT_FALSE(mapping_bias(table, 0x7f0000000000, 0x0));
  EXPECT_FALSE(mapping_bias(table, 0x7f0000000000, 0x5000));
}

TEST(UnwindRows, MappingSearchFindsEachMappingAndNoGap) {
  std::vector<at_unwind_process> storage(1);
  at_unwind_process& process = storage.front();
  for (const uint32_t count : {0u, 1u, 2u, 3u, 100u, 511u, 512u}) {
    process.mapping_count = count;
    for (uint32_t i = 0; i < count; i++) {
      process.mappings[i].start = 0x1000 * (2 * i + 1);
      process.mappings[i].end = process.mappings[i].start + 0x1000;
    }
    EXPECT_EQ(at_unwind_search_mappings(&process, 0xfff), AT_UNWIND_NO_MAPPING);
    for (uint32_t i = 0; i < count; i++) {
      EXPECT_EQ(at_unwind_search_mappings(&process, process.mappings[i].start), i);
      EXPECT_EQ(at_unwind_search_mappings(&process, process.mappings[i].end - 1), i);
      EXPECT_EQ(at_unwind_search_mappings(&process, process.mappings[i].end), AT_UNWIND_NO_MAPPING);
    }
  }
}

TEST(UnwindRows, VdsoImageInMemoryHasRulesForItsFunctions) {
  const auto* vdso = reinterpret_cast<const std::byte*>(getauxval(AT_SYSINFO_EHDR));
  if (!vdso) GTEST_SKIP() << "this kernel maps no vdso";
  const auto* header = reinterpret_cast<const Elf64_Ehdr*>(vdso);
  const uint64_t size = header->e_shoff + uint64_t{header->e_shnum} * header->e_shentsize;
  const auto table = compile({vdso, size});
  EXPECT_GT(table.stats.functions, 3u);
  EXPECT_EQ(table.stats.broken, 0u);
  EXPECT_GT(table.rows.size(), 10u);
}

}  // namespace
}  // namespace alloctrail
