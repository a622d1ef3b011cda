// SPDX-License-Identifier: Apache-2.0
// The user side of the live table (bpf/live_table.h): how large it is made, and work over all of its blocks.
#pragma once

#include <chrono>
#include <cstdint>

#include "user/ids.h"
#include "user/kernel/bpf_object.h"
#include "user/result.h"

namespace alloctrail {

/// Elements of the table's two maps.
struct LiveTableSize {
  uint32_t buckets = 0;
  uint32_t spilled = 0;
};

/// Of a table that holds `blocks`, all but about one in five lie in a bucket. With more buckets fewer would overflow, and
/// memory that few targets need be taken. The first block is lost at no less than 95 % of `blocks`, if that is more than
/// some hundred.
[[nodiscard]] LiveTableSize live_table_size(uint32_t blocks);

/// Deletes the slot's blocks; other processes' blocks stay.
void forget_live_blocks(BpfObject& object, Slot slot);

/// Adds the blocks older than `age` to the `older` figures of their sites.
[[nodiscard]] Status add_older_blocks(BpfObject& object, std::chrono::nanoseconds age);

}  // namespace alloctrail
