// SPDX-License-Identifier: Apache-2.0
#include "user/analysis/balance.h"

#include <algorithm>
#include <cstdlib>

namespace alloctrail {

std::optional<Balance> balance(const Snapshot& snapshot) {
  if (!snapshot.residence) return std::nullopt;
  const Residence& at = *snapshot.residence;
  const uint64_t live = snapshot.outstanding().bytes;
  // Large blocks, and the whole heap of allocators that leave no sign, lie in anonymous maps.
  const uint64_t in_allocators = std::min(live, at.allocators());
  const uint64_t in_anonymous = std::min(live - in_allocators, at.other_anonymous);

  Balance out;
  out.rss_bytes = at.vm_rss_bytes;
  out.reserved_bytes = at.reserved_bytes;
  out.age = snapshot.elapsed - at.read_at;
  const auto add = [&](BalancePart part, uint64_t bytes, bool estimated) {
    const double share = out.rss_bytes == 0 ? 0 : static_cast<double>(bytes) / static_cast<double>(out.rss_bytes);
    out.lines.push_back({part, bytes, share, estimated && bytes != 0});
  };
  add(BalancePart::LiveBlocks, in_allocators + in_anonymous, true);
  add(BalancePart::AllocatorOther, at.allocators() - in_allocators, true);
  add(BalancePart::ThreadStacks, at.thread_stacks, false);
  add(BalancePart::MainStack, at.main_stack, false);
  add(BalancePart::OtherAnonymous, at.other_anonymous - in_anonymous, in_anonymous != 0);
  add(BalancePart::File, at.file, false);
  add(BalancePart::Shared, at.shared, false);
  add(BalancePart::Special, at.special, false);
  out.unexplained_bytes = static_cast<int64_t>(at.vm_rss_bytes) - static_cast<int64_t>(at.sum());
  if (out.rss_bytes != 0)
    out.explained_share =
        1 - static_cast<double>(std::llabs(out.unexplained_bytes)) / static_cast<double>(out.rss_bytes);
  return out;
}

const char* name_of(BalancePart part) {
  switch (part) {
    case BalancePart::LiveBlocks:
      return "live_blocks";
    case BalancePart::AllocatorOther:
      return "allocator_other";
    case BalancePart::ThreadStacks:
      return "thread_stacks";
    case BalancePart::MainStack:
      return "main_stack";
    case BalancePart::OtherAnonymous:
      return "other_anonymous";
    case BalancePart::File:
      return "file";
    case BalancePart::Shared:
      return "shared";
    case BalancePart::Special:
      return "special";
  }
  return "";
}

}  // namespace alloctrail
