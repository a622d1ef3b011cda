// SPDX-License-Identifier: Apache-2.0
#include "user/elf/elf_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <map>
#include <random>

#include "elf_image.h"
#include "user/elf/probe_plan.h"

namespace alloctrail {
namespace {

using test::Bytes;
using test::ElfImage;
using test::file_of;

const Bytes kMalloc = {0x55, 0x31, 0xc0, 0x5d, 0xc3};            // push %rbp; xor %eax,%eax; pop %rbp; ret
const Bytes kFree = {0x48, 0x85, 0xff, 0x74, 0x01, 0x55, 0xc3};  // test %rdi,%rdi; je; push; ret

ElfImage sample() {
  ElfImage image;
  image.soname = "libsample.so.1";
  image.add("malloc", kMalloc);
  image.add("free", kFree, STB_WEAK);
  const size_t imported = image.import("calloc");
  image.add("aligned_alloc", ElfImage::transfer(0xe9, 3, 0, imported));
  return image;
}

Error open_error(const Bytes& content) {
  const UniqueFd fd = file_of(content);
  auto file = CodeFile::open(fd.get(), "some.so");
  EXPECT_FALSE(file);
  return file ? Error{} : file.error();
}

TEST(CodeFile, FunctionsOfTheSymbolTableAreVisitedWithAddressAndSize) {
  const UniqueFd fd = file_of(sample().build());
  auto file = CodeFile::open(fd.get(), "some.so");
  ASSERT_TRUE(file) << file.error().message;
  std::map<std::string, std::pair<uint64_t, uint64_t>> found;
  file->each_function([&](const ElfFunction& function) {
    found[std::string(function.name)] = {function.address, function.size};
  });
  const std::map<std::string, std::pair<uint64_t, uint64_t>> expected = {{"malloc", {ElfImage::address(0), 5}},
                                                                         {"free", {ElfImage::address(1), 7}},
                                                                         {"aligned_alloc", {ElfImage::address(3), 5}}};
  EXPECT_EQ(found, expected);
}

TEST(CodeFile, SonameAndImportsAreRead) {
  const UniqueFd fd = file_of(sample().build());
  auto file = CodeFile::open(fd.get(), "some.so");
  ASSERT_TRUE(file);
  EXPECT_EQ(file->soname(), "libsample.so.1");
  EXPECT_EQ(file->interpreter(), "");
  EXPECT_FALSE(file->is_glibc_loader());
  EXPECT_EQ(file->imported_function(ElfImage::kGotAddress), "calloc");
  EXPECT_EQ(file->imported_function(ElfImage::kGotAddress + 8), "");
  EXPECT_TRUE(file->imports("calloc"));
  EXPECT_FALSE(file->imports("malloc"));
}

TEST(CodeFile, AddressesAndFileOffsetsAreTranslatedInsideSegmentsOnly) {
  const UniqueFd fd = file_of(sample().build());
  auto file = CodeFile::open(fd.get(), "some.so");
  ASSERT_TRUE(file);
  EXPECT_EQ(file->file_offset(ElfImage::address(1) + 3), ElfImage::file_offset(1) + 3);
  EXPECT_EQ(file->address_of(ElfImage::file_offset(1) + 3), ElfImage::address(1) + 3);
  EXPECT_EQ(file->file_offset(ElfImage::address(4)), std::nullopt);
  EXPECT_EQ(file->file_offset(ElfImage::address(0) - 1), std::nullopt);
  EXPECT_EQ(file->address_of(0), std::nullopt);
}

TEST(CodeFile, CodeIsReadUpToTheEndOfTheSegment) {
  const UniqueFd fd = file_of(sample().build());
  auto file = CodeFile::open(fd.get(), "some.so");
  ASSERT_TRUE(file);
  EXPECT_EQ(file->read_code(ElfImage::address(0), 5), kMalloc);
  EXPECT_EQ(file->read_code(ElfImage::address(4) - 3, 100), (Bytes{0xcc, 0xcc, 0xcc}));
  EXPECT_EQ(file->read_code(ElfImage::address(4), 100), Bytes{});
}

TEST(CodeFile, OwnBuildIdAndInterpreterAreRead) {
  const UniqueFd fd(open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
  auto file = CodeFile::open(fd.get(), "self");
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ(file->soname(), "");
  EXPECT_TRUE(file->interpreter().starts_with("/lib")) << file->interpreter();
  bool found = false;
  file->each_function([&](const ElfFunction& function) { found |= function.name == "main"; });
  EXPECT_TRUE(found);
}

TEST(CodeFile, BuildIdNoteIsRead) {
  Bytes image = sample().build();
  const Bytes note = {4, 0, 0, 0, 3, 0, 0, 0, 3, 0, 0, 0, 'G', 'N', 'U', 0, 0xab, 0x01, 0xff, 0};
  std::copy(note.begin(), note.end(), image.begin() + 0x200);
  Elf64_Phdr header{};
  header.p_type = PT_NOTE;
  header.p_offset = 0x200;
  header.p_filesz = note.size();
  std::memcpy(image.data() + sizeof(Elf64_Ehdr) + sizeof(Elf64_Phdr), &header, sizeof(header));
  image[offsetof(Elf64_Ehdr, e_phnum)] = 2;
  const UniqueFd fd = file_of(image);
  auto file = CodeFile::open(fd.get(), "some.so");
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ(file->build_id(), "ab01ff");
}

TEST(CodeFile, WhatIsNoElfFileIsRefusedWithItsName) {
  const Error error = open_error(Bytes(1000, 'x'));
  EXPECT_EQ(error.message, "some.so: not an ELF file");
  EXPECT_EQ(error.kind, ErrorKind::NotSupported);
  EXPECT_EQ(open_error({}).message, "some.so: not an ELF file");
}

TEST(CodeFile, OtherClassesAndMachinesAreRefused) {
  Bytes small = sample().build();
  small[EI_CLASS] = ELFCLASS32;
  EXPECT_EQ(open_error(small).message, "some.so: a 32-bit ELF file; only 64-bit programs can be traced");
  ElfImage arm = sample();
  arm.machine = EM_AARCH64;
  EXPECT_EQ(open_error(arm.build()).message, "some.so: an ELF file of another machine; only x86-64 can be traced");
}

TEST(CodeFile, FileCutBeforeItsSectionHeadersIsCalledTruncated) {
  Bytes image = sample().build();
  image.resize(image.size() - 1);
  EXPECT_EQ(open_error(image).message, "some.so: a truncated ELF file");
  image.resize(20);
  EXPECT_EQ(open_error(image).message, "some.so: a truncated ELF file");
}

TEST(CodeFile, NoPrefixOfAFileIsTakenForTheWhole) {
  const Bytes image = sample().build();
  for (size_t size = 0; size < image.size(); size += 7) {
    const UniqueFd fd = file_of(Bytes(image.begin(), image.begin() + static_cast<ptrdiff_t>(size)));
    EXPECT_FALSE(plan_probes(fd.get(), "cut")) << size;
  }
}

/// Plans a damaged file; whatever comes out must lie inside it.
void expect_harmless(const Bytes& image) {
  const UniqueFd fd = file_of(image);
  const auto plan = plan_probes(fd.get(), "damaged");
  if (!plan) return;
  for (const PlannedProbe& probe : plan->probes) ASSERT_LT(probe.file_offset, image.size());
}

TEST(CodeFile, FlippedBitsInASmallFileDoNoHarm) {
  const Bytes image = sample().build();
  std::mt19937 random(20240607);
  for (int round = 0; round < 6000; ++round) {
    Bytes damaged = image;
    for (unsigned flips = 1 + random() % 8; flips > 0; --flips) {
      // Text is full of padding; the tables behind it and the headers are where damage matters.
      const size_t headers = random() % 2 == 0
                                 ? random() % 0x80
                                 : ElfImage::kTextOffset + random() % (image.size() - ElfImage::kTextOffset);
      damaged[headers] ^= static_cast<uint8_t>(1u << random() % 8);
    }
    expect_harmless(damaged);
  }
}

TEST(CodeFile, RandomFieldsInTheHeadersDoNoHarm) {
  const Bytes image = sample().build();
  std::mt19937_64 random(77);
  const uint64_t odd[] = {
      0, 1, 0x7fffffff, 0xffffffff, UINT64_MAX, UINT64_MAX - 0x30fff, image.size(), image.size() - 1, 1u << 31};
  const size_t sections = image.size() - 7 * sizeof(Elf64_Shdr);
  for (int round = 0; round < 3000; ++round) {
    Bytes damaged = image;
    const size_t at = random() % 2 == 0 ? 16 + random() % 104 : sections + random() % (7 * sizeof(Elf64_Shdr) - 8);
    const uint64_t value = odd[random() % std::size(odd)];
    std::memcpy(damaged.data() + at, &value, 1u << random() % 4);
    expect_harmless(damaged);
  }
}

/// The C library this test runs with.
Bytes libc_image() {
  for (const char* path : {"/lib/x86_64-linux-gnu/libc.so.6", "/usr/lib64/libc.so.6", "/usr/lib/libc.so.6"}) {
    const UniqueFd fd(open(path, O_RDONLY | O_CLOEXEC));
    if (!fd) continue;
    Bytes content(static_cast<size_t>(lseek(fd.get(), 0, SEEK_END)));
    if (pread(fd.get(), content.data(), content.size(), 0) == static_cast<ssize_t>(content.size())) return content;
  }
  return {};
}

TEST(CodeFile, DamagedCLibraryDoesNoHarm) {
  const Bytes image = libc_image();
  if (image.empty()) GTEST_SKIP() << "no libc.so.6 found to damage";
  std::mt19937 random(5);
  for (int round = 0; round < 150; ++round) {
    Bytes damaged = image;
    for (int flips = 0; flips < 400; ++flips)
      damaged[round % 2 == 0 ? random() % damaged.size() : random() % 0x28000] ^=
          static_cast<uint8_t>(1u << random() % 8);
    std::copy_n(image.begin(), EI_NIDENT + 8, damaged.begin());  // or nothing but the first check is tried
    if (round % 5 == 0) damaged.resize(random() % damaged.size());
    expect_harmless(damaged);
  }
}

}  // namespace
}  // namespace alloctrail
