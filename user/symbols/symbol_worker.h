// SPDX-License-Identifier: Apache-2.0
// The program's side of the symbol worker: starts it, asks it, and does without it when a file has ended it.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "user/model/snapshot.h"
#include "user/result.h"
#include "user/symbols/confinement.h"
#include "user/symbols/debug_file_request.h"
#include "user/symbols/symbol_channel.h"

namespace alloctrail {

struct SymbolWorkerLimits {
  uint64_t memory_bytes = 240 << 20;               ///< what the worker may allocate
  std::chrono::seconds processor_time_s{30};       ///< of one request
  std::chrono::seconds time_s{120};                ///< of one request, by the clock on the wall
  size_t ends = 32;                                ///< how often files may end it before it is given up
};

/// What the worker has found in one file.
struct SymbolAnswer {
  bool is_elf = false;
  std::string problem;                     ///< a sentence for the user, or empty
  std::vector<std::vector<Frame>> frames;  ///< of the first offsets that were asked for; at least one
};

class SymbolWorker {
 public:
  explicit SymbolWorker(SymbolWorkerLimits limits = {}) : limits_(limits) {}
  ~SymbolWorker() { stop(); }
  SymbolWorker(const SymbolWorker&) = delete;
  SymbolWorker& operator=(const SymbolWorker&) = delete;

  /// The names at `offsets` (at least one, at most kMaxOffsets) of the file behind `fd`, which has been given the number
  /// `file` for good. `places` is asked for its separate debug files. If the worker ends over it, it is tried once more.
  /// Errors: Failed, this file ends it; NotSupported, it cannot be started, or files have ended it too often.
  [[nodiscard]] Result<SymbolAnswer> resolve(uint64_t file, int fd, DebugFileSource& places,
                                             std::span<const uint64_t> offsets);
  static constexpr size_t kMaxOffsets = 1024;

  /// How the worker is confined; it is started for that if need be.
  [[nodiscard]] Result<Confinement> confinement();
  /// The process, 0 if none runs.
  [[nodiscard]] pid_t pid() const { return pid_; }

 private:
  [[nodiscard]] Status start();
  void stop();
  [[nodiscard]] std::optional<SymbolAnswer> ask(uint64_t file, int fd, DebugFileSource& places,
                                                std::span<const uint64_t> offsets);
  [[nodiscard]] bool answer_debug_file(const SymbolMessage& request, DebugFileSource& places);
  void begin_waiting();
  [[nodiscard]] bool wait();
  [[nodiscard]] std::chrono::nanoseconds processor_time() const;
  [[nodiscard]] std::string end();

  SymbolWorkerLimits limits_;
  pid_t pid_ = 0;
  SymbolChannel channel_;
  Confinement confinement_ = 0;
  size_t ends_ = 0;
  std::chrono::steady_clock::time_point asked_at_{};
  std::chrono::nanoseconds processor_time_before_{};
  bool took_too_long_ = false;
};

}  // namespace alloctrail
