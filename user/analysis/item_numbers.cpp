// SPDX-License-Identifier: Apache-2.0
#include "user/analysis/item_numbers.h"

namespace alloctrail {

std::vector<uint32_t> StackNumbers::number(const Snapshot& snapshot) {
  std::vector<uint32_t> numbers;
  numbers.reserve(snapshot.stacks.size());
  for (const Stack& stack : snapshot.stacks) numbers.push_back(number_of(stack));
  return numbers;
}

/// Most stacks are those of the snapshot before: known by where their frames lie in memory.
uint32_t StackNumbers::number_of(const Stack& stack) {
  const Identity identity{stack.frames.identity(), stack.status};
  const auto known = by_identity_.find(identity);
  if (known != by_identity_.end()) return known->second.number;
  const auto next = static_cast<uint32_t>(numbers_.size());
  const uint32_t number = numbers_.try_emplace(key(stack), next).first->second;
  by_identity_.emplace(identity, Known{stack.frames, number});
  return number;
}

std::string StackNumbers::key(const Stack& stack) {
  std::string bytes(1, static_cast<char>(stack.status));
  for (const uint32_t i : shown_frames(stack, choice_)) {
    const uint64_t place = places_.number(stack.frames[i]);
    bytes.append(reinterpret_cast<const char*>(&place), sizeof(place));
  }
  return bytes;
}

std::vector<ThreadKey> thread_keys(const Snapshot& snapshot) {
  std::map<Tid, uint32_t> seen;
  std::vector<ThreadKey> keys;
  keys.reserve(snapshot.threads.size());
  for (const Thread& thread : snapshot.threads) keys.emplace_back(thread.tid, seen[thread.tid]++);
  return keys;
}

}  // namespace alloctrail
