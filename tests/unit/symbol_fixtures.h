// SPDX-License-Identifier: Apache-2.0
// The fixture libraries of tests/workloads/symbols as bytes.
#pragma once

#include <elf.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "user/handles.h"

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

}  // namespace alloctrail::test
