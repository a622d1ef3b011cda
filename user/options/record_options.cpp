// SPDX-License-Identifier: Apache-2.0
// `alloctrail record`: the live run of report, kept in a file instead of printed.
#include <CLI/CLI.hpp>
#include <memory>

#include "user/options/report_options.h"
#include "user/options/subcommand.h"
#include "user/recording/recording.h"

namespace alloctrail {

Subcommand declare_record(CLI::App& root) {
  CLI::App* app = root.add_subcommand("record", "keep what report would show, to look at later");
  auto options = std::make_shared<ReportOptions>();
  options->interval = std::chrono::seconds(10);
  options->format = OutputFormat::Recording;
  options->output = "alloctrail" + std::string(kRecordingSuffix);
  declare_targets(*app, options->tracing.targets);
  declare_timing(*app, *options, {"record", "moment", "10s"});
  OptionGroup contents(*app, "What to record");
  declare_filters(contents, options->tracing);
  OptionGroup output(*app, "Output");
  output.value("-o,--output", "FILE", "the recording [alloctrail.alloctrail]; \"-\": standard output", "a file name",
               [options](const std::string& text) {
                 options->output = text;
                 return !text.empty();
               });
  declare_kernel(*app, options->tracing);
  app->footer(
      "EXAMPLES\n"
      "  alloctrail record -p 1234 -i 1m -o night.alloctrail    until Ctrl-C or the end of the process\n"
      "  alloctrail report night.alloctrail                     its last moment as a report\n"
      "  alloctrail report -n 60 --json-lines night.alloctrail  its last hour as JSON");
  return {app, [options](const std::optional<Words>& program) -> Result<Command> {
            auto chosen = choose_targets("record", program, options->tracing.targets);
            if (!chosen) return std::move(chosen).error();
            return Command(*options);
          }};
}

}  // namespace alloctrail
