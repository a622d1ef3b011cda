// SPDX-License-Identifier: Apache-2.0
#include "user/analysis/frame_origin.h"

#include <algorithm>
#include <array>
#include <string_view>

namespace alloctrail {
namespace {

// glibc (its parts were libraries of their own before 2.34), musl, and what the compiler links to every program.
constexpr std::array<std::string_view, 17> kSystemModules = {
    "libc.so",  "libc-2.",    "libc.musl", "ld-linux",  "ld-2.",      "ld-musl",   "libpthread.", "libpthread-", "libm.so",
    "libdl.so", "librt.so", "libgcc_s.", "libresolv.", "libnss_", "libnsl.", "libanl.",     "linux-vdso"};

// Where a statically linked program has them: its start, its threads' start, and what allocates on behalf of a caller.
constexpr std::array<std::string_view, 33> kSystemFunctions = {
    "_start",     "__libc_start_main", "__libc_start_call_main", "libc_start_main_stage2", "_start_c", "start_thread",
    "clone",             "__clone",                "clone3",                 "__clone3", "__clone_internal",
    "strdup",     "__strdup",          "strndup",                "__strndup",              "asprintf", "__asprintf",
    "vasprintf",  "__vasprintf",       "getline",                "getdelim",               "__getdelim", "_IO_getdelim",
    "fopen",      "fopen64",           "__fopen_internal",       "_IO_file_doallocate",    "_IO_doallocbuf", "open_memstream",
    "opendir",    "realpath",          "getcwd",                 "qsort"};

std::string_view base_name(std::string_view path) {
  return path.substr(path.rfind('/') + 1);
}

bool is_linked_in(const Frame& frame) {
  return frame.file.empty() || frame.file.starts_with("../sysdeps/") || frame.file.starts_with("./");
}

}  // namespace

bool is_standard_library_frame(const Frame& frame) {
  const std::string_view file = frame.file;
  const std::string_view function = frame.function;
  if (file.find("/include/c++/") != file.npos || file.find("/c++/v1/") != file.npos) return true;
  if (!file.empty()) return false;
  if (function.starts_with("std::") || function.starts_with("__gnu_cxx::")) return true;
  const std::string_view base = base_name(frame.module);
  return base.starts_with("libstdc++.") || base.starts_with("libc++.");
}

bool is_system_frame(const Frame& frame) {
  if (frame.module == "[vdso]") return true;
  const std::string_view base = base_name(frame.module);
  if (std::any_of(kSystemModules.begin(), kSystemModules.end(), [&](auto name) { return base.starts_with(name); }))
    return true;
  return is_linked_in(frame) &&
         std::find(kSystemFunctions.begin(), kSystemFunctions.end(), frame.function) != kSystemFunctions.end();
}

}  // namespace alloctrail
