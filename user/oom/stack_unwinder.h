// SPDX-License-Identifier: Apache-2.0
// Unwinds a stack from its copied memory, with the same rows and the same step as the kernel side (bpf/unwind_step.h):
// for threads of processes that were not traced, whose tables the kernel did not have.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "alloctrail/records.h"
#include "user/ids.h"
#include "user/target/mappings.h"

namespace alloctrail {

/// A copied piece of a thread's stack and the registers that go with it.
struct StackCopy {
  uint64_t ip = 0;
  uint64_t sp = 0;  ///< address of the first byte of `memory`
  uint64_t bp = 0;
  std::span<const std::byte> memory;
};

/// Innermost address first; all others are where calls return to.
struct UnwoundStack {
  std::vector<Addr> addresses;
  at_stack_status status = AT_STACK_fault;
};

/// For one address space. Compiles the tables of the files it meets.
class StackUnwinder {
 public:
  using OpenFile = std::function<Result<UniqueFd>(const Mapping&)>;

  StackUnwinder(const std::vector<Mapping>& mappings, const OpenFile& open);
  ~StackUnwinder();
  StackUnwinder(const StackUnwinder&) = delete;
  StackUnwinder& operator=(const StackUnwinder&) = delete;

  [[nodiscard]] UnwoundStack walk(const StackCopy& stack);

 private:
  struct Tables;
  std::unique_ptr<Tables> tables_;
};

}  // namespace alloctrail
