// SPDX-License-Identifier: Apache-2.0
// The thread behind the screen: reads the source, keeps the histories, hands over finished Scenes. Whatever takes long
// happens here, so that the screen never waits.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "user/handles.h"
#include "user/tui/scene_builder.h"
#include "user/tui/snapshot_source.h"

namespace alloctrail {

class Collector {
 public:
  /// A snapshot and what follows from it may take this part of one CPU; if it takes more, snapshots come later.
  static constexpr double kMostCpu = 0.04;

  struct News {
    std::shared_ptr<const Scene> scene;  ///< null: nothing new
    std::optional<Error> failure;        ///< the source has failed; there will be no more news
    std::optional<std::string> notice;   ///< what became of a write
  };

  /// Starts the thread. `write` may be empty.
  static Result<std::unique_ptr<Collector>> start(std::unique_ptr<SnapshotSource> source, WriteSnapshot write,
                                                  std::chrono::nanoseconds interval);
  /// Waits for what is under way.
  ~Collector();
  Collector(const Collector&) = delete;
  Collector& operator=(const Collector&) = delete;

  /// Readable when take() has something to return.
  [[nodiscard]] int event_fd() const { return news_fd_.get(); }
  [[nodiscard]] News take();
  void set_interval(std::chrono::nanoseconds interval);
  [[nodiscard]] bool can_write() const { return static_cast<bool>(write_); }
  void write(std::shared_ptr<const Snapshot> snapshot);
  /// How long the next snapshot has been due; below zero: how long until then. Nothing once the source is over.
  [[nodiscard]] std::optional<std::chrono::nanoseconds> overdue() const;

 private:
  struct Requests {
    std::chrono::nanoseconds interval{};
    std::shared_ptr<const Snapshot> to_write;
    bool stop = false;
  };

  Collector(std::unique_ptr<SnapshotSource> source, WriteSnapshot write, std::chrono::nanoseconds interval);
  void run();
  [[nodiscard]] bool step();
  void publish();
  void fail(Error error);
  [[nodiscard]] Requests take_requests();

  std::unique_ptr<SnapshotSource> source_;
  WriteSnapshot write_;
  UniqueFd news_fd_;
  UniqueFd wake_fd_;
  SceneBuilder builder_;                             ///< of the thread alone
  std::chrono::steady_clock::time_point looked_at_;  ///< of the thread alone: when the last snapshot was due
  std::chrono::nanoseconds rest_{};                  ///< of the thread alone: least time until the next one
  std::atomic<int64_t> due_ns_{0};                   ///< the next snapshot, on the steady clock; 0: none will come
  std::mutex mutex_;
  News news_;
  Requests requests_;
  std::thread thread_;
};

}  // namespace alloctrail
