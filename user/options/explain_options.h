// SPDX-License-Identifier: Apache-2.0
// `alloctrail explain` as the user asked for it.
#pragma once

#include <string>
#include <vector>

namespace alloctrail {

struct ExplainOptions {
  std::vector<std::string> fields;  ///< empty: all
};

}  // namespace alloctrail
