// SPDX-License-Identifier: Apache-2.0
// Scenes with known figures for the tests of tui/.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/unit/sample_snapshots.h"
#include "user/tui/draw.h"
#include "user/tui/scene_builder.h"
#include "user/tui/view_state.h"

namespace alloctrail::samples {

inline std::shared_ptr<const Scene> scene_of(std::vector<Snapshot> snapshots) {
  SceneBuilder builder;
  for (Snapshot& snapshot : snapshots) {
    Update update;
    update.snapshots.push_back(std::move(snapshot));
    builder.add(std::move(update));
  }
  return builder.scene();
}

/// leaking() watched for twelve seconds, every second: worker-2 gains 100,000 bytes in 1,000 blocks in each.
inline std::vector<Snapshot> leak_in_steps() {
  std::vector<Snapshot> steps;
  for (uint64_t i = 1; i <= 12; ++i) {
    Snapshot s = leaking();
    s.time += std::chrono::seconds(i);
    s.elapsed = std::chrono::seconds(i);
    s.process.memory.rss_anon_bytes = 30'000'000;
    s.sites[2].allocated = {100'000 * i, 1'000 * i};
    s.threads[2].allocated = {87'310'720 + 100'000 * i, 1'100'000 + 1'000 * i};
    s.counters.seen_calls = s.counters.tracked_calls = s.allocated().blocks;
    s.counters.seen_bytes = s.counters.tracked_bytes = s.allocated().bytes;
    s.counters.failed_calls = s.counters.failed_bytes = 0;
    s.counters.released_calls = s.freed().blocks + s.counters.free_unknown_calls;
    steps.push_back(std::move(s));
  }
  return steps;
}

/// A process with many threads, each holding as many KiB as its number.
inline Snapshot many_threads(uint32_t count) {
  Snapshot s = leaking();
  s.threads.clear(), s.sites.clear();
  s.counters = {};
  for (uint32_t i = 1; i <= count; ++i) {
    const Amount held{1024ull * i, i};
    s.threads.push_back({Tid{10'000 + i}, "pool-" + std::to_string(i), true, held, {}, {}});
    s.sites.push_back({i - 1, i % 2, held, {}, {}});
    s.counters.seen_calls = s.counters.tracked_calls += held.blocks;
    s.counters.seen_bytes = s.counters.tracked_bytes += held.bytes;
  }
  return s;
}

inline std::string shown(const Scene& scene, const ViewState& state, size_t width, size_t height) {
  return grid_text(draw(scene, state, {width, height}).grid, Color::Off);
}

inline ViewState on_page(Page page) {
  ViewState state;
  state.place().page = page;
  return state;
}

}  // namespace alloctrail::samples
