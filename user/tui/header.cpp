// SPDX-License-Identifier: Apache-2.0
#include "user/tui/header.h"

#include <fmt/format.h>

#include <array>
#include <optional>
#include <string_view>

#include "user/output/limit_text.h"
#include "user/output/units.h"
#include "user/tui/figures.h"
#include "user/tui/rows.h"

namespace alloctrail {
namespace {

constexpr size_t kCourseColumns = 16;
constexpr uint64_t kNearShare = 10;  // a host's room is worth a line below one part in this many

std::string_view end_words(EndReason end) {
  switch (end) {
    case EndReason::None: break;
    case EndReason::Exited: return "EXITED";
    case EndReason::Execed: return "RUNS ANOTHER PROGRAM";
    case EndReason::Detached: return "DETACHED";
  }
  return "";
}

const OomReport* death_of(const Scene& scene, const Snapshot& snapshot) {
  for (const auto& death : scene.deaths)
    if (death->pid == snapshot.process.pid) return death.get();
  return nullptr;
}

/// Name and command give way to what stands at the right: the state, the time.
CellLine process_line(const Scene& scene, const ViewState& state, const Picture& picture, size_t width) {
  const Snapshot& snapshot = *picture.snapshot;
  const OomReport* death = death_of(scene, snapshot);
  CellLine right(state.charset);
  if (death != nullptr && death->killed()) right.add(" KILLED: OUT OF MEMORY (o) ", Look::Loss);
  else if (snapshot.end != EndReason::None) right.add(fmt::format(" {} ", end_words(snapshot.end)), Look::Warning);
  if (state.frozen) right.add(" FROZEN ", Look::Warning);
  right.add(fmt::format(" {}", format_duration(std::chrono::floor<std::chrono::seconds>(snapshot.elapsed))));
  if (width >= 60) right.add("  " + format_clock(snapshot.time), Look::Faint);
  const size_t room = width > right.width() + 1 ? width - right.width() - 1 : 0;
  CellLine line(state.charset);
  line.add(snapshot.process.comm, Look::Strong).add(fmt::format("  pid {}", raw(snapshot.process.pid)), Look::Heading);
  line.add("  " + snapshot.process.command, Look::Faint).cut(room).fill_to(width - std::min(width, right.width()));
  for (const Cell& cell : right.cells()) line.add(cell.text, cell.look);
  return line;
}

void add_figure(CellLine& line, std::string_view name, std::string_view value, Look look = Look::Heading) {
  if (line.width() > 0) line.add("   ");
  line.add(name, Look::Faint).add(" ").add(value, look);
}

void add_growth(CellLine& line, const Activity& total, Charset charset) {
  const std::string growth = growth_text(total);
  const bool figure = growth[0] == '+' || growth[0] == '-';
  add_figure(line, "growth", figure ? growth + "/h" : growth == "?" ? "too early to say" : growth,
             surely_grows(total) ? Look::Warning : Look::Heading);
  line.add(" ").add(course_text(total, kCourseColumns, charset), Look::Faint);
}

CellLine memory_line(const Picture& picture, Charset charset) {
  const MemoryStatus& memory = picture.snapshot->process.memory;
  const uint64_t held = picture.total.usage.outstanding().bytes;
  CellLine line(charset);
  add_figure(line, "RSS", format_bytes(memory.vm_rss_bytes));
  add_figure(line, "outstanding", format_bytes(held));
  line.add(fmt::format(" (peak {})", format_bytes(picture.peak_bytes)), Look::Faint);
  if (memory.rss_anon_bytes >= held)
    add_figure(line, "other anon", format_bytes(memory.rss_anon_bytes - held));
  else if (memory.rss_anon_bytes > 0)
    add_figure(line, "not touched", format_bytes(held - memory.rss_anon_bytes));
  return line;
}

CellLine speed_line(const Picture& picture, Charset charset) {
  const Activity& total = picture.total;
  CellLine line(charset);
  add_figure(line, "allocs", format_count_rate(total.allocation.blocks_per_s) + "/s");
  line.add(fmt::format(" {}/s", format_byte_rate(total.allocation.bytes_per_s)));
  add_figure(line, "frees", format_count_rate(total.release.blocks_per_s) + "/s");
  add_growth(line, total, charset);
  return line;
}

bool is_limit_near(const LimitView& limit) {
  if (!limit.nearest.cgroup.empty() || limit.left.outcome == Forecast::Outcome::Exhausts) return true;
  return limit.nearest.room_bytes < limit.nearest.limit_bytes / kNearShare;
}

CellLine limit_line_of(const LimitView& limit, Charset charset) {
  const bool soon = limit.left.outcome == Forecast::Outcome::Exhausts;
  return CellLine(charset).add(limit_line(limit.nearest, limit.left), soon ? Look::Warning : Look::Plain);
}

uint64_t lost_calls(const Picture& picture) {
  uint64_t calls = picture.snapshot->probe_misses;
  for (const CounterLine& line : picture.accounting.lines)
    if (line.kind == CounterKind::Loss) calls += line.calls;
  return calls;
}

CellLine trust_line(const Scene& scene, const Picture& picture, Charset charset) {
  CellLine line(charset);
  if (!picture.accounting.balanced) line.add("NOT BALANCED: do not trust the totals   ", Look::Loss);
  const uint64_t lost = lost_calls(picture);
  if (lost > 0) line.add(fmt::format("LOST {} calls: see Probes", format_count(lost)), Look::Loss);
  else line.add("nothing lost", Look::Faint);
  for (const std::string& warning : picture.snapshot->warnings) line.add("   WARNING: " + warning, Look::Warning);
  if (!scene.message.empty()) line.add("   " + scene.message, Look::Warning);
  if (!scene.progress.empty()) line.add("   " + scene.progress, Look::Warning);
  return line;
}

CellLine small_line(const Picture& picture, Charset charset) {
  CellLine line(charset);
  if (!picture.accounting.balanced || lost_calls(picture) > 0) line.add("LOST CALLS ", Look::Loss);
  line.add("holds ", Look::Faint).add(format_bytes(picture.total.usage.outstanding().bytes), Look::Heading);
  add_growth(line, picture.total, charset);
  return line;
}

struct Tab {
  Page page;
  const char* key;
  const char* name;
};
constexpr std::array kTabs = {Tab{Page::Processes, "0", "Processes"}, Tab{Page::Threads, "1", "Threads"},
                              Tab{Page::Stacks, "2", "Stacks"}, Tab{Page::Process, "3", "Process"},
                              Tab{Page::Probes, "4", "Probes"}};

std::string whose(const Picture& picture, std::optional<uint32_t> thread) {
  return thread ? thread_name(picture, *thread) : "all threads";
}

/// What the page within a page is about.
std::string topic(const Scene& scene, const ViewState& state) {
  const Picture* picture = picture_of(scene, state);
  if (picture == nullptr) return "";
  switch (state.place().page) {
    case Page::ThreadStacks: return "stacks of " + whose(*picture, state.place().thread);
    case Page::CallTree: return "call tree of " + whose(*picture, state.place().thread);
    case Page::StackDetail: return "one stack";
    case Page::Help: return "help";
    case Page::Death: return "OOM report";
    default: return "";
  }
}

}  // namespace

std::vector<CellLine> header_lines(const Scene& scene, const ViewState& state, HeaderSize size, size_t width) {
  const Picture* picture = picture_of(scene, state);
  if (picture == nullptr) {
    CellLine line(state.charset);
    const std::string said = scene.progress.empty() ? "waiting for the first snapshot" : scene.progress;
    line.add("alloctrail", Look::Strong).add("  " + said, Look::Plain);
    return {line};
  }
  if (size == HeaderSize::Small) return {process_line(scene, state, *picture, width), small_line(*picture, state.charset)};
  std::vector<CellLine> lines = {process_line(scene, state, *picture, width), memory_line(*picture, state.charset),
                                 speed_line(*picture, state.charset)};
  if (picture->limit && is_limit_near(*picture->limit)) lines.push_back(limit_line_of(*picture->limit, state.charset));
  lines.push_back(trust_line(scene, *picture, state.charset));
  return lines;
}

CellLine tabs_line(const Scene& scene, const ViewState& state, size_t width) {
  CellLine line(state.charset);
  const Page root = state.trail.front().page;
  for (const Tab& tab : kTabs) {
    if (tab.page == Page::Processes && scene.processes.size() < 2) continue;
    const bool present = tab.page == root;
    const std::string text = fmt::format(" {} {} ", tab.key, tab.name);
    line.add(text, present ? Look::Heading : Look::Faint, present ? Ground::Reversed : Ground::Normal);
  }
  if (const std::string about = topic(scene, state); !about.empty()) line.add("  > " + about, Look::Heading);
  if (!state.filter.empty()) line.add("  filter /" + state.filter.expression() + "/", Look::Warning);
  return line.cut(width);
}

}  // namespace alloctrail
