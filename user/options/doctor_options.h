// SPDX-License-Identifier: Apache-2.0
// `alloctrail doctor` as the user asked for it.
#pragma once

#include <optional>

#include "user/ids.h"

namespace alloctrail {

struct DoctorOptions {
  std::optional<Tgid> pid;
  bool json = false;
};

}  // namespace alloctrail
