// SPDX-License-Identifier: Apache-2.0
#include "user/analysis/allocator_frames.h"

#include <algorithm>
#include <array>
#include <string_view>

namespace alloctrail {
namespace {

// The C interface, without the prefixes below.
constexpr std::array<std::string_view, 15> kFunctions = {
    "malloc",  "calloc", "realloc", "reallocarray", "posix_memalign", "aligned_alloc", "memalign", "valloc",
    "pvalloc", "free",   "cfree",   "mallocx",      "rallocx",        "sdallocx",      "zalloc"};

// Prefixes that allocators put before those names.
constexpr std::array<std::string_view, 8> kPrefixes = {
    "__libc_", "__GI___libc_", "__interceptor_", "__", "_int_", "je_", "tc_", "mi_"};

// Beginnings of the names of allocators' inner functions, and of what lies between a container and operator new.
constexpr std::array<std::string_view, 17> kInner = {"operator new(",
                                                     "operator new[](",
                                                     "operator delete(",
                                                     "operator delete[](",
                                                     "tcmalloc::",
                                                     "tc_new",
                                                     "je_",
                                                     "mi_new",
                                                     "mi_heap_",
                                                     "_mi_",
                                                     "sysmalloc",
                                                     "std::allocator<",
                                                     "std::allocator_traits<",
                                                     "std::__new_allocator<",
                                                     "__gnu_cxx::new_allocator<",
                                                     "__gnu_cxx::__alloc_traits<",
                                                     "std::__allocator_traits_base"};

// Libraries in which every function is the allocator's.
constexpr std::array<std::string_view, 3> kLibraries = {"libjemalloc", "libtcmalloc", "libmimalloc"};

std::string_view base_name(std::string_view path) {
  return path.substr(path.rfind('/') + 1);
}

template <size_t kCount>
bool begins_with_any(std::string_view text, const std::array<std::string_view, kCount>& beginnings) {
  return std::any_of(beginnings.begin(), beginnings.end(), [&](std::string_view one) { return text.starts_with(one); });
}

bool is_c_function(std::string_view name) {
  return std::find(kFunctions.begin(), kFunctions.end(), name) != kFunctions.end();
}

}  // namespace

bool is_allocator_frame(const Frame& frame) {
  if (begins_with_any(base_name(frame.module), kLibraries)) return true;
  const std::string_view name = frame.function;
  if (is_c_function(name) || begins_with_any(name, kInner)) return true;
  return std::any_of(kPrefixes.begin(), kPrefixes.end(), [&](std::string_view prefix) {
    return name.starts_with(prefix) && is_c_function(name.substr(prefix.size()));
  });
}

size_t allocator_frame_count(const Stack& stack) {
  size_t count = 0;
  while (count < stack.frames.size() && is_allocator_frame(stack.frames[count])) ++count;
  return count == stack.frames.size() ? 0 : count;
}

}  // namespace alloctrail
