// SPDX-License-Identifier: Apache-2.0
#include "user/options/oom_options.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <memory>
#include <string_view>

#include "user/options/subcommand.h"
#include "user/output/units.h"

namespace alloctrail {
namespace {

struct JsonFlags {
  bool document = false;
  bool lines = false;
};

void declare_output(CLI::App& app, OomOptions& o, JsonFlags& json) {
  OptionGroup group(app, "Output");
  group.value("-o,--output", "DIR", "one file a kill in this directory, written whole or not at all", "a directory",
              [&](const std::string& text) {
                o.directory = text;
                return !text.empty();
              });
  group.value("--keep", "N", "reports that stay in the directory [100]", "a number from 1 to 1000000",
              [&](const std::string& text) { return store<uint64_t>(parse_count(text), 1, 1'000'000, o.keep); });
  group.value("--exec", "PROGRAM", "run a program for each report, with the report's path as its argument",
              "the path of a program", [&](const std::string& text) {
                o.exec = text;
                return !text.empty();
              });
  group.flag("--once", "end after the first report", o.once);
  group.flag("--json", "JSON: with -o a document a file, else one document, complete at the end", json.document);
  group.flag("--json-lines", "one JSON object a line and kill", json.lines);
  group.flag("--full-stacks", "show the allocator's own frames and every caller", o.full_stacks);
  group.value("--color", "WHEN", "auto, always or never [auto]", "auto, always or never", [&](const std::string& text) {
    static constexpr std::array<std::string_view, 3> kNames = {"auto", "always", "never"};
    const auto* found = std::find(kNames.begin(), kNames.end(), text);
    o.color = static_cast<ColorWhen>(found - kNames.begin());
    return found != kNames.end();
  });
}

Status check(const OomOptions& o, const JsonFlags& json) {
  if (json.document && json.lines)
    return usage("--json and --json-lines exclude each other",
                 "--json writes one document, --json-lines one object a line as it goes");
  if (o.exec && !o.directory)
    return usage("--exec needs -o", "name a directory for the reports: -o DIR --exec PROGRAM");
  return ok();
}

}  // namespace

Subcommand declare_oom(CLI::App& root) {
  CLI::App* app = root.add_subcommand("oom", "what a process was doing when the OOM killer took it");
  auto options = std::make_shared<OomOptions>();
  auto json = std::make_shared<JsonFlags>();
  declare_targets(*app, options->tracing.targets);
  OptionGroup(*app, "What to trace")
      .flag("--all", "watch every process, also one started later; without accounting its allocations", options->all);
  OptionGroup(*app, "What to trace")
      .value("--from", "FILE", "watch nothing: report the raw records (DIR/.oom-PID-N.raw) of a run that was killed",
             "a file name", [options](const std::string& text) {
               options->from = text;
               return !text.empty();
             });
  OptionGroup(*app, "What to trace")
      .value("--oom-hold", "WHEN",
             "auto: hold a process that dies of its cgroup's limit for a moment, to read its mappings and exact figures; "
             "off: never [auto]",
             "off or auto", [options](const std::string& text) {
               options->recording.hold = text == "off" ? OomHold::Off : OomHold::Auto;
               return text == "off" || text == "auto";
             });
  OptionGroup(*app, "What to trace")
      .value("--oom-hold-time", "TIME", "hold for up to this long [50ms]", "a time from 1ms to 500ms",
             [options](const std::string& text) {
               std::chrono::nanoseconds time{};
               const bool good = store<std::chrono::nanoseconds>(parse_duration(text), std::chrono::milliseconds(1),
                                                                 RecorderOptions::kMostHold, time);
               options->recording.hold_budget = std::chrono::duration_cast<std::chrono::milliseconds>(time);
               return good;
             });
  OptionGroup warnings(*app, "When to report before a kill");
  declare_warning(warnings, options->tracing);
  declare_output(*app, *options, *json);
  declare_kernel(*app, options->tracing);
  app->footer(
      "EXAMPLES\n"
      "  alloctrail oom -p 1234 -o /var/log/oom            process 1234: its threads and what they held\n"
      "  alloctrail oom --all -o /var/log/oom              any process of this machine: its threads' stacks\n"
      "  alloctrail oom --all --once --json                wait for one kill, print it and end");
  return {app, [options, json](const std::optional<Words>& program) -> Result<Command> {
            if (Status checked = check(*options, *json); !checked) return std::move(checked).error();
            const bool selects = program || options->tracing.targets.names_running_processes();
            if (options->from && (selects || options->all))
              return usage("--from excludes processes to watch", "leave out --all, -p and the like");
            const bool only_watch = options->from || (options->all && !selects);
            if (!only_watch)
              if (Status chosen = choose_targets("oom", program, options->tracing.targets); !chosen)
                return std::move(chosen).error();
            if (only_watch && options->tracing.warn_at_percent)
              return usage("--warn-at needs processes to trace", "name one with -p PID, --comm NAME or --cgroup DIR");
            if (json->document) options->format = OutputFormat::Json;
            if (json->lines) options->format = OutputFormat::JsonLines;
            return Command(*options);
          }};
}

}  // namespace alloctrail
