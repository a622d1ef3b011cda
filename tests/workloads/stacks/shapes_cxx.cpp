// SPDX-License-Identifier: Apache-2.0
// Stacks of every form that C++ makes: inlining, exceptions thrown through traced frames, templates, lambdas, threads;
// and functions with the names that Rust gives.
extern "C" {
#include "stack_truth.h"
}

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace {

void keep_frame() { asm volatile("" ::: "memory"); }

[[gnu::noinline]] void leaf() {
  free(allocate_here());
  keep_frame();
}

// ---- inlining: no frame of its own for any of these -------------------------------------------------------------------
[[gnu::always_inline]] inline void inlined_twice() {
  leaf();
  keep_frame();
}
template <int kDepth>
[[gnu::always_inline]] inline void inlined() {
  if constexpr (kDepth > 0)
    inlined<kDepth - 1>();
  else
    inlined_twice();
  inlined_twice();
}
[[gnu::noinline]] void call_inlined() { inlined<5>(); }

// ---- exceptions ---------------------------------------------------------------------------------------------------------
struct AllocatesWhenDestroyed {
  ~AllocatesWhenDestroyed() { leaf(); }
};

struct Failure : std::runtime_error {
  using std::runtime_error::runtime_error;
};

[[gnu::noinline]] void throw_from_below(int depth) {
  const AllocatesWhenDestroyed guard;
  if (depth == 0) throw Failure("thrown");
  throw_from_below(depth - 1);
  keep_frame();
}

[[gnu::noinline]] void catch_and_throw_on(int depth) {
  try {
    throw_from_below(depth);
  } catch (const Failure& failure) {
    leaf();
    throw std::logic_error(failure.what());
  }
}

[[gnu::noinline]] void catch_all() {
  try {
    catch_and_throw_on(5);
  } catch (const std::exception&) {
    leaf();
  }
  try {
    std::vector<int>().at(3);
  } catch (const std::out_of_range&) {
    const AllocatesWhenDestroyed guard;
  }
}

// ---- calls through the library --------------------------------------------------------------------------------------------
struct Base {
  virtual ~Base() = default;
  virtual void call() = 0;
};
struct Derived : virtual Base {
  explicit Derived(std::function<void()> function) : function_(std::move(function)) {}
  void call() override { function_(); }
  std::function<void()> function_;
};

[[gnu::noinline]] void call_through_library() {
  std::vector<int> values{3, 1, 2, 5, 4};
  std::sort(values.begin(), values.end(), [](int a, int b) {
    leaf();
    return a < b;
  });
  std::map<std::string, std::unique_ptr<Base>> calls;
  calls["one"] = std::make_unique<Derived>([] { leaf(); });
  calls["two"] = std::make_unique<Derived>([&] { calls["one"]->call(); });
  for (const auto& [name, call] : calls) call->call();
  static std::once_flag once;
  std::call_once(once, [] { leaf(); });
  std::thread([&] { calls["two"]->call(); }).join();
  const auto shared = std::shared_ptr<int>(new int(1), [](int* value) {
    leaf();
    delete value;
  });
}

// ---- recursion by a lambda that hands itself on --------------------------------------------------------------------------
[[gnu::noinline]] void recurse() {
  const auto down = [](const auto& self, int depth) -> void {
    if (depth == 0)
      leaf();
    else
      self(self, depth - 1);
    keep_frame();
  };
  down(down, 30);
}

}  // namespace

// ---- names as rustc writes them, legacy and v0 ---------------------------------------------------------------------------
extern "C" {
void rust_v0(void) asm("_RNvNtCs5l0EXMQXRMU_7mycrate5inner6leaf_a");
void rust_v0_generic(void) asm("_RINvNtC7mycrate5inner7genericmE");
void rust_legacy(void) asm("_ZN7mycrate5inner6leaf_b17h0123456789abcdefE");
[[gnu::noinline]] void rust_v0(void) {
  leaf();
  keep_frame();
}
[[gnu::noinline]] void rust_v0_generic(void) {
  rust_v0();
  keep_frame();
}
[[gnu::noinline]] void rust_legacy(void) {
  rust_v0_generic();
  keep_frame();
}
}

int main() {
  char line[64];
  truth_ready();
  while (truth_wait_go(line, sizeof(line))) {
    call_inlined();
    catch_all();
    call_through_library();
    recurse();
    rust_legacy();
    stack_print();
  }
  _exit(0);
}
