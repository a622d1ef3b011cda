// SPDX-License-Identifier: Apache-2.0
#include "user/options/top_options.h"

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

/// One of several words, in the order of an enumeration.
template <size_t kCount, class Choice>
bool choose(const std::array<std::string_view, kCount>& names, const std::string& text, Choice& choice) {
  const auto found = std::ranges::find(names, text);
  choice = static_cast<Choice>(found - names.begin());
  return found != names.end();
}

void declare_screen(CLI::App& app, TopOptions& o) {
  OptionGroup group(app, "Screen");
  group.value("-i,--interval", "TIME", "time between two snapshots [1s]", "a time from 250ms to 1d, such as 500ms, 2s or 1m",
              [&](const std::string& text) {
                return store<nanoseconds>(parse_duration(text), std::chrono::milliseconds(250), std::chrono::hours(24),
                                          o.interval);
              });
  group.value("--view", "VIEW", "to begin with: threads, stacks, process, probes or processes [threads]",
              "threads, stacks, process, probes or processes", [&](const std::string& text) {
                static constexpr std::array<std::string_view, 5> kNames = {"processes", "threads", "stacks", "process",
                                                                           "probes"};
                return choose(kNames, text, o.view);
              });
  group.value("--color", "WHEN", "auto, always or never [auto]", "auto, always or never", [&](const std::string& text) {
    static constexpr std::array<std::string_view, 3> kNames = {"auto", "always", "never"};
    return choose(kNames, text, o.color);
  });
}

void declare_batch(CLI::App& app, TopOptions& o) {
  OptionGroup group(app, "Without a screen");
  group.flag("-b,--batch", "print the screens as text, one an interval; also where the output is no terminal", o.batch);
  group.value("-n,--count", "N", "end after N screens", "a number from 1 to 1000000000",
              [&](const std::string& text) { return store<uint64_t>(parse_count(text), 1, 1'000'000'000, o.count); });
  group.value("--top", "N", "rows of each list [20]", "a number from 1 to 1000000",
              [&](const std::string& text) { return store<uint64_t>(parse_count(text), 1, 1'000'000, o.top); });
  group.flag("--svg", "print one screen, after one interval, as an SVG picture", o.svg);
}

}  // namespace

Subcommand declare_top(CLI::App& root) {
  CLI::App* app = root.add_subcommand("top", "the live view: threads and stacks of a process, changing as it runs");
  auto options = std::make_shared<TopOptions>();
  declare_targets(*app, options->tracing.targets);
  declare_screen(*app, *options);
  declare_batch(*app, *options);
  OptionGroup filters(*app, "What to account");
  declare_filters(filters, options->tracing);
  declare_kernel(*app, options->tracing);
  app->footer(
      "KEYS\n"
      "  1 Threads, 2 Stacks, 3 Process, 4 Probes, Tab the next; Enter opens a row, Esc goes back\n"
      "  t call tree, < > sort, r reverse, / filter, m mark a baseline, x forget it, Space freeze, + - interval, ? help, q quit\n\n"
      "EXAMPLES\n"
      "  alloctrail top -p 1234                            Enter on the thread that grows, Enter on its stack\n"
      "  alloctrail top --comm nginx                       several processes: begins with their list\n"
      "  alloctrail top -p 1234 --batch -n 3 --view stacks    three screens as text");
  return {app, [options](const std::optional<Words>& program) -> Result<Command> {
            if (program)
              return usage("top starts no command: both would write to this terminal",
                           "start it in another terminal, then: alloctrail top -p PID");
            if (!options->tracing.targets.names_running_processes())
              return usage("nothing to watch", "name a running process with -p PID, --comm NAME or --cgroup DIR");
            return Command(*options);
          }};
}

Subcommand declare_show(CLI::App& root) {
  CLI::App* app = root.add_subcommand("show", "the live view of a recording, as it was at its end");
  auto options = std::make_shared<TopOptions>();
  app->add_option("FILE", options->recording, "what record, or w in top, has written")->group("What to show")->type_name("");
  declare_screen(*app, *options);
  declare_batch(*app, *options);
  app->footer(
      "EXAMPLES\n"
      "  alloctrail show night.alloctrail                  keys as in top\n"
      "  alloctrail show night.alloctrail --batch          its last screen as text");
  return {app, [options](const std::optional<Words>& program) -> Result<Command> {
            if (program) return usage("show starts no command", "name a recording: alloctrail show FILE");
            if (!options->recording) return usage("nothing to show", "name a recording: alloctrail show FILE");
            return Command(*options);
          }};
}

}  // namespace alloctrail
