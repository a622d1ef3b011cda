// SPDX-License-Identifier: Apache-2.0
// Updates of a source -> Scenes: one History for each image of each process.
#pragma once

#include <chrono>
#include <memory>
#include <vector>

#include "user/analysis/history.h"
#include "user/tui/snapshot_source.h"
#include "user/tui/view_state.h"

namespace alloctrail {

class SceneBuilder {
 public:
  void add(Update update);
  void set_progress(std::string progress) { scene_.progress = std::move(progress); }
  void set_interval(std::chrono::nanoseconds interval) { scene_.interval = interval; }
  [[nodiscard]] std::shared_ptr<const Scene> scene() const { return std::make_shared<const Scene>(scene_); }

 private:
  void add(Snapshot snapshot);

  Scene scene_;
  std::vector<History> histories_;  ///< as Scene::processes
};

}  // namespace alloctrail
