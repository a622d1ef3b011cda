// SPDX-License-Identifier: Apache-2.0
#include "user/output/oom_json.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "user/analysis/report_table.h"
#include "user/output/memory_json.h"
#include "user/output/report_json.h"
#include "user/output/units.h"

namespace alloctrail {
namespace {

using Json = nlohmann::ordered_json;

const char* reason_name(OomReason reason) {
  switch (reason) {
    case OomReason::CgroupLimit: return "cgroup_limit";
    case OomReason::Host: return "host";
    case OomReason::OnRequest: return "on_request";
    case OomReason::Exiting: return "exiting";
    case OomReason::Unknown: break;
  }
  return "unknown";
}

Json cgroups_json(const OomReport& report) {
  Json rows = Json::array();
  for (size_t i = 0; i < report.cgroups.size(); ++i) {
    const OomCgroup& group = report.cgroups[i];
    rows.push_back({{"path", group.path},
                    {"usage_bytes", group.usage_bytes},
                    {"limit_bytes", group.limit_bytes ? Json(*group.limit_bytes) : Json()},
                    {"kernel_bytes", group.kernel_bytes == 0 ? Json() : Json(group.kernel_bytes)},
                    {"full", report.full_cgroup == i}});
  }
  return rows;
}

Json usage_json(const OomReport& report) {
  if (!report.usage) return {};
  const OomUsage& usage = *report.usage;
  return {{"path", usage.path},
          {"use_bytes", usage.use_bytes},
          {"anon_bytes", usage.anon_bytes},
          {"file_bytes", usage.file_bytes},
          {"shmem_bytes", usage.shmem_bytes},
          {"kernel_bytes", usage.kernel_bytes},
          {"after_kill_ns", usage.after_kill.count()}};
}

Json figures_json(const OomReport& report) {
  Json rows = Json::object();
  for (const OomFigure& figure : report.figures)
    rows[figure.name] = {{"bytes", figure.bytes}, {"exact", figure.certainty == Certainty::Exact}};
  return rows;
}

Json stack_json(const Stack& stack) {
  Json frames = Json::array();
  for (const Frame& frame : stack.frames)
    frames.push_back({{"address", fmt::format("{:#x}", raw(frame.address))},
                      {"function", frame.function},
                      {"module", frame.module},
                      {"module_offset", fmt::format("{:#x}", frame.module_offset)},
                      {"file", frame.file},
                      {"line", frame.line},
                      {"inlined", frame.inlined}});
  return {{"status", stack_status_name(stack.status)}, {"frames", std::move(frames)}};
}

Json stacks_json(const OomReport& report) {
  Json rows = Json::array();
  for (const Stack& stack : report.stacks) rows.push_back(stack_json(stack));
  return rows;
}

Json threads_json(const OomReport& report) {
  Json rows = Json::array();
  for (const OomThread& thread : report.threads)
    rows.push_back({{"tid", raw(thread.tid)},
                    {"name", thread.name},
                    {"state", thread.state},
                    {"trigger", thread.trigger},
                    {"at_exit", thread.at_exit},
                    {"stack", thread.stack}});
  return rows;
}

}  // namespace

std::string oom_json(const OomReport& report) {
  const OomLosses& losses = report.losses;
  const Json object = {
      {"schema", "alloctrail/oom/1"},
      {"number", report.number},
      {"time", format_rfc3339(report.time)},
      {"reason", reason_name(report.reason)},
      {"victim",
       {{"pid", raw(report.pid)},
        {"comm", report.comm},
        {"command", report.command},
        {"uid", report.uid},
        {"oom_score_adj", report.oom_score_adj},
        {"threads", report.thread_count},
        {"rss_bytes", report.rss_bytes}}},
      {"trigger",
       {{"pid", raw(report.trigger_pid)},
        {"tid", raw(report.trigger_tid)},
        {"name", report.trigger_comm},
        {"state", report.trigger_state},
        {"stack", report.trigger_stack},
        {"kernel_stack", report.kernel_stack}}},
      {"cgroups", cgroups_json(report)},
      {"usage", usage_json(report)},
      {"figures", figures_json(report)},
      {"figures_error_bytes", report.memory_error_bytes},
      {"held", report.held},
      {"mappings_seen", report.mappings_seen},
      {"threads", threads_json(report)},
      {"stacks", stacks_json(report)},
      {"death_took_ns", report.death_took.count()},
      {"losses",
       {{"threads_not_seen", losses.threads_not_seen},
        {"stacks_cut", losses.stacks_cut},
        {"records_dropped", losses.records_dropped},
        {"late_calls", losses.late_calls}}},
      {"notes", report.notes}};
  std::string text = object.dump(-1, ' ', false, Json::error_handler_t::replace);
  text.pop_back();
  const auto since = report.accounting && report.earlier ? report.accounting->elapsed - report.earlier->elapsed
                                                         : std::chrono::nanoseconds(0);
  text += fmt::format(",\"changes_since_ns\":{}", since.count());
  if (!report.accounting) return text + ",\"accounting\":null}";
  const ReportView view = report_view(*report.accounting, report.earlier ? &*report.earlier : nullptr, {.top = {}, .only_tid = {}, .frames = FrameChoice::All});
  return text + ",\"accounting\":" + report_json(*report.accounting, view) + "}";
}

std::string reclaim_json(const ReclaimNotice& notice, const LimitView& limit) {
  const Json object = {{"schema", "alloctrail/reclaim/1"},
                       {"time", format_rfc3339(notice.time)},
                       {"pid", raw(notice.pid)},
                       {"thread", {{"tid", raw(notice.tid)}, {"name", notice.thread}, {"state", notice.state}}},
                       {"nearest_limit", limit_json(limit.nearest)},
                       {"time_left", forecast_json(limit.left)},
                       {"stack", stack_json(notice.stack)}};
  return object.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace alloctrail
