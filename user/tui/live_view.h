// SPDX-License-Identifier: Apache-2.0
// The live view as a whole: keys and news in, screens out. The same for a running trace and for a recording.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "user/output/output_file.h"
#include "user/result.h"
#include "user/tui/draw.h"
#include "user/tui/snapshot_source.h"
#include "user/tui/view_state.h"

namespace alloctrail {

struct LiveViewOptions {
  std::chrono::nanoseconds interval = std::chrono::seconds(1);
  Page page = Page::Threads;
  TextStyle style;
};

/// Shows the source on the terminal until the user or SIGTERM ends it. `stop_fd`: a signalfd of SIGINT, SIGTERM, SIGHUP
/// and SIGWINCH, which are blocked. `write`: what the key w does; may be empty.
[[nodiscard]] Status run_live_view(std::unique_ptr<SnapshotSource> source, const LiveViewOptions& options,
                                   WriteSnapshot write, int signal_fd);

struct BatchOptions {
  size_t rows = 20;               ///< of each list
  std::optional<uint64_t> count;  ///< screens; none: until the source is over
  bool svg = false;               ///< pictures instead of text
};

/// The same screens as text, one an interval, each as high as it takes.
[[nodiscard]] Status run_batch_view(SnapshotSource& source, const LiveViewOptions& options, const BatchOptions& batch,
                                    Sink& sink, int signal_fd);

}  // namespace alloctrail
