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

/// All that are not known yet at once: the symbolizer answers them together.
void StackNames::resolve(const std::vector<Addr>& addresses, Symbolizer& symbolizer, const AddressSpace& space) {
  std::vector<Addr> unknown;
  for (const Addr address : addresses)
    if (frames_.try_emplace(raw(address)).second) unknown.push_back(address);
  if (unknown.empty()) return;
  std::vector<std::vector<Frame>> named = symbolizer.resolve(space, unknown);
  for (size_t i = 0; i < unknown.size(); ++i)
    for (Frame& frame : named[i])
      frames_[raw(unknown[i])].push_back(std::make_shared<const Frame>(std::move(frame)));
}

const Stack& StackNames::get(StackId id, const Tracer& tracer, Symbolizer& symbolizer, const AddressSpace& space) {
  const auto known = stacks_.find(raw(id));
  if (known != stacks_.end()) return known->second;
  const RawStack stack = tracer.stack(id);
  std::vector<Addr> calls;
  for (size_t i = 0; i < stack.addresses.size(); ++i) calls.push_back(address_of_call(stack, i));
  resolve(calls, symbolizer, space);
  SharedFrames frames;
  for (const Addr call : calls) {
    const SharedFrames& here = frames_[raw(call)];
    frames.insert(frames.end(), here.begin(), here.end());
  }
  // Code in anonymous memory can be replaced without a sign.
  for (const Addr call : calls) {
    const auto entry = frames_.find(raw(call));
    if (entry != frames_.end() && entry->second.front()->module.empty()) frames_.erase(entry);
  }
  frames.shrink_to_fit();
  return stacks_.emplace(raw(id), Stack{.frames = Frames(std::move(frames)), .status = stack.status}).first->second;
}

}  // namespace alloctrail
