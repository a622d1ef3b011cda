// SPDX-License-Identifier: Apache-2.0
// Names the stacks of one process image, each once: raw addresses from the kernel -> frames for the Snapshot.
#pragma once

#include <span>
#include <unordered_map>
#include <vector>

#include "user/kernel/tracer.h"
#include "user/model/snapshot.h"
#include "user/symbols/symbolizer.h"

namespace alloctrail {

class StackNames {
 public:
  /// The named form of a stack; resolved at first call and kept, so that it outlives its libraries and its process.
  [[nodiscard]] const Stack& get(StackId id, const Tracer& tracer, Symbolizer& symbolizer, const AddressSpace& space);

  /// Names many at once, which is faster than one by one: the symbolizer reads each of its files in order.
  void name(std::span<const StackId> ids, const Tracer& tracer, Symbolizer& symbolizer, const AddressSpace& space);

  /// To be called when the process has mapped or unmapped files: an address may mean another function from now on.
  void forget_addresses() { frames_.clear(); }

 private:
  using SharedFrames = std::vector<Frames::Shared>;
  void forget_anonymous(const std::vector<Addr>& addresses);
  void resolve(const std::vector<Addr>& addresses, Symbolizer& symbolizer, const AddressSpace& space);

  std::unordered_map<uint32_t, Stack> stacks_;
  std::unordered_map<uint64_t, SharedFrames> frames_;  // by address of the call
};

}  // namespace alloctrail
