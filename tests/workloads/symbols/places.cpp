// SPDX-License-Identifier: Apache-2.0
// Fixture of the symbolizer's tests: functions that know the address and the source lines of a call inside them.
#include "places.h"

// The constants below count lines.
// clang-format off

// Identical functions must stay apart, and clones ("hidden.constprop.0") out of the way.
#ifdef __clang__
#define NOINLINE __attribute__((noinline))
#else
#define NOINLINE __attribute__((noipa))
#endif
#define INLINE __attribute__((always_inline)) inline
#define EXPORT extern "C" __attribute__((visibility("default")))

// The empty statement keeps the call from becoming a jump, which would leave no frame.
#define RETURN_HERE()               \
  const void* at = fixture_here();  \
  __asm__ volatile("" : "+r"(at)); \
  return at

EXPORT NOINLINE const void* fixture_here(void) {
  return static_cast<const char*>(__builtin_return_address(0)) - 1;
}

namespace fixture {

constexpr int kInner = __LINE__ + 3;
template <class T>
INLINE const void* inner(T) {
  RETURN_HERE();
}

struct Middle {
  static INLINE const void* step(int depth) {
    return inner(depth);
  }
};
constexpr int kMiddle = __LINE__ - 3;

constexpr int kOuter = __LINE__ + 2;
NOINLINE const void* outer(int depth) {
  return Middle::step(depth);
}

constexpr int kMember = __LINE__ + 4;
class Widget {
 public:
  NOINLINE const void* member(const char*) const {
    RETURN_HERE();
  }
};

namespace {
constexpr int kHidden = __LINE__ + 2;
NOINLINE const void* hidden(long) {
  RETURN_HERE();
}
}  // namespace

}  // namespace fixture

constexpr int kPlain = __LINE__ + 2;
EXPORT NOINLINE const void* plain_function(void) {
  RETURN_HERE();
}

constexpr int kLambda = __LINE__ + 3;
EXPORT const void* call_lambda(void) {
  const auto lambda = [](int) NOINLINE -> const void* {
    RETURN_HERE();
  };
  const void* volatile at = lambda(1);
  return at;
}

constexpr int kLocal = __LINE__ + 4;
EXPORT const void* call_local(void) {
  struct Local {
    static NOINLINE const void* run() {
      RETURN_HERE();
    }
  };
  const void* volatile at = Local::run();
  return at;
}

EXPORT const void* call_outer(void) { const void* volatile at = fixture::outer(3); return at; }
EXPORT const void* call_member(void) { const void* volatile at = fixture::Widget().member(""); return at; }
EXPORT const void* call_hidden(void) { const void* volatile at = fixture::hidden(3); return at; }

// Two names for one function, as C libraries have them.
extern "C" __attribute__((visibility("default"))) NOINLINE const void* __fix(void) { RETURN_HERE(); }
extern "C" __attribute__((visibility("default"), weak, alias("__fix"))) const void* fix_alloc(void);

// Assembler without types or sizes.
__asm__(
    ".text\n"
    ".globl asm_first\n"
    "asm_first:\n"
    "  nop\n  nop\n  nop\n  nop\n  nop\n  nop\n  nop\n  nop\n"
    ".globl asm_second\n"
    "asm_second:\n"
    "  nop\n  nop\n  nop\n  nop\n  ret\n");

EXPORT const fixture_place fixture_places[];
const fixture_place fixture_places[] = {
    {"call_outer", {fixture::kInner, fixture::kMiddle, fixture::kOuter, 0}},
    {"call_member", {fixture::kMember, 0, 0, 0}},
    {"call_hidden", {fixture::kHidden, 0, 0, 0}},
    {"plain_function", {kPlain, 0, 0, 0}},
    {"call_lambda", {kLambda, 0, 0, 0}},
    {"call_local", {kLocal, 0, 0, 0}},
    {nullptr, {0, 0, 0, 0}},
};
