// SPDX-License-Identifier: Apache-2.0
#include "user/analysis/site_name.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "user/analysis/allocator_frames.h"
#include "user/analysis/frame_origin.h"

namespace alloctrail {
namespace {

// Beginnings of the names of functions that do nothing but allocate for their caller: redis and coreutils, GLib,
// CPython, nginx and apr, SQLite, OpenSSL, FFmpeg, libxml2, LLVM.
constexpr std::array<std::string_view, 44> kWrappers = {
    "zmalloc",        "zcalloc",        "zrealloc",       "ztrymalloc",      "ztrycalloc",     "ztryrealloc",  "zstrdup",
    "xmalloc",        "xzalloc",        "xcalloc",        "xrealloc",        "xstrdup",        "xnmalloc",     "g_malloc",
    "g_try_malloc",   "g_realloc",      "g_slice_",       "g_strdup",        "g_strndup",      "PyMem_",       "_PyMem_",
    "PyObject_Malloc", "PyObject_Calloc", "PyObject_Realloc", "_PyObject_Malloc", "_PyObject_Calloc", "_PyObject_Realloc",
    "ngx_alloc",      "ngx_calloc",     "ngx_palloc",     "ngx_pcalloc",     "ngx_pnalloc",    "ngx_memalign", "apr_palloc",
    "sqlite3Malloc",  "sqlite3MemMalloc", "sqlite3_malloc", "sqlite3DbMalloc", "CRYPTO_malloc", "CRYPTO_zalloc", "CRYPTO_realloc",
    "av_malloc",      "xmlMalloc",      "llvm::safe_"};

bool is_own(const Frame& frame) {
  return !is_allocator_frame(frame) && !is_standard_library_frame(frame) && !is_system_frame(frame);
}

bool is_wrapper(const Frame& frame) {
  const std::string_view name = frame.function;
  return std::any_of(kWrappers.begin(), kWrappers.end(), [&](auto beginning) { return name.starts_with(beginning); });
}

}  // namespace

std::optional<uint32_t> naming_frame(const Stack& stack) {
  if (stack.frames.empty()) return std::nullopt;
  std::optional<uint32_t> wrapper;
  for (uint32_t i = 0; i < stack.frames.size(); ++i) {
    const Frame& frame = stack.frames[i];
    if (!is_own(frame)) continue;
    if (!is_wrapper(frame)) return i;
    wrapper = wrapper.value_or(i);
  }
  return wrapper.value_or(static_cast<uint32_t>(allocator_frame_count(stack)));
}

}  // namespace alloctrail
