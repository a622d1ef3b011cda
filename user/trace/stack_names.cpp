// SPDX-License-Identifier: Apache-2.0
#include "user/trace/stack_names.h"

#include <iterator>

namespace alloctrail {
namespace {

/// The innermost address is the probed instruction itself; all others are where calls return to.
Addr address_of_call(const RawStack& stack, size_t index) {
  const Addr address = stack.addresses[index];
  return index == 0 || raw(address) == 0 ? address : Addr(raw(address) - 1);
}

}  // namespace

const Stack& StackNames::get(StackId id, const Tracer& tracer, Symbolizer& symbolizer, const AddressSpace& space) {
  const auto known = stacks_.find(raw(id));
  if (known != stacks_.end()) return known->second;
  const RawStack stack = tracer.stack(id);
  std::vector<Frame> frames;
  for (size_t i = 0; i < stack.addresses.size(); ++i) {
    std::vector<Frame> here = symbolizer.resolve(space, address_of_call(stack, i));
    std::move(here.begin(), here.end(), std::back_inserter(frames));
  }
  return stacks_.emplace(raw(id), Stack{.frames = std::move(frames), .status = stack.status}).first->second;
}

}  // namespace alloctrail
