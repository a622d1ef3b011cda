// SPDX-License-Identifier: Apache-2.0
// Names the stacks of one process image, each once: raw addresses from the kernel -> frames for the Snapshot.
#pragma once

#include <unordered_map>

#include "user/kernel/tracer.h"
#include "user/model/snapshot.h"
#include "user/symbols/symbolizer.h"

namespace alloctrail {

class StackNames {
 public:
  /// The named form of a stack; resolved at first call and kept, so that it outlives its libraries and its process.
  [[nodiscard]] const Stack& get(StackId id, const Tracer& tracer, Symbolizer& symbolizer, const AddressSpace& space);

 private:
  std::unordered_map<uint32_t, Stack> stacks_;
};

}  // namespace alloctrail
