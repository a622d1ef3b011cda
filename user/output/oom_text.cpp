// SPDX-License-Identifier: Apache-2.0
#include "user/output/oom_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <vector>

#include "user/output/report_text_parts.h"
#include "user/output/text_table.h"
#include "user/output/units.h"

namespace alloctrail {
namespace {

constexpr size_t kHangingIndent = 10;  // below "victim    "
constexpr size_t kNamesInHeading = 6;  // of the threads that share a stack

std::string name_of(const OomReport& report) {
  return report.command.empty() ? "[" + report.comm + "]" : report.command;
}

std::string heading(const OomReport& report, const TextStyle& style) {
  const char* what = report.killed() ? "OOM KILL" : "OUT OF MEMORY WHILE EXITING";
  return TextLine(style)
      .add(fmt::format("{} of {} (pid {})", what, report.comm, raw(report.pid)), Look::Heading)
      .add(fmt::format("   {}", format_rfc3339(report.time)))
      .str();
}

std::string share_of_limit(const OomReport& report, uint64_t limit_bytes) {
  // File pages that others were charged for are in the resident set, too.
  const uint64_t explained = std::min(report.rss_bytes, limit_bytes);
  return format_share(limit_bytes == 0 ? 0 : static_cast<double>(explained) / static_cast<double>(limit_bytes));
}

std::string cgroup_sentence(const OomReport& report) {
  if (!report.full_cgroup) return "a memory cgroup was at its limit; which one could not be told";
  const OomCgroup& group = report.cgroups[*report.full_cgroup];
  const uint64_t limit = group.limit_bytes.value_or(0);
  const char* whose = *report.full_cgroup == 0 ? "the victim's memory cgroup" : "a memory cgroup above the victim's";
  const std::string kernel =
      group.kernel_bytes == 0 ? "" : fmt::format(", {} of it by the kernel", format_bytes(group.kernel_bytes));
  return fmt::format("{}, {}, was at its limit: {} of {} used{}; the victim's VmRSS explains {}", whose, group.path,
                     format_bytes(group.usage_bytes), format_bytes(limit), kernel, share_of_limit(report, limit));
}

std::string reason_sentence(const OomReport& report) {
  switch (report.reason) {
    case OomReason::CgroupLimit: return cgroup_sentence(report);
    case OomReason::Host: return "the machine was out of memory";
    case OomReason::OnRequest: return "somebody asked the kernel for it (SysRq f)";
    case OomReason::Exiting:
      return "no kill: the process was dying already when memory ran out, and was let go first";
    case OomReason::Unknown: break;
  }
  return "an OOM kill; the kernel's stack does not tell of which kind";
}

std::string labelled(const char* label, const std::string& text, const TextStyle& style) {
  std::vector<std::string> pieces{fmt::format("{:<{}}", label, kHangingIndent - 1)};
  for (size_t at = 0; at <= text.size();) {
    const size_t end = std::min(text.find(' ', at), text.size());
    pieces.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return wrapped(pieces, kHangingIndent, Look::Plain, style);
}

std::string victim_sentence(const OomReport& report) {
  const std::string cgroup = report.cgroups.empty() ? "" : ", cgroup " + report.cgroups.front().path;
  return fmt::format("{}, pid {}, uid {}, oom_score_adj {}, threads {}{}", name_of(report), raw(report.pid),
                     report.uid, report.oom_score_adj, format_count(report.thread_count), cgroup);
}

std::string trigger_sentence(const OomReport& report) {
  const std::string whose = report.trigger_is_victim()
                                ? "of the victim itself"
                                : fmt::format("of another process, pid {}", raw(report.trigger_pid));
  return fmt::format("{} (tid {}) {}, {}", report.trigger_comm, raw(report.trigger_tid), whose, report.trigger_state);
}

std::string facts(const OomReport& report, const TextStyle& style) {
  std::string text = labelled("why", reason_sentence(report), style) + labelled("victim", victim_sentence(report), style) +
                     labelled("trigger", trigger_sentence(report), style);
  if (report.death_took.count() > 0) text += labelled("death", "its last thread was gone " + format_duration(report.death_took) + " after the kill", style);
  for (const std::string& note : report.notes) text += wrapped("NOTE: " + note, 6, Look::Warning, style);
  return text;
}

std::string figures_table(const OomReport& report, const TextStyle& style) {
  std::string text = TextLine(style).add("FIGURES of the victim at the kill, as /proc/PID/status names them", Look::Heading).str();
  std::vector<std::string> pieces;
  bool approximate = false;
  for (const OomFigure& figure : report.figures) {
    const bool exact = figure.certainty == Certainty::Exact;
    pieces.push_back(fmt::format("{} {}{} ", figure.name, exact ? "" : "~", format_bytes(figure.bytes)));
    approximate |= !exact;
  }
  pieces.push_back(fmt::format("Threads {}", report.thread_count));
  text += wrapped(pieces, 0, Look::Plain, style);
  if (approximate)
    text += wrapped(fmt::format("~ the kernel's running sum, off by at most {} each", format_bytes(report.memory_error_bytes)),
                    0, Look::Faint, style);
  return text;
}

std::string usage_line(const OomReport& report, const TextStyle& style) {
  if (!report.usage) return "";
  const OomUsage& usage = *report.usage;
  const std::string text = fmt::format(
      "{}, {} after the kill: {} used, of it anon {}, file {}, shmem {}, kernel {}", usage.path,
      format_duration(usage.after_kill), format_bytes(usage.use_bytes), format_bytes(usage.anon_bytes),
      format_bytes(usage.file_bytes), format_bytes(usage.shmem_bytes), format_bytes(usage.kernel_bytes));
  return wrapped(text, 0, Look::Plain, style);
}

std::string cgroup_table(const OomReport& report, const TextStyle& style) {
  TextTable table({{"MEMORY CGROUP", Align::Left, Look::Strong, 16},
                   {"USED", Align::Right, Look::Plain, 0},
                   {"LIMIT", Align::Right, Look::Plain, 0},
                   {"KERNEL", Align::Right, Look::Plain, 0}});
  for (const OomCgroup& group : report.cgroups)
    table.add_row({group.path, format_bytes(group.usage_bytes), group.limit_bytes ? format_bytes(*group.limit_bytes) : "-",
                   group.kernel_bytes == 0 ? "-" : format_bytes(group.kernel_bytes)});
  return table.str(style) + usage_line(report, style);
}

std::string trigger_stack(const OomReport& report, FrameChoice frames, const TextStyle& style) {
  std::string text = TextLine(style)
                         .add("ALLOCATION that failed: ", Look::Heading)
                         .add(fmt::format("{} ({})", report.trigger_comm, raw(report.trigger_tid)), Look::Strong)
                         .str();
  text += frames_text(report.stacks[report.trigger_stack], frames, style);
  std::vector<std::string> pieces{"kernel:"};
  for (const std::string& function : report.kernel_stack)
    pieces.push_back(function + (&function == &report.kernel_stack.back() ? "" : " <"));
  if (report.kernel_stack.empty()) pieces.emplace_back("no stack");
  return text + wrapped(pieces, 8, Look::Faint, style);
}

std::string thread_names(const std::vector<const OomThread*>& threads) {
  std::string names;
  for (size_t i = 0; i < std::min(threads.size(), kNamesInHeading); ++i)
    names += fmt::format("{}{} ({}{})", i == 0 ? "" : ", ", threads[i]->name, raw(threads[i]->tid),
                         threads[i]->trigger ? ", the trigger" : "");
  if (threads.size() > kNamesInHeading) names += fmt::format(" and {} more", threads.size() - kNamesInHeading);
  return names;
}

bool has_trigger(const std::vector<const OomThread*>& threads) {
  return std::ranges::any_of(threads, [](const OomThread* thread) { return thread->trigger; });
}

/// Threads with equal stack and state: the trigger's group first, then the largest.
std::vector<std::vector<const OomThread*>> groups_of(const OomReport& report) {
  std::map<std::pair<uint32_t, std::string>, std::vector<const OomThread*>> by_stack;
  for (const OomThread& thread : report.threads) by_stack[{thread.stack, thread.state}].push_back(&thread);
  std::vector<std::vector<const OomThread*>> groups;
  for (auto& [key, threads] : by_stack) groups.push_back(std::move(threads));
  std::ranges::stable_sort(groups, [](const auto& a, const auto& b) {
    return std::pair(has_trigger(a), a.size()) > std::pair(has_trigger(b), b.size());
  });
  return groups;
}

std::string thread_stacks(const OomReport& report, FrameChoice frames, const TextStyle& style) {
  std::string text =
      TextLine(style)
          .add(fmt::format("THREADS at death: {} of {}", report.threads.size(), report.thread_count), Look::Heading)
          .str();
  size_t rank = 0;
  for (const auto& threads : groups_of(report)) {
    text += wrapped(fmt::format("{}. {}, {}", ++rank, thread_names(threads), threads.front()->state), 6, Look::Strong,
                    style);
    text += frames_text(report.stacks[threads.front()->stack], frames, style);
  }
  return text;
}

std::string losses_text(const OomReport& report, const TextStyle& style) {
  const OomLosses& losses = report.losses;
  const std::array<std::pair<uint64_t, const char*>, 4> rows = {
      {{losses.threads_not_seen, "threads not seen"},
       {losses.stacks_cut, "stacks not unwound to their end"},
       {losses.records_dropped, "records dropped: no room"},
       {losses.late_calls, "allocator calls after the kill, not accounted"}}};
  std::string text;
  for (const auto& [count, what] : rows)
    if (count > 0) text += TextLine(style).add(fmt::format("LOST: {} {}", format_count(count), what), Look::Loss).str();
  return text.empty() ? TextLine(style).add("nothing lost: every thread was seen, every stack is whole").str() : text;
}

std::string accounting(const OomReport& report, FrameChoice frames, const TextStyle& style) {
  if (!report.accounting) return "";
  const Snapshot* earlier = report.earlier ? &*report.earlier : nullptr;
  const ReportView view = report_view(*report.accounting, earlier, {.top = 10, .only_tid = {}, .frames = frames});
  const std::string since =
      earlier == nullptr ? ""
                         : fmt::format("; changes and rates are those of the last {}",
                                       format_duration(report.accounting->elapsed - earlier->elapsed));
  return "\n" + TextLine(style).add("OUTSTANDING ALLOCATIONS as of the kill", Look::Heading).add(since).str() +
         report_text(*report.accounting, view, {.text = style, .bytes = ByteFigures::Scaled});
}

}  // namespace

std::string oom_text(const OomReport& report, FrameChoice frames, const TextStyle& style) {
  return heading(report, style) + facts(report, style) + '\n' + figures_table(report, style) + '\n' +
         cgroup_table(report, style) + '\n' + trigger_stack(report, frames, style) + '\n' +
         thread_stacks(report, frames, style) + '\n' + losses_text(report, style) + accounting(report, frames, style);
}

}  // namespace alloctrail
