// SPDX-License-Identifier: Apache-2.0
// One snapshot as a file of its own: a recording of one moment.
#pragma once

#include <string>

#include "user/model/snapshot.h"
#include "user/result.h"

namespace alloctrail {

/// Writes "alloctrail-PID-TIME.alloctrail" into the working directory, whole or not at all. The result tells the user.
[[nodiscard]] Result<std::string> write_snapshot_file(const Snapshot& snapshot);

}  // namespace alloctrail
