// SPDX-License-Identifier: Apache-2.0
#include "user/trace/stack_names.h"

#include <memory>

namespace alloctrail {
namespace {

/// The innermost address is the probed instruction itself; all others are where calls return to.
Addr address_of_call(const RawStack& stack, size_t index) {
  const Addr address = stack.addresses[index];
  return index == 0 || raw(address) == 0 ? address : Addr(raw(address) - 1);
}

}  // namespace

const StackNames::SharedFrames& StackNames::frames_at(Addr address, Symbolizer& symbolizer, const AddressSpace& space) {
  const auto [entry, is_new] = frames_.try_emplace(raw(address));
  if (!is_new) return entry->second;
  for (Frame& frame : symbolizer.resolve(space, address))
    entry->second.push_back(std::make_shared<const Frame>(std::move(frame)));
  if (!entry->second.front()->module.empty()) return entry->second;
  uncached_ = std::move(entry->second);  // code in anonymous memory can be replaced without a sign
  frames_.erase(entry);
  return uncached_;
}

const Stack& StackNames::get(StackId id, const Tracer& tracer, Symbolizer& symbolizer, const AddressSpace& space) {
  const auto known = stacks_.find(raw(id));
  if (known != stacks_.end()) return known->second;
  const RawStack stack = tracer.stack(id);
  SharedFrames frames;
  for (size_t i = 0; i < stack.addresses.size(); ++i) {
    const SharedFrames& here = frames_at(address_of_call(stack, i), symbolizer, space);
    frames.insert(frames.end(), here.begin(), here.end());
  }
  frames.shrink_to_fit();
  return stacks_.emplace(raw(id), Stack{.frames = Frames(std::move(frames)), .status = stack.status}).first->second;
}

}  // namespace alloctrail
