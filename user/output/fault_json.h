// SPDX-License-Identifier: Apache-2.0
// Page faults in a JSON report: `touched`, `faults[]` without their stacks, `fault_accounting`.
#pragma once

#include <nlohmann/json.hpp>

#include "user/analysis/fault_table.h"

namespace alloctrail {

[[nodiscard]] nlohmann::ordered_json touched_json(const Snapshot& snapshot, const FaultView& view);
/// One element of faults[], to which the stack is added.
[[nodiscard]] nlohmann::ordered_json fault_site_json(const Snapshot& snapshot, const TouchSiteRow& row);
[[nodiscard]] nlohmann::ordered_json fault_accounting_json(const Snapshot& snapshot, const FaultView& view);

}  // namespace alloctrail
