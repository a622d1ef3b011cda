// SPDX-License-Identifier: Apache-2.0
// HostTable -> JSON; the fields are listed in README.md.
#pragma once

#include <string>

#include "user/analysis/host_table.h"

namespace alloctrail {

/// One object without a line end, schema "alloctrail/ps/1".
[[nodiscard]] std::string host_json(const HostSnapshot& snapshot, const HostTable& table);

}  // namespace alloctrail
