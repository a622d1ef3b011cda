// SPDX-License-Identifier: Apache-2.0
// The tables behind allocator_functions.h: public names of glibc, musl, jemalloc, tcmalloc, mimalloc and C++.
#include "user/elf/allocator_functions.h"

#include <algorithm>
#include <array>
#include <unordered_map>

namespace alloctrail {
namespace {

constexpr auto kAllocate = Role::Allocate;
constexpr auto kThrows = Role::AllocateThrowing;
constexpr auto kRelease = Role::Release;
constexpr bool kOperator = true;

/// Best known names first. Not here, and why:
/// - __libc_malloc and kin (glibc, tcmalloc, mimalloc): the same address as the plain name, or a jump to it.
/// - vfree, _aligned_malloc, mi_cfree, mi_new_realloc, mi_reallocarr (mimalloc): reach their block only through a
///   function that is here.
/// - nallocx, malloc_usable_size and kin: allocate nothing.
constexpr AllocatorFunction kFunctions[] = {
    // ISO C, POSIX, glibc, musl. reallocarray calls realloc through its symbol; the kernel side counts the outer call.
    {"malloc", AT_SHAPE_SIZE, kAllocate},
    {"free", AT_SHAPE_FREE, kRelease},
    {"calloc", AT_SHAPE_COUNT_SIZE, kAllocate},
    {.name = "realloc", .shape = AT_SHAPE_REALLOC, .zero_may_free = true},
    {.name = "reallocarray", .shape = AT_SHAPE_REALLOC_ARRAY, .zero_may_free = true},
    {"posix_memalign", AT_SHAPE_OUT_ALIGN_SIZE, kAllocate},
    {"aligned_alloc", AT_SHAPE_ALIGN_SIZE, kAllocate},
    {"memalign", AT_SHAPE_ALIGN_SIZE, kAllocate},
    {"valloc", AT_SHAPE_SIZE, kAllocate},
    {.name = "pvalloc", .shape = AT_SHAPE_SIZE, .rounds_size = true},
    {"cfree", AT_SHAPE_FREE, kRelease},
    {"free_sized", AT_SHAPE_FREE, kRelease},
    {"free_aligned_sized", AT_SHAPE_FREE, kRelease},
    {.name = "reallocf", .shape = AT_SHAPE_REALLOC, .zero_may_free = true},
    // jemalloc's own interface; realloc(p, 0) is undefined there.
    {"mallocx", AT_SHAPE_SIZE, kAllocate},
    {"rallocx", AT_SHAPE_REALLOC, kAllocate},
    {"dallocx", AT_SHAPE_FREE, kRelease},
    {"sdallocx", AT_SHAPE_FREE, kRelease},
    // C++: size_t is "m"; the block or its size is the first argument in every form.
    {"_Znwm", AT_SHAPE_SIZE, kThrows, kOperator},
    {"_Znam", AT_SHAPE_SIZE, kThrows, kOperator},
    {"_ZnwmSt11align_val_t", AT_SHAPE_SIZE, kThrows, kOperator},
    {"_ZnamSt11align_val_t", AT_SHAPE_SIZE, kThrows, kOperator},
    {"_ZnwmRKSt9nothrow_t", AT_SHAPE_SIZE, kAllocate, kOperator},
    {"_ZnamRKSt9nothrow_t", AT_SHAPE_SIZE, kAllocate, kOperator},
    {"_ZnwmSt11align_val_tRKSt9nothrow_t", AT_SHAPE_SIZE, kAllocate, kOperator},
    {"_ZnamSt11align_val_tRKSt9nothrow_t", AT_SHAPE_SIZE, kAllocate, kOperator},
    {"_ZdlPv", AT_SHAPE_FREE, kRelease, kOperator},
    {"_ZdaPv", AT_SHAPE_FREE, kRelease, kOperator},
    {"_ZdlPvm", AT_SHAPE_FREE, kRelease, kOperator},
    {"_ZdaPvm", AT_SHAPE_FREE, kRelease, kOperator},
    {"_ZdlPvRKSt9nothrow_t", AT_SHAPE_FREE, kRelease, kOperator},
    {"_ZdaPvRKSt9nothrow_t", AT_SHAPE_FREE, kRelease, kOperator},
    {"_ZdlPvSt11align_val_t", AT_SHAPE_FREE, kRelease, kOperator},
    {"_ZdaPvSt11align_val_t", AT_SHAPE_FREE, kRelease, kOperator},
    {"_ZdlPvmSt11align_val_t", AT_SHAPE_FREE, kRelease, kOperator},
    {"_ZdaPvmSt11align_val_t", AT_SHAPE_FREE, kRelease, kOperator},
    {"_ZdlPvSt11align_val_tRKSt9nothrow_t", AT_SHAPE_FREE, kRelease, kOperator},
    {"_ZdaPvSt11align_val_tRKSt9nothrow_t", AT_SHAPE_FREE, kRelease, kOperator},
    // Google's tcmalloc adds a hint how often the block will be used.
    {"_Znwm12__hot_cold_t", AT_SHAPE_SIZE, kThrows, kOperator},
    {"_Znam12__hot_cold_t", AT_SHAPE_SIZE, kThrows, kOperator},
    {"_ZnwmSt11align_val_t12__hot_cold_t", AT_SHAPE_SIZE, kThrows, kOperator},
    {"_ZnamSt11align_val_t12__hot_cold_t", AT_SHAPE_SIZE, kThrows, kOperator},
    {"_ZnwmRKSt9nothrow_t12__hot_cold_t", AT_SHAPE_SIZE, kAllocate, kOperator},
    {"_ZnamRKSt9nothrow_t12__hot_cold_t", AT_SHAPE_SIZE, kAllocate, kOperator},
    // tcmalloc's own names: in most builds second names of the functions above, in its debug build partly not.
    {"tc_malloc", AT_SHAPE_SIZE, kAllocate},
    {"tc_malloc_skip_new_handler", AT_SHAPE_SIZE, kAllocate},
    {"tc_free", AT_SHAPE_FREE, kRelease},
    {"tc_free_sized", AT_SHAPE_FREE, kRelease},
    {"tc_cfree", AT_SHAPE_FREE, kRelease},
    {"tc_calloc", AT_SHAPE_COUNT_SIZE, kAllocate},
    {.name = "tc_realloc", .shape = AT_SHAPE_REALLOC, .zero_may_free = true},
    {"tc_memalign", AT_SHAPE_ALIGN_SIZE, kAllocate},
    {"tc_posix_memalign", AT_SHAPE_OUT_ALIGN_SIZE, kAllocate},
    {"tc_valloc", AT_SHAPE_SIZE, kAllocate},
    {.name = "tc_pvalloc", .shape = AT_SHAPE_SIZE, .rounds_size = true},
    {"tc_new", AT_SHAPE_SIZE, kThrows},
    {"tc_newarray", AT_SHAPE_SIZE, kThrows},
    {"tc_new_aligned", AT_SHAPE_SIZE, kThrows},
    {"tc_newarray_aligned", AT_SHAPE_SIZE, kThrows},
    {"tc_new_nothrow", AT_SHAPE_SIZE, kAllocate},
    {"tc_newarray_nothrow", AT_SHAPE_SIZE, kAllocate},
    {"tc_new_aligned_nothrow", AT_SHAPE_SIZE, kAllocate},
    {"tc_newarray_aligned_nothrow", AT_SHAPE_SIZE, kAllocate},
    {"tc_delete", AT_SHAPE_FREE, kRelease},
    {"tc_deletearray", AT_SHAPE_FREE, kRelease},
    {"tc_delete_sized", AT_SHAPE_FREE, kRelease},
    {"tc_deletearray_sized", AT_SHAPE_FREE, kRelease},
    {"tc_delete_nothrow", AT_SHAPE_FREE, kRelease},
    {"tc_deletearray_nothrow", AT_SHAPE_FREE, kRelease},
    {"tc_delete_aligned", AT_SHAPE_FREE, kRelease},
    {"tc_deletearray_aligned", AT_SHAPE_FREE, kRelease},
    {"tc_delete_sized_aligned", AT_SHAPE_FREE, kRelease},
    {"tc_deletearray_sized_aligned", AT_SHAPE_FREE, kRelease},
    {"tc_delete_aligned_nothrow", AT_SHAPE_FREE, kRelease},
    {"tc_deletearray_aligned_nothrow", AT_SHAPE_FREE, kRelease},
    // mimalloc's own names; alignment and offset follow the size. Its plain names jump to these or share their address.
    {"mi_malloc", AT_SHAPE_SIZE, kAllocate},
    {"mi_malloc_small", AT_SHAPE_SIZE, kAllocate},
    {"mi_malloc_aligned", AT_SHAPE_SIZE, kAllocate},
    {"mi_malloc_aligned_at", AT_SHAPE_SIZE, kAllocate},
    {"mi_zalloc", AT_SHAPE_SIZE, kAllocate},
    {"mi_zalloc_small", AT_SHAPE_SIZE, kAllocate},
    {"mi_zalloc_aligned", AT_SHAPE_SIZE, kAllocate},
    {"mi_zalloc_aligned_at", AT_SHAPE_SIZE, kAllocate},
    {"mi_calloc", AT_SHAPE_COUNT_SIZE, kAllocate},
    {"mi_mallocn", AT_SHAPE_COUNT_SIZE, kAllocate},
    {"mi_calloc_aligned", AT_SHAPE_COUNT_SIZE, kAllocate},
    {"mi_calloc_aligned_at", AT_SHAPE_COUNT_SIZE, kAllocate},
    {"mi_realloc", AT_SHAPE_REALLOC, kAllocate},
    {"mi_reallocf", AT_SHAPE_REALLOC, kAllocate},
    {"mi_rezalloc", AT_SHAPE_REALLOC, kAllocate},
    {"mi_realloc_aligned", AT_SHAPE_REALLOC, kAllocate},
    {"mi_realloc_aligned_at", AT_SHAPE_REALLOC, kAllocate},
    {"mi_rezalloc_aligned", AT_SHAPE_REALLOC, kAllocate},
    {"mi_rezalloc_aligned_at", AT_SHAPE_REALLOC, kAllocate},
    {"mi_reallocn", AT_SHAPE_REALLOC_ARRAY, kAllocate},
    {"mi_reallocarray", AT_SHAPE_REALLOC_ARRAY, kAllocate},
    {"mi_recalloc", AT_SHAPE_REALLOC_ARRAY, kAllocate},
    {"mi_recalloc_aligned", AT_SHAPE_REALLOC_ARRAY, kAllocate},
    {"mi_recalloc_aligned_at", AT_SHAPE_REALLOC_ARRAY, kAllocate},
    {"mi_memalign", AT_SHAPE_ALIGN_SIZE, kAllocate},
    {"mi_aligned_alloc", AT_SHAPE_ALIGN_SIZE, kAllocate},
    {"mi_posix_memalign", AT_SHAPE_OUT_ALIGN_SIZE, kAllocate},
    {"mi_valloc", AT_SHAPE_SIZE, kAllocate},
    {.name = "mi_pvalloc", .shape = AT_SHAPE_SIZE, .rounds_size = true},
    {"mi_new", AT_SHAPE_SIZE, kThrows},
    {"mi_new_n", AT_SHAPE_COUNT_SIZE, kThrows},
    {"mi_new_aligned", AT_SHAPE_SIZE, kThrows},
    {"mi_new_nothrow", AT_SHAPE_SIZE, kAllocate},
    {"mi_new_aligned_nothrow", AT_SHAPE_SIZE, kAllocate},
    {"mi_free", AT_SHAPE_FREE, kRelease},
    {"mi_free_size", AT_SHAPE_FREE, kRelease},
    {"mi_free_aligned", AT_SHAPE_FREE, kRelease},
    {"mi_free_size_aligned", AT_SHAPE_FREE, kRelease},
};

struct NotTraced {
  std::string_view name;
  std::string_view reason;
};

constexpr NotTraced kNotTraced[] = {
    {"xallocx", "resizes in place; the block keeps the size it was allocated with"},
    {"mi_expand", "resizes in place; the block keeps the size it was allocated with"},
    {"mi_strdup", "its size is not an argument; its blocks are not seen"},
    {"mi_strndup", "its size is not an argument; its blocks are not seen"},
    {"mi_realpath", "its size is not an argument; its blocks are not seen"},
    {"mi_heap_malloc", "and the other mi_heap functions: their blocks can die with the heap, without a free"},
};

/// Prefixes under which jemalloc's functions are built into programs: the default one, Rust's.
constexpr std::string_view kJemallocPrefixes[] = {"je_", "_rjem_"};
constexpr std::string_view kPrefixed[] = {"malloc",   "free",   "calloc",  "realloc", "posix_memalign", "aligned_alloc",
                                          "memalign", "valloc", "mallocx", "rallocx", "dallocx",        "sdallocx"};

std::string_view without_jemalloc_prefix(std::string_view name) {
  for (const std::string_view prefix : kJemallocPrefixes) {
    if (!name.starts_with(prefix)) continue;
    const std::string_view rest = name.substr(prefix.size());
    if (std::ranges::find(kPrefixed, rest) != std::end(kPrefixed)) return rest;
  }
  return name;
}

const std::unordered_map<std::string_view, size_t>& ranks() {
  static const auto map = [] {
    std::unordered_map<std::string_view, size_t> out;
    for (size_t i = 0; i < std::size(kFunctions); ++i) out.emplace(kFunctions[i].name, i);
    return out;
  }();
  return map;
}

}  // namespace

std::optional<AllocatorFunction> find_allocator_function(std::string_view name) {
  const auto found = ranks().find(without_jemalloc_prefix(name));
  if (found == ranks().end()) return std::nullopt;
  AllocatorFunction function = kFunctions[found->second];
  function.rank = found->second;
  return function;
}

std::string_view reason_not_traced(std::string_view name) {
  const auto found = std::ranges::find(kNotTraced, name, &NotTraced::name);
  return found != std::end(kNotTraced) ? found->reason : std::string_view();
}

bool never_returns(std::string_view name) {
  static constexpr std::array<std::string_view, 12> kNames = {"abort",
                                                              "exit",
                                                              "_exit",
                                                              "__cxa_throw",
                                                              "__cxa_rethrow",
                                                              "_Unwind_Resume",
                                                              "__stack_chk_fail",
                                                              "__assert_fail",
                                                              "_ZSt9terminatev",
                                                              "__clang_call_terminate",
                                                              "__cxa_call_terminate",
                                                              "__libc_fatal"};
  return name.starts_with("_ZSt17__throw_") || name.starts_with("_ZSt20__throw_") ||
         std::ranges::find(kNames, name) != kNames.end();
}

std::optional<Allocator> marked_allocator(std::string_view name) {
  struct Mark {
    std::string_view name;
    Allocator allocator;
  };
  static constexpr Mark kMarks[] = {
      {"mallctl", Allocator::Jemalloc},
      {"je_mallctl", Allocator::Jemalloc},
      {"_rjem_mallctl", Allocator::Jemalloc},
      {"tc_malloc", Allocator::Tcmalloc},
      {"MallocExtension_GetStats", Allocator::Tcmalloc},
      {"MallocExtension_Internal_GetStats", Allocator::Tcmalloc},
      {"mi_malloc", Allocator::Mimalloc},
      // Parts of malloc itself: a program with all of libc in it and a malloc of its own has none of them.
      {"libc.so.6", Allocator::Glibc},
      {"_int_malloc", Allocator::Glibc},
      {"__libc_mallopt", Allocator::Glibc},
      {"__dls3", Allocator::Musl},
      {"__libc_malloc_impl", Allocator::Musl},
      {"__malloc_donate", Allocator::Musl},
  };
  const auto found = std::ranges::find(kMarks, name, &Mark::name);
  if (found == std::end(kMarks)) return std::nullopt;
  return found->allocator;
}

const char* allocator_name(Allocator allocator) {
  switch (allocator) {
    case Allocator::Jemalloc:
      return "jemalloc";
    case Allocator::Tcmalloc:
      return "tcmalloc";
    case Allocator::Mimalloc:
      return "mimalloc";
    case Allocator::Glibc:
      return "glibc";
    case Allocator::Musl:
      return "musl";
    case Allocator::Custom:
      break;
  }
  return "custom";
}

// Tried with Debian 12's packages: glibc 2.36, jemalloc 5.3.0 and gperftools 2.10 return NULL and hand the block out
// again; musl 1.2.3 and mimalloc 2.0.9 return a block. Of an unknown one, NULL most likely means freed.
bool zero_realloc_frees(Allocator allocator) {
  return allocator != Allocator::Musl && allocator != Allocator::Mimalloc;
}

}  // namespace alloctrail
