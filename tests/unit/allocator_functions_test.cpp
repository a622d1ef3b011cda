// SPDX-License-Identifier: Apache-2.0
#include "user/elf/allocator_functions.h"

#include <gtest/gtest.h>

#include <string>

namespace alloctrail {
namespace {

TEST(AllocatorFunctions, ShapesFollowTheFunctionsArguments) {
  const std::pair<const char*, at_shape> expected[] = {{"malloc", AT_SHAPE_SIZE},
                                                       {"valloc", AT_SHAPE_SIZE},
                                                       {"calloc", AT_SHAPE_COUNT_SIZE},
                                                       {"memalign", AT_SHAPE_ALIGN_SIZE},
                                                       {"realloc", AT_SHAPE_REALLOC},
                                                       {"reallocarray", AT_SHAPE_REALLOC_ARRAY},
                                                       {"free", AT_SHAPE_FREE},
                                                       {"posix_memalign", AT_SHAPE_OUT_ALIGN_SIZE},
                                                       {"_Znwm", AT_SHAPE_SIZE},
                                                       {"_ZnamSt11align_val_tRKSt9nothrow_t", AT_SHAPE_SIZE},
                                                       {"_ZdlPvm", AT_SHAPE_FREE},
                                                       {"sdallocx", AT_SHAPE_FREE},
                                                       {"rallocx", AT_SHAPE_REALLOC},
                                                       {"tc_memalign", AT_SHAPE_ALIGN_SIZE},
                                                       {"mi_malloc_aligned", AT_SHAPE_SIZE},
                                                       {"mi_new_n", AT_SHAPE_COUNT_SIZE}};
  for (const auto& [name, shape] : expected) {
    const auto function = find_allocator_function(name);
    ASSERT_TRUE(function) << name;
    EXPECT_EQ(function->shape, shape) << name;
  }
}

TEST(AllocatorFunctions, OnlyThrowingFormsOfNewThrow) {
  for (const char* name : {"_Znwm", "_Znam", "_ZnwmSt11align_val_t", "tc_newarray", "mi_new"})
    EXPECT_EQ(find_allocator_function(name)->role, Role::AllocateThrowing) << name;
  for (const char* name : {"_ZnwmRKSt9nothrow_t", "malloc", "tc_new_nothrow", "mi_new_aligned_nothrow"})
    EXPECT_EQ(find_allocator_function(name)->role, Role::Allocate) << name;
}

TEST(AllocatorFunctions, SimilarNamesAreNotTaken) {
  for (const char* name : {"", "mallo", "malloc_usable_size", "free_list", "_Znwj", "nallocx", "je_malloc_default",
                           "je_tc_free", "xallocx"})
    EXPECT_FALSE(find_allocator_function(name)) << name;
}

TEST(AllocatorFunctions, PrefixedJemallocIsFoundUnderItsPlainKind) {
  EXPECT_EQ(find_allocator_function("je_posix_memalign")->shape, AT_SHAPE_OUT_ALIGN_SIZE);
  EXPECT_EQ(find_allocator_function("_rjem_sdallocx")->shape, AT_SHAPE_FREE);
  EXPECT_EQ(find_allocator_function("je_malloc")->rank, find_allocator_function("malloc")->rank);
}

TEST(AllocatorFunctions, PlainNamesOutrankAnAllocatorsOwn) {
  EXPECT_LT(find_allocator_function("free")->rank, find_allocator_function("cfree")->rank);
  EXPECT_LT(find_allocator_function("cfree")->rank, find_allocator_function("_ZdlPv")->rank);
  EXPECT_LT(find_allocator_function("_ZdlPv")->rank, find_allocator_function("tc_delete")->rank);
}

TEST(AllocatorFunctions, MarksTellTheAllocator) {
  EXPECT_EQ(marked_allocator("mallctl"), Allocator::Jemalloc);
  EXPECT_EQ(marked_allocator("tc_malloc"), Allocator::Tcmalloc);
  EXPECT_EQ(marked_allocator("mi_malloc"), Allocator::Mimalloc);
  EXPECT_EQ(marked_allocator("libc.so.6"), Allocator::Glibc);
  EXPECT_EQ(marked_allocator("__malloc_donate"), Allocator::Musl);
  EXPECT_EQ(marked_allocator("malloc"), std::nullopt);
}

TEST(AllocatorFunctions, AllocatorLinkedIntoAProgramWithAllOfLibcWins) {
  EXPECT_GT(Allocator::Jemalloc, Allocator::Glibc);
  EXPECT_GT(Allocator::Mimalloc, Allocator::Musl);
  EXPECT_GT(Allocator::Musl, Allocator::Custom);
}

TEST(AllocatorFunctions, ReallocToZeroFreesWhereItReturnsNull) {
  for (const Allocator allocator : {Allocator::Glibc, Allocator::Jemalloc, Allocator::Tcmalloc, Allocator::Custom})
    EXPECT_TRUE(zero_realloc_frees(allocator)) << allocator_name(allocator);
  EXPECT_FALSE(zero_realloc_frees(Allocator::Musl));
  EXPECT_FALSE(zero_realloc_frees(Allocator::Mimalloc));
  EXPECT_TRUE(find_allocator_function("reallocarray")->zero_may_free);
  EXPECT_FALSE(find_allocator_function("rallocx")->zero_may_free);
}

TEST(AllocatorFunctions, FunctionsThatNeverReturnAreKnown) {
  for (const char* name : {"abort", "__cxa_throw", "_ZSt17__throw_bad_allocv", "_ZSt20__throw_system_errori"})
    EXPECT_TRUE(never_returns(name)) << name;
  for (const char* name : {"", "malloc", "_ZSt15get_new_handlerv"}) EXPECT_FALSE(never_returns(name)) << name;
}

}  // namespace
}  // namespace alloctrail
