// SPDX-License-Identifier: Apache-2.0
#include "user/analysis/site_name.h"

#include <gtest/gtest.h>

#include "tests/unit/sample_snapshots.h"
#include "user/output/frame_text.h"

namespace alloctrail {
namespace {

using samples::bare_frame;
using samples::frame;
using samples::kLibc;

constexpr const char* kProgram = "/usr/bin/orders";
constexpr const char* kLibstdcxx = "/usr/lib/x86_64-linux-gnu/libstdc++.so.6";

std::string name(const std::vector<Frame>& frames) {
  const Stack stack{.frames = frames, .status = AT_STACK_complete};
  const auto naming = naming_frame(stack);
  return naming ? site_name_text(stack.frames[*naming]) : "none";
}

TEST(SiteName, IsTheInnermostFunctionOfTheProgramsOwn) {
  EXPECT_EQ(name({bare_frame(1, "malloc", kLibc, 1), frame(2, "OrderBook::add(Order const&)", "/src/book.cpp", 88),
                  frame(3, "main", "/src/main.cpp", 12), bare_frame(4, "__libc_start_call_main", kLibc, 4)}),
            "OrderBook::add");
}

TEST(SiteName, PassesOverLibcAndTheCppLibrary) {
  EXPECT_EQ(name({bare_frame(1, "malloc", kLibc, 1), bare_frame(2, "strdup", kLibc, 2),
                  frame(3, "copy_name", "/src/name.c", 3)}),
            "copy_name");
  EXPECT_EQ(name({bare_frame(1, "malloc", kLibc, 1), bare_frame(2, "operator new(unsigned long)", kLibstdcxx, 2),
                  frame(3, "std::__cxx11::list<int>::push_back(int)", "/usr/include/c++/12/bits/stl_list.h", 1306),
                  bare_frame(4, "std::string::append(char const*)", kLibstdcxx, 4),
                  frame(5, "Cache::insert(int)", "/src/cache.cpp", 5)}),
            "Cache::insert");
  EXPECT_EQ(name({bare_frame(1, "calloc", "/lib/ld-linux-x86-64.so.2", 1),
                  bare_frame(2, "_dl_new_object", "/lib/ld-linux-x86-64.so.2", 2), bare_frame(3, "dlopen", kLibc, 3),
                  bare_frame(4, "load_plugins", kProgram, 4)}),
            "load_plugins");
}

TEST(SiteName, KnowsTheCLibraryInsideAStaticProgram) {
  EXPECT_EQ(name({bare_frame(1, "__libc_malloc", kProgram, 1), bare_frame(2, "__strdup", kProgram, 2),
                  bare_frame(3, "copy_name", kProgram, 3), bare_frame(4, "__libc_start_call_main", kProgram, 4)}),
            "copy_name");
}

TEST(SiteName, AFunctionOfTheUsersWithALibraryNameIsTheUsers) {
  EXPECT_EQ(name({bare_frame(1, "malloc", kLibc, 1), frame(2, "getline", "/src/reader.c", 7),
                  frame(3, "main", "/src/main.c", 3)}),
            "getline");
}

TEST(SiteName, WellKnownWrappersGiveWayToTheirCallers) {
  EXPECT_EQ(name({bare_frame(1, "je_malloc", "/usr/lib/libjemalloc.so.2", 1),
                  bare_frame(2, "ztrymalloc_usable_internal", kProgram, 2), bare_frame(3, "zmalloc", kProgram, 3),
                  bare_frame(4, "createStringObject", kProgram, 4)}),
            "createStringObject");
  EXPECT_EQ(name({bare_frame(1, "malloc", kLibc, 1), bare_frame(2, "zmalloc", kProgram, 2),
                  bare_frame(3, "zmalloc_usable", kProgram, 3), bare_frame(4, "start_thread", kLibc, 4)}),
            "zmalloc");
  EXPECT_EQ(name({bare_frame(1, "malloc", kLibc, 1), bare_frame(2, "leak_malloc", kProgram, 2),
                  bare_frame(3, "main", kProgram, 3)}),
            "leak_malloc");
}

TEST(SiteName, WithoutAFrameOfTheUsersItIsWhoAskedTheAllocator) {
  EXPECT_EQ(name({bare_frame(1, "malloc", kLibc, 1), bare_frame(2, "getdelim", kLibc, 2)}), "getdelim");
  EXPECT_EQ(name({bare_frame(1, "malloc", kLibc, 1)}), "malloc");
  EXPECT_EQ(name({}), "none");
}

TEST(SiteName, AnUnknownFunctionIsNamedByItsPlace) {
  EXPECT_EQ(name({bare_frame(1, "malloc", kLibc, 1), bare_frame(0x1500, "", kProgram, 0x500)}), "orders+0x500");
  EXPECT_EQ(name({bare_frame(1, "malloc", kLibc, 1), bare_frame(0x1500, "", "", 0)}), "[anonymous memory]");
}

}  // namespace
}  // namespace alloctrail
