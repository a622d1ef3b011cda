// SPDX-License-Identifier: Apache-2.0
#include "user/trace/stack_names.h"

#include <memory>
#include <utility>

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

void StackNames::name(std::span<const StackId> ids, const Tracer& tracer, Symbolizer& symbolizer,
                      const AddressSpace& space) {
  std::vector<std::pair<StackId, RawStack>> fresh;
  std::vector<Addr> calls;
  for (const StackId id : ids) {
    if (stacks_.contains(raw(id))) continue;
    const RawStack& stack = fresh.emplace_back(id, tracer.stack(id)).second;
    for (size_t i = 0; i < stack.addresses.size(); ++i) calls.push_back(address_of_call(stack, i));
  }
  resolve(calls, symbolizer, space);
  for (const auto& [id, stack] : fresh) {
    SharedFrames frames;
    for (size_t i = 0; i < stack.addresses.size(); ++i) {
      const SharedFrames& here = frames_[raw(address_of_call(stack, i))];
      frames.insert(frames.end(), here.begin(), here.end());
    }
    frames.shrink_to_fit();
    stacks_.try_emplace(raw(id), Stack{.frames = Frames(std::move(frames)), .status = stack.status});
  }
  forget_anonymous(calls);
}

/// Code in anonymous memory can be replaced without a sign.
void StackNames::forget_anonymous(const std::vector<Addr>& addresses) {
  for (const Addr address : addresses) {
    const auto entry = frames_.find(raw(address));
    if (entry != frames_.end() && entry->second.front()->module.empty()) frames_.erase(entry);
  }
}

const Stack& StackNames::get(StackId id, const Tracer& tracer, Symbolizer& symbolizer, const AddressSpace& space) {
  name(std::span(&id, 1), tracer, symbolizer, space);
  return stacks_.at(raw(id));
}

}  // namespace alloctrail
