// SPDX-License-Identifier: Apache-2.0
#include "user/options/report_options.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <memory>
#include <string_view>

#include "user/options/subcommand.h"
#include "user/output/units.h"
#include "user/recording/recording.h"

namespace alloctrail {
namespace {

using std::chrono::nanoseconds;

void declare_contents(CLI::App& app, ReportOptions& o) {
  OptionGroup group(app, "What to show");
  group.value("--top", "N", "rows of each table [10; JSON: all]", "a number from 1 to 1000000",
              [&](const std::string& text) { return store<uint64_t>(parse_count(text), 1, 1'000'000, o.top); });
  declare_filters(group, o.tracing);
  declare_growth(group, o.tracing);
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

/// A word that is no option is the name of a recording.
void declare_recording(CLI::App& app, ReportOptions& o) {
  app.add_option("FILE", o.recording, "a recording to report on, instead of processes")->group("What to trace")->type_name("");
}

struct JsonFlags {
  bool document = false;
  bool lines = false;
};

void declare_output(CLI::App& app, ReportOptions& o, JsonFlags& json) {
  OptionGroup group(app, "Output");
  group.flag("--json", "one JSON document, complete at the end", json.document);
  group.flag("--json-lines", "one JSON object a line, process and interval", json.lines);
  group.value("-o,--output", "FILE", "write to a file: whole at the end; --json-lines line by line; *.alloctrail: a recording", "a file name",
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

OutputFormat chosen_format(const ReportOptions& o, const JsonFlags& json) {
  if (json.document) return OutputFormat::Json;
  if (json.lines) return OutputFormat::JsonLines;
  return o.output && o.output->ends_with(kRecordingSuffix) ? OutputFormat::Recording : OutputFormat::Text;
}

/// The rules that concern several options at once.
Status check_report(const ReportOptions& o, const JsonFlags& json) {
  if (o.tid && o.tracing.targets.pids.empty() && !o.recording) return usage("--tid needs -p", "name the thread's process: -p PID --tid TID");
  if (o.tracing.growth && (o.tracing.older || o.tracing.min_size_bytes != 0)) {
    return usage("--growth knows page faults, not blocks: --older and --min-size have nothing to choose from",
                 "leave them out, or leave out --growth to trace the allocator");
  }
  if (o.tracing.growth && o.format == OutputFormat::Recording) {
    return usage("a recording does not hold page faults", "write --growth as text or, with --json-lines, as JSON");
  }
  if (json.document && json.lines) {
    return usage("--json and --json-lines exclude each other",
                 "--json writes one document at the end, --json-lines one object a line as it goes");
  }
  return ok();
}

bool is_number(const std::string& text) { return text.find_first_not_of("0123456789") == std::string::npos; }

/// A recording has been made already: what would have to be known before is not an option any more.
Status check_recording(const CLI::App& app, const ReportOptions& o, bool program) {
  const std::string pid_hint = is_number(*o.recording) ? "a process id follows -p" : "";
  if (program || o.tracing.targets.names_running_processes())
    return usage(fmt::format("'{}' is taken for a recording: it excludes running processes and commands", *o.recording),
                 pid_hint);
  for (const char* live : {"--interval", "--duration", "--older", "--min-size", "--warn-at", "--max-live", "--max-stacks", "--max-sites",
                           "--probe-kind"})
    if (app.count(live) != 0)
      return usage(fmt::format("{} has no meaning for '{}', which is taken for a recording", live, *o.recording), pid_hint);
  if (o.format == OutputFormat::Recording)
    return usage("a recording is not made of a recording", "copy the file, or name another kind of output");
  return ok();
}

}  // namespace

void declare_timing(CLI::App& app, ReportOptions& o, const TimingWords& words) {
  const std::string interval = fmt::format("time between two {}s [{}]", words.piece, words.interval);
  const std::string count = fmt::format("end after N {}s", words.piece);
  const std::string duration = fmt::format("end after this time with a last {}", words.piece);
  OptionGroup group(app, fmt::format("When to {}", words.verb));
  group.value("-i,--interval", "TIME", interval.c_str(), "a time from 10ms to 1d, such as 500ms, 2s or 1m",
              [&](const std::string& text) {
                return store<nanoseconds>(parse_duration(text), std::chrono::milliseconds(10), std::chrono::hours(24),
                                          o.interval);
              });
  group.value("-n,--count", "N", count.c_str(), "a number from 1 to 1000000000",
              [&](const std::string& text) { return store<uint64_t>(parse_count(text), 1, 1'000'000'000, o.count); });
  group.value("-d,--duration", "TIME", duration.c_str(), "a time from 10ms to 365d, such as 30s or 1h",
              [&](const std::string& text) {
                return store<nanoseconds>(parse_duration(text), std::chrono::milliseconds(10),
                                          std::chrono::hours(365 * 24), o.duration);
              });
  declare_warning(group, o.tracing);
}

Subcommand declare_report(CLI::App& root) {
  CLI::App* app = root.add_subcommand("report", "which thread and which code holds a process's memory");
  auto options = std::make_shared<ReportOptions>();
  auto json = std::make_shared<JsonFlags>();
  declare_targets(*app, options->tracing.targets);
  declare_recording(*app, *options);
  declare_timing(*app, *options, {"report", "report", "2s"});
  declare_contents(*app, *options);
  declare_output(*app, *options, *json);
  declare_kernel(*app, options->tracing);
  app->footer(
      "EXAMPLES\n"
      "  alloctrail report -p 1234                         a report every 2 s until Ctrl-C\n"
      "  alloctrail report -p 1234 -i 10s -n 6             six reports, 10 s apart\n"
      "  alloctrail report -p 1234 -d 1m --older 30s       what is still held 30 s after it was allocated\n"
      "  alloctrail report -p 1234 -n 1 --stacks tree      one report, its stacks as a call tree\n"
      "  alloctrail report -p 1234 --growth -i 1m          who touches new memory, without malloc probes\n"
      "  alloctrail report --comm nginx --json-lines -o nginx.jsonl\n"
      "  alloctrail report --min-size 4KiB -- ./server --port 8080\n"
      "  alloctrail report night.alloctrail                the last report of a recording");
  return {app, [app, options, json](const std::optional<Words>& program) -> Result<Command> {
            options->format = chosen_format(*options, *json);
            auto chosen = options->recording ? check_recording(*app, *options, program.has_value())
                                             : choose_targets("report", program, options->tracing.targets);
            if (!chosen) return std::move(chosen).error();
            if (Status checked = check_report(*options, *json); !checked) return std::move(checked).error();
            return Command(*options);
          }};
}

}  // namespace alloctrail
