// SPDX-License-Identifier: Apache-2.0
// The kernel side's unwinding step, compiled natively, walks this program's own stacks; every frame must be the one
// libgcc's unwinder finds. This file is compiled with -O2 -fomit-frame-pointer.
#include <alloca.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <link.h>
#include <pthread.h>
#include <search.h>
#include <signal.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <unwind.h>

#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "tests/unit/unwind_native.h"
#include "user/elf/unwind_rows.h"
#include "user/handles.h"

namespace alloctrail {
namespace {

using test::Frames;
using test::kernel;
using test::kTrampoline;
using test::Walk;
using test::Walker;

/// Copies this thread's stack. By hand, as AddressSanitizer must not see reads of what lies between variables.
int copy_own_stack(void* to, size_t bytes, uint64_t from) {
  asm volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(bytes) : : "memory");
  return 0;
}

/// Adds a table to the shared pools and a mapping that uses it.
void add_mapping(Walker& walker, const UnwindTable& table, uint64_t start, uint64_t end, uint64_t file_offset) {
  const auto bias = mapping_bias(table, start, file_offset);
  ASSERT_TRUE(bias);
  std::vector<uint32_t> side_indices;
  for (const at_unwind_side& side : table.sides) {
    side_indices.push_back(static_cast<uint32_t>(kernel.sides.size()));
    kernel.sides.push_back(side);
  }
  static uint32_t used_rows = 0;
  if (kernel.rows.empty()) used_rows = 0;
  const auto placed = place_unwind_table(table, used_rows, side_indices);
  kernel.rows.resize((used_rows + placed.rows.size()) / AT_UNWIND_CHUNK_ROWS * AT_UNWIND_CHUNK_ROWS +
                     AT_UNWIND_CHUNK_ROWS);
  std::copy(placed.rows.begin(), placed.rows.end(), kernel.rows.begin() + used_rows);
  used_rows += static_cast<uint32_t>(placed.rows.size());
  at_unwind_mapping& mapping = walker.process.mappings[walker.process.mapping_count++];
  mapping.start = start;
  mapping.end = end;
  mapping.bias = *bias;
  mapping.first_block = static_cast<uint32_t>(kernel.blocks.size());
  mapping.block_count = static_cast<uint32_t>(placed.blocks.size());
  kernel.blocks.insert(kernel.blocks.end(), placed.blocks.begin(), placed.blocks.end());
}

/// The tables of everything this program has mapped executable now.
std::unique_ptr<Walker> own_process() {
  kernel = {};
  kernel.copy = copy_own_stack;
  auto walker = std::make_unique<Walker>();
  walker->process.generation = 1;
  std::unique_ptr<FILE, decltype(&std::fclose)> maps(std::fopen("/proc/self/maps", "r"), std::fclose);
  for (char line[4352]; std::fgets(line, sizeof line, maps.get());) {
    uint64_t start = 0, end = 0, offset = 0;
    char protection[5], path[4097] = "";
    if (std::sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s %" SCNx64 " %*s %*s %4096s", &start, &end, protection, &offset,
                    path) < 4)
      continue;
    if (protection[2] != 'x' || path[0] != '/') continue;
    const UniqueFd fd(::open(path, O_RDONLY | O_CLOEXEC));
    const auto table = compile_unwind_table(fd.get(), path);
    if (table) add_mapping(*walker, *table, start, end, offset);
  }
  return walker;
}

/// One walk of the calling thread by us and by libgcc, innermost caller first.
struct Comparison {
  Walk ours;
  Frames libgcc;
};
Walker* current_walker;
Comparison result;
size_t comparisons;

_Unwind_Reason_Code collect(_Unwind_Context* context, void* frames) {
  int before_instruction = 0;
  if (const uint64_t pc = _Unwind_GetIPInfo(context, &before_instruction))
    static_cast<Frames*>(frames)->push_back(pc + static_cast<uint64_t>(before_instruction != 0));
  return _URC_NO_REASON;
}

extern "C" __attribute__((noinline, used)) void compare_from_entry(uint64_t pc, uint64_t sp, uint64_t bp) {
  result = {};
  result.ours = current_walker->walk(pc, sp, bp, AT_UNWIND_ENTRY);
  _Unwind_Backtrace(collect, &result.libgcc);
  comparisons++;
}

/// Stands for a probed function: its first instruction hands on the registers as they are at its entry.
extern "C" void probed();
asm(R"(
  .text
  .type probed, @function
probed:
  .cfi_startproc
  lea probed(%rip), %rdi
  mov %rsp, %rsi
  mov %rbp, %rdx
  jmp compare_from_entry
  .cfi_endproc
  .size probed, .-probed
)");

void expect_same_frames(at_stack_status status = AT_STACK_complete) {
  ASSERT_EQ(result.ours.status, uint32_t{status});
  ASSERT_GE(result.libgcc.size(), 4u);
  result.ours.frames.erase(result.ours.frames.begin());
  result.libgcc.erase(result.libgcc.begin());
  ASSERT_EQ(result.ours.frames, result.libgcc);
}

void compare_here() {
  probed();
  expect_same_frames();
}

class UnwindWalk : public testing::Test {
 protected:
  void SetUp() override {
    walker_ = own_process();
    current_walker = walker_.get();
    comparisons = 0;
  }
  std::unique_ptr<Walker> walker_;
};

// ---- functions whose frames differ in form
// ---------------------------------------------------------------------------

#define SHAPE __attribute__((noinline))
#define KEEP_FRAME() asm volatile("" ::: "memory")
void descend(uint32_t choices, int depth);
void (*at_bottom)() = compare_here;  // what the innermost of the nested functions does

SHAPE void small_frame(uint32_t choices, int depth) {
  descend(choices, depth);
  KEEP_FRAME();
}
SHAPE void large_frame(uint32_t choices, int depth) {
  volatile char room[20'000];
  room[choices % sizeof room] = 1;
  descend(choices, depth);
  KEEP_FRAME();
}
SHAPE void variable_frame(uint32_t choices, int depth) {
  auto* room = static_cast<volatile char*>(alloca(16 + choices % 3000));
  room[0] = 1;
  descend(choices, depth);
  KEEP_FRAME();
}
SHAPE void realigned_frame(uint32_t choices, int depth) {
  alignas(64) volatile char room[192];
  room[choices % sizeof room] = 1;
  descend(choices, depth);
  KEEP_FRAME();
}
SHAPE void realigned_variable_frame(uint32_t choices, int depth) {
  alignas(128) volatile char room[128];
  auto* more = static_cast<volatile char*>(alloca(16 + choices % 500));
  room[choices % sizeof room] = 1;
  more[0] = 1;
  descend(choices, depth);
  KEEP_FRAME();
}
SHAPE void many_registers(uint32_t choices, int depth) {
  uint64_t a = choices, b = a * 3, c = b + 5, d = c * 7, e = d ^ 9, f = e + a;
  asm volatile("" : "+r"(a), "+r"(b), "+r"(c), "+r"(d), "+r"(e), "+r"(f));
  descend(choices, depth);
  asm volatile("" : : "r"(a), "r"(b), "r"(c), "r"(d), "r"(e), "r"(f));
}
SHAPE void used_rbp(uint32_t choices, int depth) {
  asm volatile("xor %%ebp, %%ebp" ::: "rbp");
  descend(choices, depth);
  asm volatile("mov $0x55, %%ebp" ::: "rbp");
}

SHAPE void descend(uint32_t choices, int depth) {
  static constexpr void (*kShapes[])(uint32_t, int) = {
      small_frame, large_frame, variable_frame, realigned_frame, realigned_variable_frame, many_registers, used_rbp};
  if (depth == 0) return at_bottom();
  choices = choices * 1664525u + 1013904223u;
  kShapes[(choices >> 16) % std::size(kShapes)](choices, depth - 1);
  KEEP_FRAME();
}

TEST_F(UnwindWalk, FramesOfEveryFormAreFound) {
  for (uint32_t seed = 0; seed < 300; seed++) {
    descend(seed, static_cast<int>(seed % 40));
    if (HasFatalFailure()) return;
  }
  EXPECT_EQ(comparisons, 300u);
}

TEST_F(UnwindWalk, StackDeeperThanTheLimitIsTruncatedAtTheLimit) {
  const auto deep = [](auto&& self, int depth) -> void {
    if (depth == 0)
      probed();
    else
      self(self, depth - 1);
    KEEP_FRAME();
  };
  const std::function<void(int)> recurse = [&](int depth) {
    if (depth > 0)
      recurse(depth - 1);
    else
      probed();
    KEEP_FRAME();
  };
  deep(deep, 2);
  recurse(400);
  ASSERT_EQ(result.ours.frames.size(), size_t{AT_MAX_FRAMES});
  result.libgcc.resize(AT_MAX_FRAMES);
  expect_same_frames(AT_STACK_truncated);
}

// ---- frames of system libraries in between
// -----------------------------------------------------------------------------

TEST_F(UnwindWalk, CallbacksOfTheCLibraryAreFound) {
  int values[] = {3, 1, 2};
  const auto order = [](const void* a, const void* b) {
    compare_here();
    return *static_cast<const int*>(a) - *static_cast<const int*>(b);
  };
  std::qsort(values, 3, sizeof values[0], order);
  (void)std::bsearch(&values[1], values, 3, sizeof values[0], order);
  dl_iterate_phdr([](dl_phdr_info*, size_t, void*) { return compare_here(), 1; }, nullptr);
  void* root = nullptr;
  for (int& value : values) tsearch(&value, &root, order);
  twalk(root, [](const void*, VISIT, int) { compare_here(); });
  tdestroy(root, [](void*) { compare_here(); });
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, [] { compare_here(); });
  EXPECT_GT(comparisons, 12u);
}

TEST_F(UnwindWalk, ThreadsEndAtTheirFirstFunction) {
  std::thread([] { descend(5, 12); }).join();
  std::once_flag once;
  std::thread([&] { std::call_once(once, [] { compare_here(); }); }).join();
  EXPECT_EQ(comparisons, 2u);
}

TEST_F(UnwindWalk, DestructorsRunByAnExceptionAreFound) {
  struct Guard {
    ~Guard() { descend(9, 6); }
  };
  try {
    const Guard guard;
    throw 1;
  } catch (int) {
    descend(11, 6);
  }
  EXPECT_EQ(comparisons, 2u);
}

// ---- signals: the interrupted function is not at a call
// ------------------------------------------------------------------

SHAPE void interrupted_leaf(volatile int* value) {
  asm volatile("int3");
  *value = 1;
}

/// Its frame hangs on %rbp at the moment of the interruption.
SHAPE void interrupted_variable_frame() {
  auto* room = static_cast<volatile char*>(alloca(16 + comparisons % 300));
  room[0] = 1;
  asm volatile("int3");
  room[1] = 1;
}
void interrupt_by_trap() {
  volatile int value = 0;
  interrupted_leaf(&value);
}
void interrupt_in_library() {
  raise(SIGUSR1);
}

TEST_F(UnwindWalk, HandlersAndTheFunctionsTheyInterruptAreFound) {
  const size_t alternate_bytes = 1 << 17;
  void* alternate = mmap(nullptr, alternate_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  stack_t stack{}, old_stack{};
  stack.ss_sp = alternate;
  stack.ss_size = alternate_bytes;
  ASSERT_EQ(sigaltstack(&stack, &old_stack), 0);
  struct sigaction action = {}, old_trap = {}, old_user = {};
  action.sa_handler = [](int) {
    at_bottom = compare_here;
    descend(3, 3);
  };
  static constexpr void (*kInterruptions[])() = {interrupt_by_trap, interrupt_in_library, interrupted_variable_frame};
  for (uint32_t seed = 0; seed < 40; seed++) {
    action.sa_flags = seed % 4 < 2 ? SA_ONSTACK : 0;
    sigaction(SIGTRAP, &action, &old_trap);
    sigaction(SIGUSR1, &action, &old_user);
    at_bottom = kInterruptions[seed % std::size(kInterruptions)];
    descend(seed, 8);
    at_bottom = compare_here;
    sigaction(SIGTRAP, &old_trap, nullptr);
    sigaction(SIGUSR1, &old_user, nullptr);
  }
  sigaltstack(&old_stack, nullptr);
  munmap(alternate, alternate_bytes);
  EXPECT_EQ(comparisons, 40u);
}

// ---- return probes
// ------------------------------------------------------------------------------------------------------

/// Walks with the return addresses in the given frames replaced, as pending return probes leave them.
TEST_F(UnwindWalk, ReturnAddressesReplacedByReturnProbesAreRepaired) {
  descend(1, 8);
  std::map<uint64_t, uint64_t> originals;
  kernel.copy = [&](void* to, size_t bytes, uint64_t from) {
    copy_own_stack(to, bytes, from);
    for (size_t at = 0; at + 8 <= bytes; at += 8) {
      uint64_t word;
      std::memcpy(&word, static_cast<char*>(to) + at, 8);
      const auto index = at_unwind_search_mappings(&current_walker->process, word);
      if (index == AT_UNWIND_NO_MAPPING || (from + at) % 3 == 0) continue;
      originals[from + at] = word;
      kernel.replaced[from + at] = word;
      std::memcpy(static_cast<char*>(to) + at, &kTrampoline, 8);
    }
    return 0;
  };
  for (int pass = 0; pass < 3; pass++) {
    descend(2, 10);
    if (HasFatalFailure()) return;
  }
  EXPECT_GT(originals.size(), 5u);
}

}  // namespace
}  // namespace alloctrail
