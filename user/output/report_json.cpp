// SPDX-License-Identifier: Apache-2.0
#include "user/output/report_json.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "user/analysis/allocator_frames.h"
#include "user/analysis/site_name.h"
#include "user/output/frame_text.h"
#include "user/output/fault_json.h"
#include "user/output/memory_json.h"
#include "user/output/units.h"

namespace alloctrail {
namespace {

using Json = nlohmann::ordered_json;

std::string text_of(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string hex(uint64_t value) {
  return fmt::format("{:#x}", value);
}

const char* end_name(EndReason end) {
  switch (end) {
    case EndReason::None:
      break;
    case EndReason::Exited:
      return "exited";
    case EndReason::Execed:
      return "execed";
    case EndReason::Detached:
      return "detached";
  }
  return "";
}

Json process_json(const ProcessFigures& process) {
  return {{"pid", raw(process.pid)},
          {"comm", process.comm},
          {"command", process.command},
          {"rss_bytes", process.memory.vm_rss_bytes},
          {"vm_data_bytes", process.memory.vm_data_bytes},
          {"vm_size_bytes", process.memory.vm_size_bytes},
          {"threads", process.memory.threads},
          {"vm_peak_bytes", process.memory.vm_peak_bytes},
          {"vm_hwm_bytes", process.memory.vm_hwm_bytes},
          {"vm_lck_bytes", process.memory.vm_lck_bytes},
          {"vm_stk_bytes", process.memory.vm_stk_bytes},
          {"vm_exe_bytes", process.memory.vm_exe_bytes},
          {"vm_lib_bytes", process.memory.vm_lib_bytes},
          {"vm_pte_bytes", process.memory.vm_pte_bytes},
          {"vm_swap_bytes", process.memory.vm_swap_bytes},
          {"rss_anon_bytes", process.memory.rss_anon_bytes},
          {"rss_file_bytes", process.memory.rss_file_bytes},
          {"rss_shmem_bytes", process.memory.rss_shmem_bytes}};
}

// Rounded outwards.
void put_interval(Json& object, const std::string& name, const AmountInterval& interval) {
  object[name + "_bytes_low"] = static_cast<uint64_t>(std::floor(interval.bytes.low));
  object[name + "_bytes_high"] = static_cast<uint64_t>(std::ceil(interval.bytes.high));
  object[name + "_blocks_low"] = static_cast<uint64_t>(std::floor(interval.blocks.low));
  object[name + "_blocks_high"] = static_cast<uint64_t>(std::ceil(interval.blocks.high));
}

void put_intervals(Json& object, const Figures& figures, const Snapshot& snapshot) {
  if (!figures.intervals) return;
  put_interval(object, "outstanding", figures.intervals->outstanding);
  put_interval(object, "allocated", figures.intervals->allocated);
  put_interval(object, "freed", figures.intervals->freed);
  if (snapshot.older_than) put_interval(object, "older", figures.intervals->older);
  object["outstanding_samples"] = static_cast<uint64_t>(figures.usage.sampled.outstanding().samples);
}

Json sampling_json(const Sampling& sampling) {
  return {{"rate_bytes", sampling.rate_bytes}, {"highest_rate_bytes", sampling.highest_rate_bytes}};
}

// The fields that totals, threads and sites have in common.
void put_figures(Json& object, const Figures& figures, const Snapshot& snapshot) {
  const Usage& usage = figures.usage;
  object["outstanding_bytes"] = usage.outstanding().bytes;
  object["outstanding_blocks"] = usage.outstanding().blocks;
  object["allocated_bytes"] = usage.allocated.bytes;
  object["allocated_blocks"] = usage.allocated.blocks;
  object["freed_bytes"] = usage.freed.bytes;
  object["freed_blocks"] = usage.freed.blocks;
  object["change_bytes"] = figures.change ? Json(figures.change->bytes) : Json(nullptr);
  object["change_blocks"] = figures.change ? Json(figures.change->blocks) : Json(nullptr);
  if (snapshot.older_than) {
    object["older_bytes"] = usage.older.bytes;
    object["older_blocks"] = usage.older.blocks;
  }
  put_intervals(object, figures, snapshot);
}

void put_rates(Json& object, const Figures& figures) {
  object["allocated_bytes_per_s"] = figures.allocation.bytes_per_s;
  object["allocated_blocks_per_s"] = figures.allocation.blocks_per_s;
  object["freed_bytes_per_s"] = figures.release.bytes_per_s;
  object["freed_blocks_per_s"] = figures.release.blocks_per_s;
}

Json totals_json(const Snapshot& snapshot, const ReportView& view) {
  Json object = Json::object();
  put_figures(object, view.totals, snapshot);
  put_rates(object, view.totals);
  return object;
}

Json threads_json(const Snapshot& snapshot, const ReportView& view) {
  Json array = Json::array();
  for (const ThreadRow& row : view.threads.rows) {
    const Thread& thread = snapshot.threads[row.thread];
    Json object = {{"tid", raw(thread.tid)}, {"name", thread.name}, {"alive", thread.alive}};
    put_figures(object, row.figures, snapshot);
    put_rates(object, row.figures);
    object["share"] = row.figures.share;
    array.push_back(std::move(object));
  }
  return array;
}

Json left_out_json(size_t rows, Amount amount) {
  return {{"rows", rows}, {"bytes", amount.bytes}, {"blocks", amount.blocks}};
}

template <class Row>
Json left_out_json(const Table<Row>& table) {
  return left_out_json(table.left_out_rows, table.left_out);
}

// A JSON string. Nearly all names are plain, and most of a report is names.
void append_string(std::string& text, const std::string& raw) {
  const bool plain =
      std::all_of(raw.begin(), raw.end(), [](char c) { return c >= ' ' && c < 0x7f && c != '"' && c != '\\'; });
  if (!plain) {
    text += text_of(raw);
    return;
  }
  text += '"';
  text += raw;
  text += '"';
}

void append_frame(std::string& text, const Frame& frame, bool is_allocator) {
  fmt::format_to(std::back_inserter(text), R"({{"address":"{:#x}","function":)", raw(frame.address));
  append_string(text, frame.function);
  text += ",\"module\":";
  append_string(text, frame.module);
  fmt::format_to(std::back_inserter(text), R"(,"module_offset":"{:#x}","file":)", frame.module_offset);
  append_string(text, frame.file);
  fmt::format_to(std::back_inserter(text), R"(,"line":{},"inlined":{},"allocator":{}}})", frame.line, frame.inlined,
                 is_allocator);
}

// Stacks are most of a report's text. Threads share stacks and stacks share frames: what is there already is copied.
class StackWriter {
 public:
  StackWriter(std::string& text, const Snapshot& snapshot) : text_(text), snapshot_(snapshot) {}

  void append(uint32_t stack, size_t first_frame) {
    if (!copy(stacks_, uint64_t{stack})) {
      const size_t begin = text_.size();
      write(snapshot_.stacks[stack], first_frame);
      stacks_[stack] = {begin, text_.size() - begin};
    }
  }

 private:
  struct Place {
    size_t begin = 0;
    size_t length = 0;
  };
  using Places = std::unordered_map<uint64_t, Place>;

  bool copy(const Places& places, uint64_t key) {
    const auto found = places.find(key);
    if (found == places.end()) return false;
    text_.append(text_, found->second.begin, found->second.length);
    return true;
  }

  void write(const Stack& stack, size_t first_frame) {
    const size_t allocator_frames = allocator_frame_count(stack);
    text_ += '[';
    for (size_t i = first_frame; i < stack.frames.size(); ++i) {
      const Frame& frame = stack.frames[i];
      const bool is_allocator = i < allocator_frames;
      if (i > first_frame) text_ += ',';
      const auto key = reinterpret_cast<uint64_t>(&frame) | (is_allocator ? 1u : 0u);
      if (copy(frames_, key)) continue;
      const size_t begin = text_.size();
      append_frame(text_, frame, is_allocator);
      frames_[key] = {begin, text_.size() - begin};
    }
    text_ += ']';
  }

  std::string& text_;
  const Snapshot& snapshot_;
  Places stacks_;
  Places frames_;  // by where the frame lies in memory, which is even, and whether it is the allocator's
};

void append_with_stack(std::string& text, Json object, StackWriter& stacks, uint32_t stack, size_t first_frame) {
  if (text.back() == '}') text += ',';
  text += text_of(object);
  text.pop_back();
  text += ",\"stack\":";
  stacks.append(stack, first_frame);
  text += '}';
}

void append_sites(std::string& text, const Snapshot& snapshot, const ReportView& view, StackWriter& stacks) {
  text += '[';
  for (const SiteRow& row : view.sites.rows) {
    const Thread& thread = snapshot.threads[row.thread];
    Json object = {{"tid", raw(thread.tid)}, {"thread", thread.name}};
    put_figures(object, row.figures, snapshot);
    const Stack& stack = snapshot.stacks[row.stack];
    const auto naming = naming_frame(stack);
    object["name"] = naming ? site_name_text(stack.frames[*naming]) : "";
    object["stack_status"] = stack_status_name(stack.status);
    append_with_stack(text, std::move(object), stacks, row.stack, row.first_frame);
  }
  text += ']';
}

void append_mappings(std::string& text, const Snapshot& snapshot, const MappedView& view) {
  StackWriter stacks(text, snapshot);
  text += '[';
  for (const MappedRow& shown : view.rows) {
    const MappingRow& row = snapshot.mapped->rows[shown.row];
    const bool known = row.stack.has_value();
    Json object = {{"kind", name_of(shown.kind)},
                   {"origin", name_of(row.origin)},
                   {"tid", known ? Json(raw(row.tid)) : Json(nullptr)},
                   {"thread", known ? Json(row.thread) : Json(nullptr)},
                   {"path", row.path},
                   {"bytes", row.standing.bytes},
                   {"reserved_bytes", row.standing.reserved_bytes},
                   {"ranges", row.standing.ranges},
                   {"resident_bytes", row.resident_bytes ? Json(*row.resident_bytes) : Json(nullptr)},
                   {"resident_estimated", row.resident_estimated},
                   {"stack_status", known ? Json(stack_status_name(snapshot.stacks[*row.stack].status)) : Json(nullptr)}};
    if (text.back() == '}') text += ',';
    text += text_of(object);
    text.pop_back();
    text += ",\"stack\":";
    if (known)
      stacks.append(*row.stack, 0);
    else
      text += "[]";
    text += '}';
  }
  text += ']';
}

void append_call_tree(std::string& text, const Snapshot& snapshot, const CallTree& tree) {
  text += '[';
  for (const CallNode& node : tree.nodes) {
    const Stack& stack = snapshot.stacks[node.stack];
    Json object = {{"depth", node.depth},
                   {"bytes", node.total.bytes},
                   {"blocks", node.total.blocks},
                   {"own_bytes", node.own.bytes},
                   {"own_blocks", node.own.blocks},
                   {"change_bytes", node.change ? Json(node.change->bytes) : Json(nullptr)},
                   {"change_blocks", node.change ? Json(node.change->blocks) : Json(nullptr)},
                   {"stack_status", stack_status_name(node.status)},
                   {"left_out", left_out_json(node.left_out_calls, node.left_out)}};
    if (text.back() == '}') text += ',';
    text += text_of(object);
    text.pop_back();
    text += ",\"frame\":";
    append_frame(text, stack.frames[node.frame], node.frame < allocator_frame_count(stack));
    text += '}';
  }
  text += ']';
}

Json mapped_json(const Mapped& mapped, const MappedView& view) {
  const auto amount = [](const MappedAmount& of) {
    return Json{{"bytes", of.bytes}, {"reserved_bytes", of.reserved_bytes}, {"ranges", of.ranges}};
  };
  Json kinds = Json::object();
  for (const MappedKindRow& row : view.kinds)
    kinds[name_of(row.kind)] = {{"all", amount(row.all)},
                                {"since_attach", amount(row.since)},
                                {"resident_bytes", view.with_resident ? Json(row.resident_bytes) : Json(nullptr)}};
  const at_range_calls& calls = mapped.calls;
  return {{"all", amount(view.all)},
          {"since_attach", amount(view.since)},
          {"kinds", std::move(kinds)},
          {"mapped_bytes", mapped.mapped_bytes},
          {"unmapped_bytes", mapped.unmapped_bytes},
          {"given_back_bytes", mapped.given_back_bytes},
          {"resident_elsewhere_bytes",
           mapped.resident_elsewhere_bytes ? Json(*mapped.resident_elsewhere_bytes) : Json(nullptr)},
          {"balanced", view.balanced},
          {"calls",
           {{"recorded", calls.recorded},
            {"without_effect", calls.without_effect},
            {"failed", calls.failed},
            {"lost", calls.lost},
            {"missed", mapped.misses}}},
          {"lookups", mapped.lookups},
          {"rebuilds", mapped.rebuilds},
          {"maps",
           {{"compared", mapped.check.done},
            {"bytes", mapped.check.maps_bytes},
            {"missing_bytes", mapped.check.missing_bytes},
            {"excess_bytes", mapped.check.excess_bytes},
            {"access_bytes", mapped.check.access_bytes},
            {"looked_up_bytes", mapped.check.looked_up_bytes}}}};
}

void append_faults(std::string& text, const Snapshot& snapshot, const FaultView& faults, StackWriter& stacks) {
  text += '[';
  for (const TouchSiteRow& row : faults.sites.rows)
    append_with_stack(text, fault_site_json(snapshot, row), stacks, row.stack, 0);
  text += ']';
}

Json accounting_json(const Snapshot& snapshot, const Accounting& account) {
  Json object = Json::object();
  for (const CounterLine& line : account.lines) {
    object[line.name + "_calls"] = line.calls;
    if (line.bytes) object[line.name + "_bytes"] = *line.bytes;
  }
  object["live_blocks"] = account.live.blocks;
  object["live_bytes"] = account.live.bytes;
  object["freed_blocks"] = account.freed.blocks;
  object["freed_bytes"] = account.freed.bytes;
  object["lost_calls"] = account.lost.blocks;
  object["lost_bytes"] = account.lost.bytes;
  object["in_flight_calls"] = account.in_flight.calls;
  object["in_flight_bytes"] = account.in_flight.bytes;
  object["untracked_calls"] = account.untracked.calls;
  object["untracked_bytes"] = account.untracked.bytes;
  object["unmatched_releases"] = account.unmatched_releases;
  object["probe_misses"] = snapshot.probe_misses;
  object["balanced"] = account.balanced;
  return object;
}

Json probes_json(const std::vector<Probe>& probes) {
  Json array = Json::array();
  for (const Probe& probe : probes) {
    array.push_back({{"function", probe.function},
                     {"module", probe.module},
                     {"offset", hex(probe.offset)},
                     {"kind", probe.kind},
                     {"site", probe.site},
                     {"hits", probe.hits}});
  }
  return array;
}

Json head_json(const Snapshot& snapshot, const ReportView& view) {
  Json object = {{"schema", "alloctrail/report/1"},
                 {"time", format_rfc3339(snapshot.time)},
                 {"elapsed_s", std::chrono::duration<double>(snapshot.elapsed).count()},
                 {"end", snapshot.end == EndReason::None ? Json(nullptr) : Json(end_name(snapshot.end))},
                 {"warnings", snapshot.warnings}};
  if (snapshot.older_than) object["older_than_s"] = std::chrono::duration<double>(*snapshot.older_than).count();
  if (snapshot.sampling) object["sampling"] = sampling_json(*snapshot.sampling);
  if (view.only_tid) object["only_tid"] = raw(*view.only_tid);
  object["process"] = process_json(snapshot.process);
  object["totals"] = totals_json(snapshot, view);
  object["threads"] = threads_json(snapshot, view);
  object["threads_left_out"] = left_out_json(view.threads);
  return object;
}

Json balance_json(const Balance& balance) {
  Json parts = Json::object();
  for (const BalanceLine& line : balance.lines)
    parts[name_of(line.part)] = {{"bytes", line.bytes}, {"share", line.share}, {"estimated", line.estimated}};
  return {{"rss_bytes", balance.rss_bytes},
          {"parts", std::move(parts)},
          {"unexplained_bytes", balance.unexplained_bytes},
          {"explained_share", balance.explained_share},
          {"reserved_bytes", balance.reserved_bytes},
          {"age_s", std::chrono::duration<double>(balance.age).count()}};
}

Json cgroups_json(const std::vector<CgroupMemory>& cgroups) {
  const auto limit = [](const std::optional<uint64_t>& bytes) { return bytes ? Json(*bytes) : Json(nullptr); };
  Json out = Json::array();
  for (const CgroupMemory& cgroup : cgroups)
    out.push_back({{"name", cgroup.name},
                   {"limit_bytes", limit(cgroup.limit_bytes)},
                   {"high_bytes", limit(cgroup.high_bytes)},
                   {"use_bytes", cgroup.use_bytes},
                   {"unreclaimable_bytes", cgroup.unreclaimable_bytes()},
                   {"anon_bytes", cgroup.anon_bytes},
                   {"file_bytes", cgroup.file_bytes},
                   {"shmem_bytes", cgroup.shmem_bytes},
                   {"kernel_bytes", cgroup.kernel_bytes},
                   {"swap_use_bytes", cgroup.swap_use_bytes}});
  return out;
}

void add_faults(Json& tail, const Snapshot& snapshot, const FaultView& faults) {
  tail["faults_left_out"] = {{"rows", faults.sites.left_out_rows}, {"bytes", faults.sites.left_out.bytes}};
  tail["touched"] = touched_json(snapshot, faults);
  tail["fault_accounting"] = fault_accounting_json(snapshot, faults);
}

/// Only what is known: a process that has ended has no limits any more.
void add_surroundings(Json& tail, const Snapshot& snapshot, const ReportView& view) {
  if (view.balance) tail["balance"] = balance_json(*view.balance);
  if (!snapshot.bounds) return;
  tail["host"] = host_memory_json(snapshot.bounds->host);
  tail["host"]["cgroups"] = cgroups_json(snapshot.bounds->cgroups);
  if (view.limit) {
    tail["host"]["nearest_limit"] = limit_json(view.limit->nearest);
    tail["host"]["time_left"] = forecast_json(view.limit->left);
    tail["host"]["warned_percent"] =
        view.limit->warned_percent ? Json(*view.limit->warned_percent) : Json(nullptr);
  }
}

}  // namespace

const char* stack_status_name(at_stack_status status) {
  switch (status) {
#define ALLOCTRAIL_STATUS_NAME(name, sentence) \
  case AT_STACK_##name:                        \
    return #name;
    AT_STACK_STATUSES(ALLOCTRAIL_STATUS_NAME)
#undef ALLOCTRAIL_STATUS_NAME
    case AT_STACK_STATUS_COUNT:
      break;
  }
  return "unknown";
}

std::string report_json(const Snapshot& snapshot, const ReportView& view) {
  std::string text = text_of(head_json(snapshot, view));
  text.pop_back();
  text += ",\"sites\":";
  StackWriter stacks(text, snapshot);
  append_sites(text, snapshot, view, stacks);
  if (view.faults) {
    text += ",\"faults\":";
    append_faults(text, snapshot, *view.faults, stacks);
  }
  if (view.call_tree) {
    text += ",\"call_tree\":";
    append_call_tree(text, snapshot, *view.call_tree);
  }
  Json tail = {{"sites_left_out", left_out_json(view.sites)},
                     {"accounting", accounting_json(snapshot, view.accounting)},
                     {"probes", probes_json(snapshot.probes)}};
  if (view.call_tree) {
    tail["call_tree_left_out"] = left_out_json(view.call_tree->left_out_roots, view.call_tree->left_out);
    tail["call_tree_frameless"] = {{"bytes", view.call_tree->frameless.bytes},
                                   {"blocks", view.call_tree->frameless.blocks}};
  }
  if (view.faults) add_faults(tail, snapshot, *view.faults);
  add_surroundings(tail, snapshot, view);
  if (view.mapped) {
    tail["mapped"] = mapped_json(*snapshot.mapped, *view.mapped);
    text += ",\"mappings\":";
    append_mappings(text, snapshot, *view.mapped);
  }
  text += ',';
  text += std::string_view(text_of(tail)).substr(1);
  return text;
}

std::string JsonDocument::add(std::string_view object) {
  const char* before = empty_ ? "[\n" : ",\n";
  empty_ = false;
  return before + std::string(object);
}

std::string JsonDocument::finish() {
  return empty_ ? "[]\n" : "\n]\n";
}

}  // namespace alloctrail
