// SPDX-License-Identifier: Apache-2.0
#include "user/tui/text_pages.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "user/output/balance_text.h"
#include "user/output/field_guide.h"
#include "user/output/oom_text.h"
#include "user/output/report_text_parts.h"
#include "user/output/units.h"
#include "user/tui/figures.h"
#include "user/tui/rows.h"

namespace alloctrail {
namespace {

class TextPage {
 public:
  TextPage(const Scene& scene, const ViewState& state, size_t width)
      : scene_(scene),
        state_(state),
        picture_(picture_of(scene, state)),
        style_{{width, Color::Off, state.charset}, ByteFigures::Scaled} {}

  std::vector<CellLine> build() {
    if (state_.place().page == Page::Help) help();
    if (state_.place().page == Page::Death) death();
    if (picture_ == nullptr) return std::move(lines_);
    if (state_.place().page == Page::StackDetail) stack();
    if (state_.place().page == Page::CallTree) tree();
    if (state_.place().page == Page::Process) process();
    if (state_.place().page == Page::Probes) probes();
    return std::move(lines_);
  }

 private:
  CellLine& add(std::string_view text = "", Look look = Look::Plain) {
    return lines_.emplace_back(state_.charset).add(text, look);
  }

  /// Lines that another view has made.
  void add_text(std::string_view text) {
    for (size_t at = 0; at < text.size();) {
      const size_t end = std::min(text.find('\n', at), text.size());
      add(text.substr(at, end - at));
      at = end + 1;
    }
  }

  void add_paragraph(std::string_view text, size_t indent) { add_text(wrapped(text, indent, Look::Plain, style_.text)); }

  void stack() {
    const uint32_t number = state_.place().stack;
    if (number >= picture_->stacks.size() || picture_->stacks[number].stack == kAbsent) return;
    const StackEntry& entry = picture_->stacks[number];
    const Usage& usage = entry.activity.usage;
    add(fmt::format("{} in {} blocks", format_bytes(usage.outstanding().bytes), format_count(usage.outstanding().blocks)),
        Look::Heading)
        .add(fmt::format("   allocated {} in {}, freed {} in {} since the attach", format_bytes(usage.allocated.bytes),
                         format_count(usage.allocated.blocks), format_bytes(usage.freed.bytes),
                         format_count(usage.freed.blocks)));
    growth(entry.activity);
    add();
    add(state_.frames == FrameChoice::All ? "ALL FRAMES, innermost first (f: only the program's)"
                                          : "FRAMES of the program, innermost first (f: all)",
        Look::Heading);
    add_text(frames_text(picture_->snapshot->stacks[entry.stack], state_.frames, style_.text));
    add();
    holders(number);
  }

  void growth(const Activity& activity) {
    CellLine& line = add("growth ", Look::Faint);
    const auto& course = activity.course;
    if (course && course->growth && course->growth->per_s.bounded()) {
      constexpr double kHour = 3600;
      const auto per_hour = [](double per_s) { return signed_bytes(static_cast<int64_t>(per_s * kHour)); };
      const Estimate& per_s = course->growth->per_s;
      line.add(fmt::format("{}/h ", per_hour(per_s.value)), surely_grows(activity) ? Look::Warning : Look::Plain)
          .add(fmt::format("({} to {} with 95 % confidence, over {})   ", per_hour(per_s.lower), per_hour(per_s.upper),
                           format_duration(std::chrono::seconds(static_cast<int64_t>(course->growth->span_s)))));
    } else {
      line.add(course ? "too early to say   " : "not followed: others hold more   ");
    }
    line.add(course_text(activity, 48, state_.charset), Look::Faint);
  }

  void holders(uint32_t number) {
    std::vector<const SiteEntry*> sites;
    for (const SiteEntry& site : picture_->sites)
      if (site.stack == number && site.activity.usage.outstanding().blocks > 0) sites.push_back(&site);
    std::ranges::stable_sort(sites, std::greater<>{},
                             [](const SiteEntry* site) { return site->activity.usage.outstanding().bytes; });
    add(sites.empty() ? "no thread holds a block of it now" : "HELD BY", Look::Heading);
    for (const SiteEntry* site : sites) {
      const Amount held = site->activity.usage.outstanding();
      add("  ").add_field(format_bytes(held.bytes), 11, true, Look::Heading)
          .add_field(format_count(held.blocks) + " blocks", 18, true).add("  ")
          .add(thread_name(*picture_, site->thread), Look::Strong);
    }
  }

  /// Of the callers of what holds most; changes are since the mark.
  void tree() {
    constexpr size_t kLargest = 40;
    const Snapshot& snapshot = *picture_->snapshot;
    const Picture* mark = state_.mark ? picture_of(*state_.mark, state_) : nullptr;
    ReportQuery query;
    query.top = kLargest;
    query.stacks = StackLayout::Tree;
    if (const auto thread = state_.place().thread; thread && *thread < picture_->threads.size())
      if (const uint32_t index = picture_->threads[*thread].thread; index != kAbsent)
        query.only_tid = snapshot.threads[index].tid;
    const ReportView view = report_view(snapshot, mark == nullptr ? nullptr : mark->snapshot.get(), query);
    add_text(call_tree_text(snapshot, view, style_));
  }

  void process() {
    const Snapshot& snapshot = *picture_->snapshot;
    add_paragraph(snapshot.process.command, 2);
    add();
    if (picture_->balance) {
      add_text(balance_text(snapshot, *picture_->balance, style_));
      add();
    }
    add("/proc/PID/status", Look::Heading);
    const MemoryStatus& memory = snapshot.process.memory;
    const auto figure = [&](const char* name, uint64_t bytes) { field(name, format_bytes(bytes)); };
    figure("VmRSS", memory.vm_rss_bytes), figure("RssAnon", memory.rss_anon_bytes);
    figure("RssFile", memory.rss_file_bytes), figure("RssShmem", memory.rss_shmem_bytes);
    figure("VmHWM", memory.vm_hwm_bytes), figure("VmSwap", memory.vm_swap_bytes);
    figure("VmSize", memory.vm_size_bytes), figure("VmPeak", memory.vm_peak_bytes);
    figure("VmData", memory.vm_data_bytes), figure("VmStk", memory.vm_stk_bytes);
    figure("VmExe", memory.vm_exe_bytes), figure("VmLib", memory.vm_lib_bytes);
    figure("VmPTE", memory.vm_pte_bytes), figure("VmLck", memory.vm_lck_bytes);
    figure("VmPin", memory.vm_pin_bytes), figure("HugetlbPages", memory.hugetlb_bytes);
    field("Threads", format_count(memory.threads));
  }

  void field(std::string_view name, const std::string& value) {
    constexpr size_t kName = 13, kValue = 11, kIndent = kName + kValue + 2;
    const FieldEntry* entry = find_field(name);
    CellLine& first = add().add_field(name, kName, false, Look::Strong).add_field(value, kValue, true, Look::Heading);
    if (entry == nullptr) return;
    const std::string sentence = fmt::format("{} {}", entry->sentence, entry->advice);
    if (style_.text.width < kIndent + 30) return add_paragraph("  " + sentence, 2);
    TextStyle narrow = style_.text;
    narrow.width -= kIndent;
    const std::string text = wrapped(sentence, 0, Look::Plain, narrow);
    const size_t end = text.find('\n');
    first.add("  ").add(text.substr(0, end));
    for (size_t at = end + 1; at < text.size();) {
      const size_t next = text.find('\n', at);
      add().fill_to(kIndent).add(text.substr(at, next - at));
      at = next + 1;
    }
  }

  void probes() {
    const Snapshot& snapshot = *picture_->snapshot;
    for (const std::string& warning : snapshot.warnings) add_paragraph("WARNING: " + warning, 9);
    ReportView view;
    view.accounting = picture_->accounting;
    add("ACCOUNTING", Look::Heading);
    add_text(accounting_text(snapshot, view, style_));
    add();
    add("PROBES", Look::Heading);
    add(fmt::format("{:>14}  {:<20} {:<8} {}", "HITS", "FUNCTION", "KIND", "FILE AND PLACE"), Look::Faint);
    for (const Probe& probe : snapshot.probes)
      add().add_field(format_count(probe.hits), 14, true).add("  ").add_field(probe.function, 20, false, Look::Strong)
          .add(" ").add_field(probe.kind, 8, false)
          .add(fmt::format(" {}+{:#x} ", probe.module.substr(probe.module.rfind('/') + 1), probe.offset))
          .add(probe.site, Look::Faint);
  }

  void death() {
    for (const auto& death : scene_.deaths) {
      add_text(oom_text(*death, FrameChoice::Callers, style_.text));
      add();
    }
    if (scene_.deaths.empty()) add("the OOM killer has taken none of the processes");
  }

  void help() {
    add("From a growing process to the line: 1 Threads, Enter on the one that grows, Enter on its stack.", Look::Heading);
    add();
    constexpr std::array<std::pair<const char*, const char*>, 19> kKeys{{
        {"Tab 0-4", "Processes (of many), Threads, Stacks, Process, Probes"},
        {"Enter Esc", "into the selected row, and out"},
        {"arrows j k", "move; PgUp PgDn Home End too; the mouse selects"},
        {"< >", "sort by the column to the left, to the right"},
        {"r", "reverse the order"},
        {"/", "show only what matches a regular expression; empty: all"},
        {"t", "in Stacks or a thread's stacks: the call tree, with totals from the outer end"},
        {"m", "mark: SINCE MARK shows what each row holds more or less from now on"},
        {"x", "forget the mark and the filter"},
        {"Space", "freeze the screen; data go on behind it"},
        {"+ -", "shorter, longer interval between snapshots"},
        {"f", "in a stack: all frames, or only the program's"},
        {"o", "the OOM report, if there is one"},
        {"w", "write the present snapshot to a file"},
        {"q", "quit; the process goes on untouched"},
        {"", ""},
        {"GROWTH/H", "bytes an hour, where sure with 95 % confidence; ?: too early; -: not followed"},
        {"COURSE", "the lowest bytes of equal stretches of time, oldest first; level below 1 %"},
        {"FREES/S", "of blocks that this row has allocated, whichever thread freed them"},
    }};
    for (const auto& [key, meaning] : kKeys) add().add_field(key, 12, false, Look::Strong).add(meaning);
    add();
    add_paragraph("ALLOCS/S and FREES/S count blocks. Outstanding bytes are requested bytes, allocated since the attach and "
                  "not freed. \"other anon\" is RssAnon without them: blocks from before the attach, the "
                  "allocator's own share, stacks; \"not touched\": more is asked for than was used yet. Growth is the "
                  "median slope over the lowest values, so peaks that come down again do not count.", 0);
  }

  const Scene& scene_;
  const ViewState& state_;
  const Picture* picture_;
  ReportStyle style_;
  std::vector<CellLine> lines_;
};

}  // namespace

std::vector<CellLine> page_lines(const Scene& scene, const ViewState& state, size_t width) {
  return TextPage(scene, state, width).build();
}

}  // namespace alloctrail
