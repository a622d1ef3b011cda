// SPDX-License-Identifier: Apache-2.0
// Demangling: abi::__cxa_demangle and libiberty's rust_demangle, which knows Rust's old and new names, behind a bound on
// what they may produce.
#include "user/symbols/demangle.h"

#include <cxxabi.h>
#include <libiberty/demangle.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <memory>
#include <optional>
#include <utility>

namespace alloctrail {
namespace {

constexpr double kMaxEstimatedBytes = 16e6;
constexpr size_t kMaxReadableBytes = 64 * 1024;

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_upper(char c) {
  return c >= 'A' && c <= 'Z';
}
bool is_lower(char c) {
  return c >= 'a' && c <= 'z';
}

/// True at a reference to a part of the name that is written out again: "S_", "S1A_", "T_", "T0_" in C++, "B_", "Bx1_" in
/// Rust.
bool is_reference(std::string_view rest, bool is_rust) {
  if (is_rust ? rest[0] != 'B' : rest[0] != 'S' && rest[0] != 'T') return false;
  size_t at = 1;
  while (at < rest.size() && (is_digit(rest[at]) || is_upper(rest[at]) || (is_rust && is_lower(rest[at])))) ++at;
  return at < rest.size() && rest[at] == '_';
}

/// An upper bound for the length of the readable name. References may nest, so that 230 characters can stand for 140 MB
/// and 400 for more than any machine has: n references multiply the text by at most 3^(n/3) (n split into levels of 3),
/// a pack expansion by the number of its elements. Of 72,901 names in LLVM, clang and libstdc++ seven exceed the limit.
double estimated_bytes(std::string_view name) {
  const bool is_rust = name.starts_with("_R");
  int references = 0;
  int expansions = 0;
  size_t first_pack = name.size();
  for (size_t at = 0; at < name.size(); ++at) {
    const std::string_view rest = name.substr(at);
    if (is_reference(rest, is_rust)) ++references;
    if (rest.starts_with("Dp") || rest.starts_with("sp")) ++expansions;
    if (rest[0] == 'J') first_pack = std::min(first_pack, at);
  }
  const auto length = static_cast<double>(name.size());
  const auto pack = static_cast<double>(std::max<size_t>(name.size() - first_pack, 1));
  return length * std::pow(3.0, references / 3.0) * std::pow(pack, std::min(expansions, 32));
}

/// Takes over what a demangler has allocated.
std::optional<std::string> readable_text(char* allocated) {
  const std::unique_ptr<char, void (*)(void*)> owner(allocated, std::free);
  const std::string_view text(allocated == nullptr ? "" : allocated);
  if (text.empty() || text.size() > kMaxReadableBytes) return std::nullopt;
  return std::string(text);
}

std::optional<std::string> demangle_cxx(const std::string& name) {
  if (estimated_bytes(name) > kMaxEstimatedBytes) return std::nullopt;
  int status = 0;
  return readable_text(abi::__cxa_demangle(name.c_str(), nullptr, nullptr, &status));
}

/// Knows both manglings of Rust by their form, and hides the hash at the end of legacy names.
std::optional<std::string> demangle_rust(const std::string& name) {
  if (estimated_bytes(name) > kMaxEstimatedBytes) return std::nullopt;
  return readable_text(::rust_demangle(name.c_str(), DMGL_NO_OPTS));
}

}  // namespace

std::string demangle(std::string_view name) {
  std::string unchanged(name);
  if (name.size() > kMaxMangledBytes) return unchanged;
  std::optional<std::string> readable;
  if (name.starts_with("_R") || name.starts_with("_ZN")) readable = demangle_rust(unchanged);
  if (!readable && name.starts_with("_Z")) readable = demangle_cxx(unchanged);
  return std::move(readable).value_or(std::move(unchanged));
}

}  // namespace alloctrail
