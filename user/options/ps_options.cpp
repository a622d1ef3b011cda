// SPDX-License-Identifier: Apache-2.0
#include "user/options/ps_options.h"

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

void declare_what(CLI::App& app, PsOptions& o) {
  OptionGroup group(app, "What to show");
  group.values("--cgroup", "DIR", "only processes of a cgroup and below", "a directory", [&](const std::string& text) {
    o.cgroups.push_back(text);
    return !text.empty();
  });
  group.flag("--tree", "children below their parents", o.tree);
  group.flag("--pss", "shared pages divided among their users; walks the page tables of the listed", o.pss);
  group.value("--top", "N", "rows [20; --tree, JSON: all]", "a number from 1 to 1000000",
              [&](const std::string& text) { return store<uint64_t>(parse_count(text), 1, 1'000'000, o.top); });
}

void declare_when(CLI::App& app, PsOptions& o) {
  OptionGroup group(app, "When");
  group.value("-i,--interval", "TIME", "time between two tables [2s]", "a time from 100ms to 1d, such as 2s or 1m",
              [&](const std::string& text) {
                return store<nanoseconds>(parse_duration(text), std::chrono::milliseconds(100), std::chrono::hours(24),
                                          o.interval);
              });
  group.value("-n,--count", "N", "end after N tables", "a number from 1 to 1000000000",
              [&](const std::string& text) { return store<uint64_t>(parse_count(text), 1, 1'000'000'000, o.count); });
}

void declare_output(CLI::App& app, PsOptions& o) {
  OptionGroup group(app, "Output");
  group.flag("--json-lines", "one JSON object a line and interval", o.json_lines);
  group.value("--color", "WHEN", "auto, always or never [auto]", "auto, always or never", [&](const std::string& text) {
    static constexpr std::array<std::string_view, 3> kNames = {"auto", "always", "never"};
    const auto* found = std::find(kNames.begin(), kNames.end(), text);
    o.color = static_cast<ColorWhen>(found - kNames.begin());
    return found != kNames.end();
  });
}

}  // namespace

Subcommand declare_ps(CLI::App& root) {
  CLI::App* app = root.add_subcommand("ps", "which process grows, and how long its limit lasts; needs no root");
  auto options = std::make_shared<PsOptions>();
  declare_what(*app, *options);
  declare_when(*app, *options);
  declare_output(*app, *options);
  app->footer(
      "EXAMPLES\n"
      "  alloctrail ps                                     every 2 s until Ctrl-C\n"
      "  alloctrail ps -i 1m -n 60                         an hour of it\n"
      "  alloctrail ps --cgroup system.slice --tree");
  return {app, [options](const std::optional<Words>& program) -> Result<Command> {
            if (program) return usage("ps starts no command", "to trace a command: alloctrail report -- COMMAND");
            return Command(*options);
          }};
}

}  // namespace alloctrail
