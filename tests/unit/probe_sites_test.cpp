// SPDX-License-Identifier: Apache-2.0
// Probe sites in the allocators that distributions ship (probe_sites/functions.txt: eleven suites, glibc 2.31 to 2.44),
// and in code made at random.
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <optional>
#include <random>
#include <sstream>
#include <vector>

#include "probe_site_property.h"

namespace alloctrail {
namespace {

using Bytes = std::vector<uint8_t>;

constexpr std::string_view kEndbr64 = "f30f1efa";

const Decoder& decoder() {
  static const std::unique_ptr<Decoder> instance = make_decoder(Architecture::X86_64);
  return *instance;
}

Bytes from_hex(std::string_view text) {
  Bytes out;
  for (size_t i = 0; i + 1 < text.size(); i += 2)
    out.push_back(static_cast<uint8_t>(std::stoul(std::string(text.substr(i, 2)), nullptr, 16)));
  return out;
}

/// A row of the file.
struct ShippedFunction {
  std::string package;
  std::string name;
  at_shape shape = AT_SHAPE_SIZE;
  SiteUse use = SiteUse::EntryOnly;
  std::optional<uint32_t> site;  ///< none: the entry, single-stepped
  uint32_t pushed_bytes = 0;
  std::string code;
};

void PrintTo(const ShippedFunction& function, std::ostream* out) {
  *out << function.package << ": " << function.name;
}

at_shape shape_of(const std::string& word) {
  static const std::map<std::string, at_shape> shapes{
      {"size", AT_SHAPE_SIZE},
      {"align_size", AT_SHAPE_ALIGN_SIZE},
      {"count_size", AT_SHAPE_COUNT_SIZE},
      {"out_align_size", AT_SHAPE_OUT_ALIGN_SIZE},
      {"realloc", AT_SHAPE_REALLOC},
      {"realloc_array", AT_SHAPE_REALLOC_ARRAY},
      {"free", AT_SHAPE_FREE},
  };
  return shapes.at(word);
}

ShippedFunction parse_row(const std::string& package, const std::string& line) {
  std::istringstream words(line);
  std::string shape, use, site;
  ShippedFunction row;
  row.package = package;
  words >> row.name >> shape >> use >> site >> row.code;
  row.shape = shape_of(shape);
  row.use = use == "return" ? SiteUse::EntryAndReturn : SiteUse::EntryOnly;
  if (site == "stepped") return row;
  size_t used = 0;
  row.site = static_cast<uint32_t>(std::stoul(site.substr(1), &used));
  if (++used < site.size()) row.pushed_bytes = static_cast<uint32_t>(std::stoul(site.substr(used + 1)));
  return row;
}

std::vector<ShippedFunction> read_rows() {
  std::ifstream file(PROBE_SITES_FILE);
  std::vector<ShippedFunction> rows;
  std::string package;
  for (std::string line; std::getline(file, line);) {
    if (line.empty() || line.front() == '#') continue;
    if (line.front() == '[')
      package = line.substr(1, line.find(']') - 1);
    else
      rows.push_back(parse_row(package, line));
  }
  return rows;
}

const std::vector<ShippedFunction>& shipped_functions() {
  static const std::vector<ShippedFunction> rows = read_rows();
  return rows;
}

SiteChoice choose(const ShippedFunction& row, const Bytes& code) {
  return choose_site(decoder(), code, row.shape, row.use);
}

void expect_site(const ShippedFunction& row, const SiteChoice& choice, uint32_t moved_by) {
  EXPECT_EQ(choice.offset, row.site ? *row.site + moved_by : 0) << choice.reason;
  EXPECT_EQ(choice.emulated, row.site.has_value()) << choice.reason;
  EXPECT_EQ(choice.pushed_bytes, row.pushed_bytes) << choice.reason;
}

TEST(ShippedAllocators, AreReadFromTheFile) {
  std::map<std::string, int> packages;
  for (const ShippedFunction& row : shipped_functions())
    ++packages[row.package.substr(row.package.find(": ") + 2, 5)];  // the beginning of the package's name
  for (const char* name : {"libc6", "musl ", "libje", "libgo", "libtc", "libmi", "libst"})
    EXPECT_GT(packages[name], 10) << name;
}

TEST(ShippedAllocators, SiteIsTheExpectedInstruction) {
  for (const ShippedFunction& row : shipped_functions()) {
    SCOPED_TRACE(testing::PrintToString(row));
    expect_site(row, choose(row, from_hex(row.code)), 0);
  }
}

/// The code up to the site, four bytes on. What follows is left out: its jumps would lead elsewhere.
Bytes behind_endbr64(const ShippedFunction& row) {
  Bytes code = from_hex(row.code);
  if (row.site) code.resize(*row.site + decoder().decode(std::span(code).subspan(*row.site), 0)->length);
  const Bytes prefix = from_hex(kEndbr64);
  code.insert(code.begin(), prefix.begin(), prefix.end());
  return code;
}

TEST(ShippedAllocators, SiteLiesBehindALeadingEndbr64) {
  for (const ShippedFunction& row : shipped_functions()) {
    if (row.code.starts_with(kEndbr64) || row.site > kMaxSiteOffset - 5) continue;
    SCOPED_TRACE(testing::PrintToString(row));
    expect_site(row, choose(row, behind_endbr64(row)), 4);
  }
}

TEST(ShippedAllocators, CodeCutShortAnywhereHasTheSameSiteOrNone) {
  for (const ShippedFunction& row : shipped_functions()) {
    SCOPED_TRACE(testing::PrintToString(row));
    const Bytes code = from_hex(row.code);
    for (size_t size = 1; size < code.size(); ++size) {
      const SiteChoice choice = choose_site(decoder(), std::span(code).first(size), row.shape, row.use);
      EXPECT_LT(choice.offset, size);
      EXPECT_TRUE(choice.offset == 0 || choice.offset == row.site) << choice.reason;
    }
  }
}

/// Code for one round: made of what prologues are made of, so that it often has a site, or of a real function with
/// bytes replaced, or of anything.
Bytes random_code(std::mt19937& random) {
  static const char* const kPieces[] = {"55",   "4154",     "4885ff", "7405",         "4889f8", "4883ec18",
                                        "31c0", "f30f1efa", "90",     "0f8410000000", "ebf0",   "89d6"};
  Bytes out;
  switch (random() % 3) {
    case 0:
      for (unsigned pieces = 1 + random() % 12; pieces > 0; --pieces) {
        const Bytes piece = from_hex(kPieces[random() % std::size(kPieces)]);
        out.insert(out.end(), piece.begin(), piece.end());
        if (random() % 4 == 0) out.push_back(static_cast<uint8_t>(random()));
      }
      return out;
    case 1:
      out = from_hex(shipped_functions()[random() % shipped_functions().size()].code);
      for (unsigned changes = 1 + random() % 3; changes > 0; --changes)
        out[random() % out.size()] = static_cast<uint8_t>(random());
      return out;
    default:
      out.resize(1 + random() % 80);
      for (uint8_t& byte : out) byte = static_cast<uint8_t>(random());
      return out;
  }
}

TEST(ShippedAllocators, CodeMadeAtRandomNeverYieldsAWrongSite) {
  std::mt19937 random(42);
  int moved = 0;
  for (int round = 0; round < 60'000; ++round) {
    const Bytes code = random_code(random);
    const SiteUse use = random() % 2 == 0 ? SiteUse::EntryOnly : SiteUse::EntryAndReturn;
    const auto shape = static_cast<at_shape>(random() % AT_SHAPE_COUNT);
    const SiteChoice choice = choose_site(decoder(), code, shape, use);
    ASSERT_EQ(test::what_is_wrong_with(choice, decoder(), code, shape, use), "") << choice.reason;
    moved += choice.offset != 0;
  }
  EXPECT_GT(moved, 5'000);
}

}  // namespace
}  // namespace alloctrail
