// SPDX-License-Identifier: Apache-2.0
// Receives the flight recorder's records on a thread of its own, which has nothing else to do: a dying process is there for
// some milliseconds only. On the line: kernel/oom_feed -> here (look at /proc, keep the raw record) -> OomCapture.
#pragma once

#include <condition_variable>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "user/handles.h"
#include "user/kernel/oom_feed.h"
#include "user/oom/exit_hold.h"
#include "user/oom/kill_records.h"
#include "user/oom/raw_log.h"
#include "user/result.h"
#include "user/target/memory_cgroup.h"

namespace alloctrail {

/// Whether a process that dies of its memory cgroup's limit is held for a moment, so that it can be looked at.
enum class OomHold { Off, Auto };
/// Whether what /proc and the cgroup show of a dying process is read. Not by one that shares its memory limit: reading
/// allocates, too.
enum class LookAtVictims { No, Yes };

struct RecorderOptions {
  static constexpr std::chrono::milliseconds kMostHold{500};

  OomHold hold = OomHold::Off;
  std::chrono::milliseconds hold_budget{50};  ///< a hold lasts no longer, and the process dies at most that much later
  LookAtVictims look = LookAtVictims::Yes;
};

class OomRecorder {
 public:
  /// `log`: where records go before anything is made of them; none: nowhere.
  static Result<std::unique_ptr<OomRecorder>> start(std::unique_ptr<OomFeed> feed, std::optional<RawLog> log,
                                                    const RecorderOptions& options);
  ~OomRecorder();
  OomRecorder(const OomRecorder&) = delete;
  OomRecorder& operator=(const OomRecorder&) = delete;

  /// Readable when take() has something to return.
  [[nodiscard]] int event_fd() const { return ready_.get(); }
  /// Captures that are complete.
  [[nodiscard]] std::vector<OomCapture> take();
  /// The kernel has begun to take memory back for these threads.
  [[nodiscard]] std::vector<CapturedThread> take_reclaims();
  /// Reads what the kernel has sent up to now. True: nothing is being recorded, and take() has nothing to return.
  [[nodiscard]] bool settled();
  /// The captures taken so far are safe elsewhere: their raw records may go, and with the last one the file.
  void forget_raw_records();
  /// Kills of which nothing could be recorded.
  [[nodiscard]] uint64_t missed() const { return feed_->missed(); }

 private:
  OomRecorder(std::unique_ptr<OomFeed> feed, std::optional<RawLog> log, const RecorderOptions& options);
  void run();
  void receive();
  void look_at(OomCapture& capture);
  void read_usage(OomCapture& capture);
  void take_reclaim(const OomFeed::Record& record);
  [[nodiscard]] int wait_ms() const;
  void hand_over(std::vector<OomCapture> finished);

  std::unique_ptr<OomFeed> feed_;
  const RecorderOptions options_;
  std::optional<MemoryHierarchy> hierarchy_;  ///< none: no memory controller is mounted
  KillRecords records_;          ///< the thread's own
  std::list<ExitHold> held_;     ///< likewise: being let go
  UniqueFd wake_;
  UniqueFd ready_;
  std::mutex mutex_;
  std::vector<OomCapture> finished_;
  std::vector<CapturedThread> reclaims_;
  std::optional<RawLog> log_;
  bool pending_ = false;
  bool stop_ = false;
  uint64_t rounds_asked_ = 0;  ///< by settled(), and answered by the thread
  uint64_t rounds_done_ = 0;
  std::condition_variable round_done_;
  std::thread thread_;
};

}  // namespace alloctrail
