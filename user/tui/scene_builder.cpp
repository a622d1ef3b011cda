// SPDX-License-Identifier: Apache-2.0
#include "user/tui/scene_builder.h"

#include <utility>

namespace alloctrail {

/// The newest image of the process, unless that one has ended.
void SceneBuilder::add(Snapshot snapshot) {
  auto shared = std::make_shared<const Snapshot>(std::move(snapshot));
  for (size_t i = scene_.processes.size(); i-- > 0;) {
    const Snapshot& known = *scene_.processes[i]->snapshot;
    if (known.process.pid != shared->process.pid) continue;
    if (known.end != EndReason::None) break;
    scene_.processes[i] = histories_[i].add(std::move(shared));
    return;
  }
  scene_.processes.push_back(histories_.emplace_back().add(std::move(shared)));
}

void SceneBuilder::add(Update update) {
  for (Snapshot& snapshot : update.snapshots) add(std::move(snapshot));
  for (OomReport& death : update.deaths) scene_.deaths.push_back(std::make_shared<const OomReport>(std::move(death)));
  if (!update.messages.empty()) scene_.message = std::move(update.messages.back());
  scene_.over |= update.over;
}

}  // namespace alloctrail
