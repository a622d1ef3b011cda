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

namespace alloctrail {

/// Whether a process that dies of its memory cgroup's limit is held for a moment, so that it can be looked at.
enum class OomHold { Off, Auto };

class OomRecorder {
 public:
  /// A hold lasts no longer than this, if nothing goes wrong; the process dies that much later.
  static constexpr std::chrono::milliseconds kHoldBudget{50};

  /// `log`: where records go before anything is made of them; none: nowhere.
  static Result<std::unique_ptr<OomRecorder>> start(std::unique_ptr<OomFeed> feed, std::optional<RawLog> log,
                                                    OomHold hold);
  ~OomRecorder();
  OomRecorder(const OomRecorder&) = delete;
  OomRecorder& operator=(const OomRecorder&) = delete;

  /// Readable when take() has something to return.
  [[nodiscard]] int event_fd() const { return ready_.get(); }
  /// Captures that are complete.
  [[nodiscard]] std::vector<OomCapture> take();
  /// Reads what the kernel has sent up to now. True: nothing is being recorded, and take() has nothing to return.
  [[nodiscard]] bool settled();
  /// The captures taken so far are safe elsewhere: their raw records may go, and with the last one the file.
  void forget_raw_records();
  /// Kills of which nothing could be recorded.
  [[nodiscard]] uint64_t missed() const { return feed_->missed(); }

 private:
  OomRecorder(std::unique_ptr<OomFeed> feed, std::optional<RawLog> log, OomHold hold);
  void run();
  void receive();
  void look_at(OomCapture& capture);
  [[nodiscard]] int wait_ms() const;
  void hand_over(std::vector<OomCapture> finished);

  std::unique_ptr<OomFeed> feed_;
  const OomHold hold_;
  KillRecords records_;          ///< the thread's own
  std::list<ExitHold> held_;     ///< likewise: being let go
  UniqueFd wake_;
  UniqueFd ready_;
  std::mutex mutex_;
  std::vector<OomCapture> finished_;
  std::optional<RawLog> log_;
  bool pending_ = false;
  bool stop_ = false;
  uint64_t rounds_asked_ = 0;  ///< by settled(), and answered by the thread
  uint64_t rounds_done_ = 0;
  std::condition_variable round_done_;
  std::thread thread_;
};

}  // namespace alloctrail
