// SPDX-License-Identifier: Apache-2.0
// Which elements of a table of sites belong to which slot. Such a table is append-only, so only its new end is looked at.
#pragma once

#include <map>
#include <vector>

#include "alloctrail/records.h"
#include "user/ids.h"
#include "user/kernel/map_view.h"

namespace alloctrail {

/// `Element`: at_site or at_fault_site.
template <class Element>
class SiteIndex {
 public:
  /// Takes in the elements up to `cursor`. One that a CPU has reserved but not yet filled is looked at again next time.
  void update(const ArrayView<Element>& sites, uint64_t cursor) {
    const uint32_t end = cursor < sites.size() ? static_cast<uint32_t>(cursor) : sites.size();
    for (; seen_ < end; ++seen_) unfilled_.push_back(seen_);
    std::vector<uint32_t> still_unfilled;
    for (const uint32_t index : unfilled_) {
      if (sites[index].state != AT_SITE_READY) {
        still_unfilled.push_back(index);
        continue;
      }
      const uint32_t slot = sites[index].slot;
      by_slot_[slot].push_back(index);
    }
    unfilled_ = std::move(still_unfilled);
  }

  /// Element indices of one slot, in order of first sight.
  [[nodiscard]] const std::vector<uint32_t>& of(Slot slot) { return by_slot_[raw(slot)]; }
  /// End of the part of the table that is in use.
  [[nodiscard]] uint32_t seen() const { return seen_; }

 private:
  uint32_t seen_ = 1;
  std::vector<uint32_t> unfilled_;
  std::map<uint32_t, std::vector<uint32_t>> by_slot_;
};

}  // namespace alloctrail
