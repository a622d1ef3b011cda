// SPDX-License-Identifier: Apache-2.0
// The figures of /proc/PID that people know: memory, threads, names.
#pragma once

#include <string>
#include <vector>

#include "user/ids.h"
#include "user/model/snapshot.h"
#include "user/result.h"

namespace alloctrail {

/// Reads /proc/PID/{status,comm,cmdline}. Fails if the process is gone.
[[nodiscard]] Result<ProcessFigures> read_figures(Tgid pid);

struct ThreadName {
  Tid tid{};
  std::string comm;  ///< raw bytes
};

/// The threads that exist now, with their present names; empty if the process is gone.
[[nodiscard]] std::vector<ThreadName> read_threads(Tgid pid);

}  // namespace alloctrail
