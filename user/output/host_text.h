// SPDX-License-Identifier: Apache-2.0
// HostTable -> the text of `ps`.
#pragma once

#include <string>

#include "user/analysis/host_table.h"
#include "user/output/text_line.h"

namespace alloctrail {

[[nodiscard]] std::string host_text(const HostSnapshot& snapshot, const HostTable& table, const TextStyle& style);

}  // namespace alloctrail
