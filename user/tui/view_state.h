// SPDX-License-Identifier: Apache-2.0
// What there is to show (Scene) and what the user has chosen to see of it (ViewState). Plain values.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "user/analysis/history.h"
#include "user/model/oom_report.h"
#include "user/output/text_line.h"
#include "user/tui/filter.h"

namespace alloctrail {

/// All processes at one moment. Entries keep their place for the whole run; a process that runs another program becomes
/// another entry. Never changes once made.
struct Scene {
  std::vector<std::shared_ptr<const Picture>> processes;
  std::vector<std::shared_ptr<const OomReport>> deaths;
  std::string progress;                 ///< what takes long at present; empty: nothing does
  std::string message;                  ///< the newest sentence of the trace; empty: none
  bool over = false;                    ///< nothing will change any more
  std::chrono::nanoseconds interval{};  ///< between two snapshots
};

enum class Page { Processes, Threads, Stacks, Process, Probes, ThreadStacks, StackDetail, CallTree, Death, Help };

enum class SortBy { Name, Outstanding, Blocks, SinceMark, Growth, Allocations, Releases };

/// Where the user is: a page, what it is about, and the place in its list or text.
struct Place {
  Page page = Page::Threads;
  std::optional<uint32_t> thread;    ///< of ThreadStacks and CallTree: index into Picture::threads; none: all of them
  uint32_t stack = 0;                ///< of StackDetail: index into Picture::stacks
  std::optional<uint32_t> selected;  ///< item of a list; none: whichever is first
  size_t position = 0;               ///< where the selected item was, for when it goes away
  size_t first = 0;                  ///< first line shown
  SortBy sort = SortBy::Outstanding;
  bool reversed = false;
};

[[nodiscard]] inline Place place_on(Page page) {
  Place place;
  place.page = page;
  return place;
}

enum class Wish { None, Quit, Write };

struct ViewState {
  Charset charset = Charset::Utf8;
  std::vector<Place> trail{Place{}};  ///< back() is shown; Escape removes it. Never empty
  size_t process = 0;                 ///< index into Scene::processes
  FrameChoice frames = FrameChoice::All;
  Filter filter;
  std::optional<std::string> typing;   ///< a filter under construction
  std::shared_ptr<const Scene> mark;   ///< what changes refer to
  std::shared_ptr<const Scene> frozen; ///< shown instead of what is newest
  std::string notice;                  ///< answer to the last key
  std::chrono::nanoseconds interval = std::chrono::seconds(1);
  Wish wish = Wish::None;

  [[nodiscard]] Place& place() { return trail.back(); }
  [[nodiscard]] const Place& place() const { return trail.back(); }
};

/// The process that is looked at; null before the first snapshot.
[[nodiscard]] inline const Picture* picture_of(const Scene& scene, const ViewState& state) {
  return state.process < scene.processes.size() ? scene.processes[state.process].get() : nullptr;
}

/// Pages that are lists of items; the others are text.
[[nodiscard]] inline bool is_list(Page page) {
  return page == Page::Processes || page == Page::Threads || page == Page::Stacks || page == Page::ThreadStacks;
}

}  // namespace alloctrail
