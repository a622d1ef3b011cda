// SPDX-License-Identifier: Apache-2.0
// Mangled C++ and Rust names -> the names people write. Names come from the target's files: time and memory are
// bounded.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace alloctrail {

/// Longer names are returned as they are.
inline constexpr size_t kMaxMangledBytes = 8192;

/// The readable form of a C++ (Itanium) or Rust (legacy or v0) name. Anything else comes back unchanged: plain C names,
/// broken names, and those whose readable form could be too long to be of use.
[[nodiscard]] std::string demangle(std::string_view name);

}  // namespace alloctrail
