// SPDX-License-Identifier: Apache-2.0
// cases_new NAME: one form of C++ operator new and delete, with the exact truth of it. Sizes are multiples of the
// alignments used, because libstdc++ rounds an aligned size up before it asks malloc's family.
#include <cstdint>
#include <cstring>
#include <new>

#include "truth.h"

namespace {

struct alignas(128) Wide {
  char bytes[256];
};

void* blocks[16];
int self;

template <class Pointer>
Pointer made(Pointer block, size_t bytes) {
  TRUTH_HIDE(block);
  if (block == nullptr) {
    truth_failed();
  } else {
    truth_allocated(self, bytes);
  }
  return block;
}

size_t hidden(size_t value) {
  TRUTH_HIDE(value);
  return value;
}

constexpr size_t kFarTooMuch = PTRDIFF_MAX;
constexpr std::align_val_t kLine{64};

TRUTH_NOINLINE void case_new_plain() {
  for (size_t i = 0; i < 6; ++i) blocks[i] = made(::operator new(100 + i), 100 + i);
  ::operator delete(blocks[0]);
  truth_freed(self, 100);
}

TRUTH_NOINLINE void case_new_array() {
  for (size_t i = 0; i < 6; ++i) blocks[i] = made(new char[200 + i], 200 + i);
  delete[] static_cast<char*>(blocks[5]);
  truth_freed(self, 205);
}

TRUTH_NOINLINE void case_new_nothrow() {
  blocks[0] = made(::operator new(300, std::nothrow), 300);
  blocks[1] = made(::operator new[](301, std::nothrow), 301);
  ::operator delete(blocks[0], std::nothrow);
  truth_freed(self, 300);
}

TRUTH_NOINLINE void case_new_nothrow_fails() {
  blocks[0] = made(::operator new(hidden(kFarTooMuch), std::nothrow), 0);
  blocks[1] = made(::operator new[](hidden(kFarTooMuch), std::nothrow), 0);
  if (blocks[0] != nullptr || blocks[1] != nullptr) _exit(4);
}

TRUTH_NOINLINE void case_new_aligned() {
  for (size_t i = 0; i < 4; ++i) blocks[i] = made(::operator new(640, kLine), 640);
  blocks[4] = made(::operator new[](128, kLine), 128);
  blocks[5] = made(new Wide, sizeof(Wide));
  ::operator delete(blocks[0], kLine);
  truth_freed(self, 640);
  ::operator delete[](blocks[4], kLine);
  truth_freed(self, 128);
}

TRUTH_NOINLINE void case_new_aligned_nothrow() {
  blocks[0] = made(::operator new(320, kLine, std::nothrow), 320);
  blocks[1] = made(::operator new[](384, kLine, std::nothrow), 384);
  ::operator delete[](blocks[1], kLine, std::nothrow);
  truth_freed(self, 384);
}

TRUTH_NOINLINE void case_delete_sized() {
  for (size_t i = 0; i < 4; ++i) blocks[i] = made(::operator new(48), 48);
  ::operator delete (blocks[0], size_t{48});
  truth_freed(self, 48);
  blocks[4] = made(::operator new[](96), 96);
  ::operator delete[](blocks[4], size_t{96});
  truth_freed(self, 96);
  blocks[5] = made(::operator new(192, kLine), 192);
  ::operator delete (blocks[5], size_t{192}, kLine);
  truth_freed(self, 192);
}

TRUTH_NOINLINE void case_delete_null() {
  blocks[0] = made(::operator new(80), 80);
  char* nothing[] = {nullptr, nullptr};
  for (char*& pointer : nothing) TRUTH_HIDE(pointer);
  ::operator delete(nothing[0]);
  ::operator delete[](nothing[1]);
  truth_freed_null();
  truth_freed_null();
}

void fail_and_catch() {
  try {
    made(::operator new(hidden(kFarTooMuch)), 0);
    _exit(4);
  } catch (const std::bad_alloc&) {
    truth_failed();
  }
}

// The exception objects are allocated and freed on the way: `exceptions` more blocks than the truth names.
TRUTH_NOINLINE void case_new_throws() {
  blocks[0] = made(::operator new(1000), 1000);
  for (int i = 0; i < 3; ++i) fail_and_catch();
  blocks[1] = made(::operator new(1001), 1001);
}

TRUTH_NOINLINE void case_new_handler_retries() {
  static void* reserve;
  reserve = made(::operator new(5000), 5000);
  std::set_new_handler([] {
    ::operator delete(reserve);
    truth_freed(self, 5000);
    std::set_new_handler(nullptr);
  });
  fail_and_catch();
}

const struct {
  const char* name;
  void (*run)();
  bool throws;
} kCases[] = {
    {"new_plain", case_new_plain, false},       {"new_array", case_new_array, false},
    {"new_nothrow", case_new_nothrow, false},   {"new_nothrow_fails", case_new_nothrow_fails, false},
    {"new_aligned", case_new_aligned, false},   {"new_aligned_nothrow", case_new_aligned_nothrow, false},
    {"delete_sized", case_delete_sized, false}, {"delete_null", case_delete_null, false},
    {"new_throws", case_new_throws, true},      {"new_handler_retries", case_new_handler_retries, true},
};

}  // namespace

int main(int argc, char** argv) {
  char line[64];
  const auto* chosen = &kCases[0];
  const auto* end = kCases + sizeof(kCases) / sizeof(kCases[0]);
  while (chosen != end && std::strcmp(chosen->name, argc > 1 ? argv[1] : "") != 0) ++chosen;
  if (chosen == end) return 2;
  if (chosen->throws) fail_and_catch();  // the unwinder's own first-use allocations are older than the attach
  truth.failed_calls = 0;
  self = truth_register("cases_new");
  truth_ready();
  while (truth_wait_go(line, sizeof(line)) != 0) {
    chosen->run();
    truth_print();
  }
  _exit(0);
}
