// SPDX-License-Identifier: Apache-2.0
// A root folder for one program, as a container's: the program and copies of the libraries it needs.
#pragma once

#include <filesystem>
#include <sstream>
#include <string>

#include "tests/support/child.h"

namespace alloctrail::test {

inline void fill_root(const std::filesystem::path& root, const std::filesystem::path& program, const Deadline& deadline) {
  namespace fs = std::filesystem;
  fs::copy_file(program, root / program.filename());
  std::istringstream words(run({"/usr/bin/ldd", program.string()}, deadline));
  for (std::string word; words >> word;) {
    if (!word.starts_with('/')) continue;
    fs::create_directories((root / word.substr(1)).parent_path());
    fs::copy_file(fs::canonical(word), root / word.substr(1));
  }
}

}  // namespace alloctrail::test
