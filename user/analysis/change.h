// SPDX-License-Identifier: Apache-2.0
// What lies between two amounts of which either may be the larger.
#pragma once

#include <cstdint>

#include "user/model/snapshot.h"

namespace alloctrail {

/// Outstanding now minus outstanding in the report before.
struct Change {
  int64_t bytes = 0;
  int64_t blocks = 0;
  friend bool operator==(Change, Change) = default;
};

[[nodiscard]] inline Change change(Amount now, Amount before) {
  return {static_cast<int64_t>(now.bytes - before.bytes), static_cast<int64_t>(now.blocks - before.blocks)};
}

}  // namespace alloctrail
