// SPDX-License-Identifier: Apache-2.0
// Demangling: abi::__cxa_demangle behind a bound on what it may produce; legacy Rust names by hand.
#include "user/symbols/demangle.h"

#include <cxxabi.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdint>
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
bool is_hex(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'f');
}

/// True at "S_", "S1A_", "T_", "T0_": a reference to a part of the name that is written out again.
bool is_reference(std::string_view rest) {
  if (rest[0] != 'S' && rest[0] != 'T') return false;
  size_t at = 1;
  while (at < rest.size() && (is_digit(rest[at]) || (rest[at] >= 'A' && rest[at] <= 'Z'))) ++at;
  return at < rest.size() && rest[at] == '_';
}

/// An upper bound for the length of the readable name. References may nest, so that 230 characters can stand for 140 MB
/// and 400 for more than any machine has: n references multiply the text by at most 3^(n/3) (n split into levels of 3),
/// a pack expansion by the number of its elements. Of 72,901 names in LLVM, clang and libstdc++ seven exceed the limit.
double estimated_bytes(std::string_view name) {
  int references = 0;
  int expansions = 0;
  size_t first_pack = name.size();
  for (size_t at = 0; at < name.size(); ++at) {
    const std::string_view rest = name.substr(at);
    if (is_reference(rest)) ++references;
    if (rest.starts_with("Dp") || rest.starts_with("sp")) ++expansions;
    if (rest[0] == 'J') first_pack = std::min(first_pack, at);
  }
  const auto length = static_cast<double>(name.size());
  const auto pack = static_cast<double>(std::max<size_t>(name.size() - first_pack, 1));
  return length * std::pow(3.0, references / 3.0) * std::pow(pack, std::min(expansions, 32));
}

std::optional<std::string> demangle_cxx(const std::string& name) {
  if (estimated_bytes(name) > kMaxEstimatedBytes) return std::nullopt;
  int status = 0;
  const std::unique_ptr<char, void (*)(void*)> readable(abi::__cxa_demangle(name.c_str(), nullptr, nullptr, &status),
                                                        std::free);
  if (!readable || status != 0) return std::nullopt;
  const std::string_view text(readable.get());
  if (text.empty() || text.size() > kMaxReadableBytes) return std::nullopt;
  return std::string(text);
}

/// The character a legacy Rust escape stands for ("LT", "u7e"), 0 if it is none.
char rust_escape(std::string_view code) {
  static constexpr std::array<std::pair<std::string_view, char>, 8> kEscapes{
      {{"SP", '@'}, {"BP", '*'}, {"RF", '&'}, {"LT", '<'}, {"GT", '>'}, {"LP", '('}, {"RP", ')'}, {"C", ','}}};
  for (const auto& [text, character] : kEscapes) {
    if (code == text) return character;
  }
  unsigned value = 0;
  if (code.size() != 3 || code[0] != 'u') return 0;
  const auto [end, error] = std::from_chars(code.data() + 1, code.data() + code.size(), value, 16);
  const bool printable = error == std::errc() && end == code.data() + code.size() && value >= 0x20 && value < 0x7f;
  return printable ? static_cast<char>(value) : 0;
}

void append_rust_part(std::string_view part, std::string& out) {
  if (part.starts_with("_$")) part.remove_prefix(1);
  while (!part.empty()) {
    if (part.starts_with("..")) {
      out += "::";
      part.remove_prefix(2);
      continue;
    }
    const size_t close = part[0] == '$' ? part.find('$', 1) : std::string_view::npos;
    const char unescaped = close == std::string_view::npos ? '\0' : rust_escape(part.substr(1, close - 1));
    out += unescaped != 0 ? unescaped : part[0];
    part.remove_prefix(unescaped != 0 ? close + 1 : 1);
  }
}

bool is_rust_hash(std::string_view part) {
  return part.size() == 17 && part[0] == 'h' && std::all_of(part.begin() + 1, part.end(), is_hex);
}

/// "_ZN4core3fmt5write17h0123456789abcdefE" -> "core::fmt::write"; nothing if it is not such a name.
std::optional<std::string> demangle_rust(std::string_view name) {
  name.remove_prefix(3);
  std::string readable;
  while (!name.empty() && is_digit(name[0])) {
    size_t length = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), length);
    name.remove_prefix(static_cast<size_t>(end - name.data()));
    if (error != std::errc() || length == 0 || length > name.size()) return std::nullopt;
    const std::string_view part = name.substr(0, length);
    name.remove_prefix(length);
    const bool is_last = name == "E" || name.starts_with("E.");
    if (is_last) return is_rust_hash(part) && !readable.empty() ? std::optional(readable) : std::nullopt;
    if (!readable.empty()) readable += "::";
    append_rust_part(part, readable);
  }
  return std::nullopt;
}

}  // namespace

std::string demangle(std::string_view name) {
  std::string unchanged(name);
  if (name.size() > kMaxMangledBytes || !name.starts_with("_Z")) return unchanged;
  if (name.starts_with("_ZN")) {
    if (auto rust = demangle_rust(name)) return *std::move(rust);
  }
  return demangle_cxx(unchanged).value_or(unchanged);
}

}  // namespace alloctrail
