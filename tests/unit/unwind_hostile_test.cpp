// SPDX-License-Identifier: Apache-2.0
// The unwind compiler on files that lie: no crash, no hang, bounded memory, and tables that can be searched safely
// whatever they were made from. ALLOCTRAIL_UNWIND_MUTATIONS sets how many random mutations are tried.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <random>

#include "tests/unit/unwind_image_builder.h"
#include "user/elf/unwind_rows.h"
#include "user/handles.h"

namespace alloctrail {
namespace {

using test::ByteWriter;
using test::FrameSection;
using test::kCodeVaddr;
using Bytes = std::vector<std::byte>;

/// What the kernel side relies on, for any input.
void expect_searchable(const UnwindTable& table) {
  ASSERT_FALSE(table.rows.empty());
  ASSERT_EQ(table.rows.front().pc, 0u);
  ASSERT_EQ(table.rows.back().rule, uint32_t{AT_UNWIND_INVALID});
  ASSERT_LE(table.rows.size(), kMaxUnwindRows + 1);
  for (size_t i = 0; i < table.rows.size(); i++) {
    const at_unwind_row& row = table.rows[i];
    const uint32_t type = AT_UNWIND_TYPE(row.rule);
    ASSERT_TRUE(i == 0 || table.rows[i - 1].pc < row.pc);
    ASSERT_TRUE(type != AT_UNWIND_SIDE || AT_UNWIND_VALUE(row.rule) < table.sides.size());
    ASSERT_LE(type, uint32_t{AT_UNWIND_UNSUPPORTED});
  }
  ASSERT_EQ(table.blocks.size(), table.rows.back().pc / AT_UNWIND_BLOCK_BYTES + 1);
  for (const at_unwind_block& block : table.blocks) {
    ASSERT_GE(block.count, 1u);
    ASSERT_LE(block.count, AT_UNWIND_BLOCK_BYTES);
    ASSERT_LE(uint64_t{block.row} + block.count, table.rows.size());
  }
}

void expect_survives(const Bytes& image) {
  const auto table = compile_unwind_table(image, "hostile");
  if (table) expect_searchable(*table);
}

Bytes read_file(const char* path) {
  const UniqueFd fd(::open(path, O_RDONLY | O_CLOEXEC));
  Bytes bytes(fd ? static_cast<size_t>(::lseek(fd.get(), 0, SEEK_END)) : 0);
  if (!bytes.empty() && ::pread(fd.get(), bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size()))
    bytes.clear();
  return bytes;
}

Bytes small_image() {
  FrameSection section;
  const size_t common = section.common();
  const size_t signal = section.common({DW_CFA_def_cfa_expression, 4, DW_OP_breg7, 0xa0, 1, DW_OP_deref}, "zRS");
  for (uint64_t i = 0; i < 20; i++)
    section.function(i % 5 == 4 ? signal : common, kCodeVaddr + i * 64, 60,
                     {DW_CFA_advance_loc | 1,
                      DW_CFA_def_cfa_offset,
                      16,
                      DW_CFA_offset | 6,
                      2,
                      DW_CFA_remember_state,
                      DW_CFA_advance_loc1,
                      3,
                      DW_CFA_def_cfa_register,
                      6,
                      DW_CFA_advance_loc | 9,
                      DW_CFA_restore_state,
                      DW_CFA_advance_loc | 1,
                      DW_CFA_def_cfa_expression,
                      3,
                      DW_OP_breg6,
                      0x70,
                      DW_OP_deref,
                      DW_CFA_advance_loc2,
                      2,
                      0,
                      DW_CFA_val_offset,
                      6,
                      1});
  return test::build_image(section);
}

TEST(UnwindHostile, FilesThatAreNotX86ElfAreErrors) {
  EXPECT_FALSE(compile_unwind_table(Bytes{}, "empty"));
  EXPECT_FALSE(compile_unwind_table(Bytes(100'000), "zeros"));
  Bytes other = small_image();
  other[EI_CLASS] = std::byte{ELFCLASS32};
  EXPECT_FALSE(compile_unwind_table(other, "32-bit"));
  other = small_image();
  other[offsetof(Elf64_Ehdr, e_machine)] = std::byte{183};
  const auto arm = compile_unwind_table(other, "lib/arm.so");
  ASSERT_FALSE(arm);
  EXPECT_EQ(arm.error().message, "lib/arm.so: not an ELF file for x86-64");
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const UniqueFd reading(ends[0]), writing(ends[1]);
  EXPECT_FALSE(compile_unwind_table(reading.get(), "pipe"));
  EXPECT_FALSE(compile_unwind_table(-1, "closed"));
}

TEST(UnwindHostile, FileCutShortAtAnyByteIsSurvived) {
  const Bytes image = small_image();
  ASSERT_TRUE(compile_unwind_table(image, "whole"));
  for (size_t size = 0; size < image.size(); size += size < 300 ? 1 : 7)
    expect_survives(Bytes(image.begin(), image.begin() + static_cast<ptrdiff_t>(size)));
}

TEST(UnwindHostile, FrameSectionThatClaimsTwoGibibytesIsLeftOut) {
  Bytes image = small_image();
  Elf64_Ehdr header;
  std::memcpy(&header, image.data(), sizeof header);
  auto* section = image.data() + header.e_shoff + sizeof(Elf64_Shdr);
  Elf64_Shdr frame;
  std::memcpy(&frame, section, sizeof frame);
  frame.sh_size = 2ull << 30;
  std::memcpy(section, &frame, sizeof frame);
  std::memset(image.data() + header.e_phoff + 2 * sizeof(Elf64_Phdr), 0, sizeof(Elf64_Phdr));

  const UniqueFd fd(::memfd_create("unwind", MFD_CLOEXEC));
  ASSERT_EQ(::write(fd.get(), image.data(), image.size()), static_cast<ssize_t>(image.size()));
  ASSERT_EQ(::ftruncate(fd.get(), 3ll << 30), 0);
  const auto table = compile_unwind_table(fd.get(), "sparse");
  ASSERT_TRUE(table);
  EXPECT_EQ(table->stats.functions, 0u);
  EXPECT_EQ(table->rows.size(), 1u);
}

TEST(UnwindHostile, StateRememberedWithoutEndBreaksOnlyItsFunction) {
  FrameSection section;
  const size_t common = section.common();
  ByteWriter nested;
  for (int i = 0; i < 5000; i++) nested.u8(DW_CFA_remember_state);
  section.function(common, kCodeVaddr, 0x40, nested);
  section.function(common, kCodeVaddr + 0x40, 0x40, {DW_CFA_restore_state});
  section.function(common, kCodeVaddr + 0x80, 0x40, {});
  const auto table = compile_unwind_table(test::build_image(section), "image");
  ASSERT_TRUE(table);
  expect_searchable(*table);
  EXPECT_EQ(table->stats.broken, 2u);
  EXPECT_EQ(rule_at(*table, kCodeVaddr), uint32_t{AT_UNWIND_INVALID});
  EXPECT_EQ(rule_at(*table, kCodeVaddr + 0x80), AT_UNWIND_FRAME(AT_UNWIND_CFA_RSP, 1, 0));
}

TEST(UnwindHostile, EntriesThatPointOutsideOrAtEachOtherAreCounted) {
  FrameSection section;
  const size_t common = section.common();
  section.function(common + 4, kCodeVaddr, 0x40, {});
  section.function(common - 4096, kCodeVaddr, 0x40, {});
  section.function(common, kCodeVaddr, 0, {});
  section.function(common, UINT64_MAX - 1, 0x40, {});
  const auto table = compile_unwind_table(test::build_image(section), "image");
  ASSERT_TRUE(table);
  EXPECT_EQ(table->stats.functions, 0u);
  EXPECT_EQ(table->stats.broken, 4u);
}

TEST(UnwindHostile, MoreRowsThanTheLimitAreCutAndSaidSo) {
  constexpr uint64_t kRows = kMaxUnwindRows + 100'000;
  FrameSection section;
  ByteWriter some, instructions;
  for (uint64_t i = 0; i < 1000; i++)
    some.append({DW_CFA_advance_loc | 1, DW_CFA_def_cfa_offset, static_cast<int>(8 + i % 2 * 8)});
  for (uint64_t i = 0; i < kRows / 1000; i++) instructions.append(some);
  section.function(section.common({DW_CFA_def_cfa_offset, 32}), kCodeVaddr, kRows, instructions);
  test::ImageParts parts;
  parts.eh_frame = &section.bytes().bytes();
  parts.code_bytes = kRows;
  parts.frame_vaddr = 0x10000000;
  const auto table = compile_unwind_table(test::build_image(parts), "image");
  ASSERT_TRUE(table);
  EXPECT_TRUE(table->stats.truncated);
  expect_searchable(*table);
  EXPECT_EQ(table->rows.size(), kMaxUnwindRows + 1);
}

size_t mutations(size_t otherwise) {
  const char* wanted = std::getenv("ALLOCTRAIL_UNWIND_MUTATIONS");
  return wanted ? std::strtoull(wanted, nullptr, 10) : otherwise;
}

/// Changes a few bytes or a word somewhere in the given range, compiles, and changes them back.
void mutate(Bytes& image, size_t first, size_t size, size_t count) {
  std::mt19937_64 random(size);
  const std::vector<uint64_t> words{0, 1, 0x7fffffff, 0xffffffff, 0x8000000000000000, UINT64_MAX};
  for (size_t i = 0; i < count; i++) {
    std::vector<std::pair<size_t, std::byte>> undo;
    const auto set = [&](size_t at, std::byte value) {
      undo.emplace_back(at, image[at]);
      image[at] = value;
    };
    for (size_t changes = 1 + random() % 8; changes > 0; changes--) {
      const size_t at = first + random() % size;
      if (random() % 4 != 0) {
        set(at, random() % 2 ? image[at] ^ std::byte{static_cast<uint8_t>(1u << random() % 8)} : std::byte(random()));
        continue;
      }
      const uint64_t word = words[random() % words.size()];
      for (size_t byte = 0; byte < 8 && at + byte < first + size; byte++) set(at + byte, std::byte(word >> (8 * byte)));
    }
    expect_survives(image);
    if (testing::Test::HasFatalFailure()) return;
    for (auto change = undo.rbegin(); change != undo.rend(); ++change) image[change->first] = change->second;
  }
}

TEST(UnwindHostile, RandomMutationsOfASmallImageAreSurvived) {
  Bytes image = small_image();
  mutate(image, 0, sizeof(Elf64_Ehdr) + 3 * sizeof(Elf64_Phdr), mutations(3'000));
  mutate(image, 0x3000, image.size() - 0x3000, mutations(10'000));
}

/// libc itself with its code and its frame section cut short, so that ten thousand of it take seconds.
struct ShortLibc {
  Bytes image;
  size_t frames = 0;  ///< where the section lies in the file
  size_t sections = 0;
  size_t section_bytes = 0;
};

ShortLibc short_libc(size_t code_bytes, size_t frame_bytes) {
  ShortLibc result{.image = read_file("/usr/lib/x86_64-linux-gnu/libc.so.6")};
  Elf64_Ehdr header{};
  if (result.image.size() < sizeof header) return {};
  std::memcpy(&header, result.image.data(), sizeof header);
  const auto whole = read_unwind_image(ImageReader(result.image), "libc");
  if (!whole) return {};
  result.sections = header.e_shoff;
  result.section_bytes = size_t{header.e_shnum} * sizeof(Elf64_Shdr);
  for (size_t i = 0; i < header.e_shnum; i++) {
    std::byte* place = result.image.data() + header.e_shoff + i * sizeof(Elf64_Shdr);
    Elf64_Shdr section;
    std::memcpy(&section, place, sizeof section);
    if (section.sh_addr != whole->eh_frame.vaddr) continue;
    result.frames = section.sh_offset;
    section.sh_size = frame_bytes;
    std::memcpy(place, &section, sizeof section);
  }
  for (size_t i = 0; i < header.e_phnum; i++) {
    std::byte* place = result.image.data() + header.e_phoff + i * sizeof(Elf64_Phdr);
    Elf64_Phdr segment;
    std::memcpy(&segment, place, sizeof segment);
    if (segment.p_type != PT_LOAD || (segment.p_flags & PF_X) == 0) continue;
    segment.p_filesz = segment.p_memsz = code_bytes;
    std::memcpy(place, &segment, sizeof segment);
  }
  // Without section headers the section ends where its terminator is.
  std::memset(result.image.data() + result.frames + frame_bytes, 0, 4);
  return result;
}

TEST(UnwindHostile, TenThousandMutationsOfLibcAreSurvived) {
  constexpr size_t kFrameBytes = 16384;
  ShortLibc libc = short_libc(256 * 1024, kFrameBytes);
  if (libc.frames == 0) GTEST_SKIP() << "no libc.so.6 to mutate";
  ASSERT_GT(compile_unwind_table(libc.image, "libc")->rows.size(), 500u);
  mutate(libc.image, 0, 1024, mutations(3'000));  // the ELF header and the program headers
  mutate(libc.image, libc.sections, libc.section_bytes, mutations(3'000));
  mutate(libc.image, libc.frames, kFrameBytes, mutations(3'000));
  std::mt19937_64 random(1);
  for (size_t i = 0; i < mutations(1'000) && !HasFatalFailure(); i++) {
    const size_t size = random() % libc.image.size();
    expect_survives(Bytes(libc.image.begin(), libc.image.begin() + static_cast<ptrdiff_t>(size)));
  }
}

/// libc's frame section, or a slice of it that begins with the section's first bytes, in a small image.
Bytes libc_frames(size_t max_bytes) {
  const Bytes libc = read_file("/usr/lib/x86_64-linux-gnu/libc.so.6");
  const auto image = read_unwind_image(ImageReader(libc), "libc");
  if (!image || image->segments.empty()) return {};
  const auto view = image->eh_frame.bytes.view;
  const Bytes frames(view.begin(), view.begin() + static_cast<ptrdiff_t>(std::min(max_bytes, view.size())));
  test::ImageParts parts;
  parts.eh_frame = &frames;
  parts.frame_vaddr = image->eh_frame.vaddr;
  parts.code_vaddr = 0x1000;
  parts.code_bytes = 0x190000;
  return test::build_image(parts);
}

TEST(UnwindHostile, RandomMutationsOfLibcsFramesAreSurvived) {
  constexpr size_t kFrameOffset = 0x1000 + 0x190000;
  Bytes slice = libc_frames(8192);
  if (slice.empty()) GTEST_SKIP() << "no libc.so.6 to mutate";
  ASSERT_GT(compile_unwind_table(slice, "slice")->rows.size(), 500u);
  mutate(slice, kFrameOffset, 8192, mutations(5'000));
  Bytes whole = libc_frames(SIZE_MAX);
  ASSERT_GT(compile_unwind_table(whole, "whole")->rows.size(), 20'000u);
  mutate(whole, kFrameOffset, whole.size() - kFrameOffset - 512, mutations(300));
}

}  // namespace
}  // namespace alloctrail
