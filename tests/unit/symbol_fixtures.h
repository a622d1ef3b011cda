// SPDX-License-Identifier: Apache-2.0
// The fixture libraries of tests/workloads/symbols as bytes.
#pragma once

#include <elf.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdint>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "user/handles.h"
#include "user/symbols/symbolizer.h"

namespace alloctrail::test {

inline std::string fixture_path(const std::string& name) {
  return SYMBOLS_FIXTURE_DIR "/lib" + name + ".so";
}

inline std::vector<char> read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

inline UniqueFd memory_file(const std::vector<char>& bytes) {
  UniqueFd fd(::memfd_create("symbols_test", MFD_CLOEXEC));
  EXPECT_EQ(::write(fd.get(), bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
  return fd;
}

/// File offsets of the code: what a target's addresses can become.
inline std::vector<uint64_t> code_offsets(const std::vector<char>& image, uint64_t step) {
  const auto* header = reinterpret_cast<const Elf64_Ehdr*>(image.data());
  const auto* segments = reinterpret_cast<const Elf64_Phdr*>(image.data() + header->e_phoff);
  std::vector<uint64_t> offsets;
  for (int i = 0; i < header->e_phnum; ++i) {
    if (segments[i].p_type != PT_LOAD || (segments[i].p_flags & PF_X) == 0) continue;
    for (uint64_t at = 0; at < segments[i].p_filesz; at += step) offsets.push_back(segments[i].p_offset + at);
  }
  return offsets;
}

/// An address space in which a file is mapped, without any process.
class LoadedFile {
 public:
  explicit LoadedFile(const std::string& path) : image_(read_file(path)) {
    struct stat info {};
    EXPECT_EQ(::stat(path.c_str(), &info), 0);
    Mapping mapping;
    mapping.start = kStart;
    mapping.end = kStart + image_.size();
    mapping.file = {info.st_dev, info.st_ino};
    mapping.path = path;
    mapping.executable = true;
    space_ = {.pid = Tgid{0x7ffffff0}, .mappings = {mapping}};
  }
  [[nodiscard]] const AddressSpace& space() const { return space_; }
  /// All over its code.
  [[nodiscard]] std::vector<Addr> addresses() const {
    std::vector<Addr> result;
    for (const uint64_t offset : code_offsets(image_, 16)) result.push_back(Addr{kStart + offset});
    return result;
  }

 private:
  static constexpr uint64_t kStart = 1 << 20;
  std::vector<char> image_;
  AddressSpace space_;
};

}  // namespace alloctrail::test
