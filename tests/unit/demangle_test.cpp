// SPDX-License-Identifier: Apache-2.0
#include "user/symbols/demangle.h"

#include <gtest/gtest.h>

#include <random>
#include <string>

namespace alloctrail {
namespace {

/// A name whose readable form doubles with each level: S<n>_ stands for everything before it.
std::string doubling_name(int levels) {
  const auto reference = [](int index) {
    const std::string digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    if (index == 0) return std::string("S_");
    std::string number;
    for (int rest = index - 1; rest > 0 || number.empty(); rest /= 36) number.insert(0, 1, digits[rest % 36]);
    return "S" + number + "_";
  };
  std::string name = "_Z1f1AIiiE";
  for (int level = 1; level <= levels; ++level) name += "S_I" + reference(level) + reference(level) + "E";
  return name;
}

TEST(Demangle, CxxNamesBecomeReadable) {
  EXPECT_EQ(demangle("_Z3foov"), "foo()");
  EXPECT_EQ(demangle("_ZNSt6vectorIiSaIiEE9push_backERKi"),
            "std::vector<int, std::allocator<int> >::push_back(int const&)");
  EXPECT_EQ(demangle("_ZN12_GLOBAL__N_13barEv"), "(anonymous namespace)::bar()");
  EXPECT_EQ(demangle("_ZZ4mainENKUlvE_clEv"), "main::{lambda()#1}::operator()() const");
  EXPECT_EQ(demangle("_ZN3fooEv.part.0"), "foo() [clone .part.0]");
}

TEST(Demangle, LegacyRustNamesLoseTheirHashAndEscapes) {
  EXPECT_EQ(demangle("_ZN4core3fmt5write17h0123456789abcdefE"), "core::fmt::write");
  EXPECT_EQ(
      demangle("_ZN66_$LT$alloc..vec..Vec$LT$T$GT$$u20$as$u20$core..ops..drop..Drop$GT$4drop17h0123456789abcdefE"),
      "<alloc::vec::Vec<T> as core::ops::drop::Drop>::drop");
  EXPECT_EQ(demangle("_ZN4main3run28_$u7b$$u7b$closure$u7d$$u7d$17hfedcba9876543210E.llvm.42"),
            "main::run::{{closure}}");
  EXPECT_EQ(demangle("_ZN6a$RF$b5c$C$d17h0123456789abcdefE"), "a&b::c,d");
}

TEST(Demangle, NewRustNamesBecomeReadable) {
  EXPECT_EQ(demangle("_RNvC3foo3bar"), "foo::bar");
  EXPECT_EQ(demangle("_RNvNtCs1234_7mycrate3foo3bar"), "mycrate::foo::bar");
  EXPECT_EQ(demangle("_RINvNtC3std3mem8align_ofjE"), "std::mem::align_of::<usize>");
  EXPECT_EQ(demangle("_RNCNvC4main3run0B2_"), "main::run::{closure#0}");
  EXPECT_EQ(demangle("_RNvMC3fooINtB2_3BarlE3baz"), "<foo::Bar<i32>>::baz");
  EXPECT_EQ(demangle("_RNvXs_C3fooNtB4_3BarNtNtC4core3fmt5Debug3fmt"), "<foo::Bar as core::fmt::Debug>::fmt");
}

TEST(Demangle, UnknownRustEscapesStayAsTheyAre) {
  EXPECT_EQ(demangle("_ZN5a$XY$5$u0a$17h0123456789abcdefE"), "a$XY$::$u0a$");
  EXPECT_EQ(demangle("_ZN4a$b$17h0123456789abcdefE"), "a$b$");
}

TEST(Demangle, NamesThatAreNotMangledComeBackUnchanged) {
  for (const std::string name : {"", "_", "_Z", "main", "malloc", "_start", "_R", "_RNv", "_RNvC3foo", "_Read", "_Zebra?", "_ZN", "_ZN3fo",
                                 "_ZN99999999999999999999fooE", "_ZN3foo\xff\xfe"}) {
    EXPECT_EQ(demangle(name), name);
  }
}

TEST(Demangle, NamesBeyondTheLimitComeBackUnchanged) {
  const auto name_of_length = [](size_t length) {
    const std::string hash = "17h0123456789abcdefE";
    const size_t rest = length - 3 - 4 - hash.size();
    return "_ZN" + std::to_string(rest) + std::string(rest, 'x') + hash;
  };
  const std::string longest = name_of_length(kMaxMangledBytes);
  ASSERT_EQ(longest.size(), kMaxMangledBytes);
  EXPECT_EQ(demangle(longest), std::string(kMaxMangledBytes - 27, 'x'));
  const std::string too_long = name_of_length(kMaxMangledBytes + 1);
  EXPECT_EQ(demangle(too_long), too_long);
}

TEST(Demangle, NamesThatWouldFillTheMemoryComeBackUnchanged) {
  EXPECT_EQ(
      demangle(doubling_name(3)),
      "f(A<int, int>, A<A<int, int>, A<int, int> >, A<A<A<int, int>, A<int, int> >, A<A<int, int>, A<int, int> > >, "
      "A<A<A<A<int, int>, A<int, int> >, A<A<int, int>, A<int, int> > >, A<A<A<int, int>, A<int, int> >, "
      "A<A<int, int>, A<int, int> > > >)");
  for (const int levels : {16, 40, 200, 700}) EXPECT_EQ(demangle(doubling_name(levels)), doubling_name(levels));
}

TEST(Demangle, MutatedNamesNeverCrash) {
  const std::string seeds[] = {
      "_ZNSt6vectorIiSaIiEE9push_backERKi",
      "_ZSt11make_uniqueI3FooJRKiDpOT_EENSt9_MakeUniqIT_E15__single_objectEDpOT0_",
      "_ZN66_$LT$alloc..vec..Vec$LT$T$GT$$u20$as$u20$core..ops..drop..Drop$GT$4drop17h0123456789abcdefE",
      "_RNvXs_C3fooNtB4_3BarNtNtC4core3fmt5Debug3fmt"};
  std::mt19937 random(1);
  size_t readable = 0;
  for (int i = 0; i < 40'000; ++i) {
    std::string name = seeds[i % 4];
    for (int change = 0; change < 3; ++change)
      name[2 + random() % (name.size() - 2)] = static_cast<char>(33 + random() % 94);
    readable += demangle(name) != name ? 1 : 0;
  }
  EXPECT_GT(readable, 0U);
}

}  // namespace
}  // namespace alloctrail
