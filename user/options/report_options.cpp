// SPDX-License-Identifier: Apache-2.0
#include "user/options/report_options.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <memory>
#include <string_view>

#include "user/options/subcommand.h"
#include "user/output/units.h"

namespace alloctrail {
namespace {

using std::chrono::nanoseconds;

void declare_timing(CLI::App& app, ReportOptions& o) {
  OptionGroup group(app, "When to report");
  group.value("-i,--interval", "TIME", "time between two reports [2s]",
              "a time from 10ms to 1d, such as 500ms, 2s or 1m", [&](const std::string& text) {
                return store<nanoseconds>(parse_duration(text), std::chrono::milliseconds(10), std::chrono::hours(24),
                                          o.interval);
              });
  group.value("-n,--count", "N", "end after N reports", "a number from 1 to 1000000000",
              [&](const std::string& text) { return store<uint64_t>(parse_count(text), 1, 1'000'000'000, o.count); });
  group.value("-d,--duration", "TIME", "end after this time with a last report",
              "a time from 10ms to 365d, such as 30s or 1h", [&](const std::string& text) {
                return store<nanoseconds>(parse_duration(text), std::chrono::milliseconds(10),
                                          std::chrono::hours(365 * 24), o.duration);
              });
}

void declare_contents(CLI::App& app, ReportOptions& o) {
  OptionGroup group(app, "What to show");
  group.value("--top", "N", "rows of each table [10; JSON: all]", "a number from 1 to 1000000",
              [&](const std::string& text) { return store<uint64_t>(parse_count(text), 1, 1'000'000, o.top); });
  declare_filters(group, o.tracing);
  group.value("-t,--tid", "TID", "list only this thread of the -p processes", "a thread id from 1 to 4194304",
              [&](const std::string& text) { return store<uint64_t>(parse_number(text), 1, kMaxPid, o.tid); });
  group.flag("--no-mappings", "leave out who maps memory; spares each system call of this host some 30 ns", o.no_mappings);
  group.value("--stacks", "LAYOUT", "list, or tree: merged from the outer end, with totals [list]", "list or tree",
              [&](const std::string& text) {
                o.stacks = text == "tree" ? StackLayout::Tree : StackLayout::List;
                return text == "tree" || text == "list";
              });
  group.flag("--full-stacks", "show the allocator's own frames and every caller", o.full_stacks);
  group.flag("--bytes", "exact bytes instead of KiB and MiB", o.exact_bytes);
}

struct JsonFlags {
  bool document = false;
  bool lines = false;
};

void declare_output(CLI::App& app, ReportOptions& o, JsonFlags& json) {
  OptionGroup group(app, "Output");
  group.flag("--json", "one JSON document, complete at the end", json.document);
  group.flag("--json-lines", "one JSON object a line, process and interval", json.lines);
  group.value("-o,--output", "FILE", "write to a file: whole at the end; with --json-lines line by line", "a file name",
              [&](const std::string& text) {
                o.output = text;
                return !text.empty();
              });
  group.value("--color", "WHEN", "auto, always or never [auto]", "auto, always or never", [&](const std::string& text) {
    static constexpr std::array<std::string_view, 3> kNames = {"auto", "always", "never"};
    const auto* found = std::find(kNames.begin(), kNames.end(), text);
    o.color = static_cast<ColorWhen>(found - kNames.begin());
    return found != kNames.end();
  });
}

/// The rules that concern several options at once.
Status check_report(const ReportOptions& o, const JsonFlags& json) {
  if (o.tid && o.tracing.targets.pids.empty()) return usage("--tid needs -p", "name the thread's process: -p PID --tid TID");
  if (json.document && json.lines) {
    return usage("--json and --json-lines exclude each other",
                 "--json writes one document at the end, --json-lines one object a line as it goes");
  }
  return ok();
}

}  // namespace

Subcommand declare_report(CLI::App& root) {
  CLI::App* app = root.add_subcommand("report", "which thread and which code holds a process's memory");
  auto options = std::make_shared<ReportOptions>();
  auto json = std::make_shared<JsonFlags>();
  declare_targets(*app, options->tracing.targets);
  declare_timing(*app, *options);
  declare_contents(*app, *options);
  declare_output(*app, *options, *json);
  declare_kernel(*app, options->tracing);
  app->footer(
      "EXAMPLES\n"
      "  alloctrail report -p 1234                         a report every 2 s until Ctrl-C\n"
      "  alloctrail report -p 1234 -i 10s -n 6             six reports, 10 s apart\n"
      "  alloctrail report -p 1234 -d 1m --older 30s       what is still held 30 s after it was allocated\n"
      "  alloctrail report -p 1234 -n 1 --stacks tree      one report, its stacks as a call tree\n"
      "  alloctrail report --comm nginx --json-lines -o nginx.jsonl\n"
      "  alloctrail report --min-size 4KiB -- ./server --port 8080");
  return {app, [options, json](const std::optional<Words>& program) -> Result<Command> {
            auto chosen = choose_targets("report", program, options->tracing.targets);
            if (!chosen) return std::move(chosen).error();
            if (Status checked = check_report(*options, *json); !checked) return std::move(checked).error();
            if (json->document) options->format = OutputFormat::Json;
            if (json->lines) options->format = OutputFormat::JsonLines;
            return Command(*options);
          }};
}

}  // namespace alloctrail
