// SPDX-License-Identifier: Apache-2.0
#include "user/options/explain_options.h"

#include <CLI/CLI.hpp>
#include <memory>

#include "user/options/subcommand.h"

namespace alloctrail {

Subcommand declare_explain(CLI::App& root) {
  CLI::App* app = root.add_subcommand("explain", "what a memory figure means");
  auto options = std::make_shared<ExplainOptions>();
  app->add_option("FIELD", options->fields, "names of figures; none: all")->group("What to explain");
  app->footer(
      "EXAMPLES\n"
      "  alloctrail explain VmData\n"
      "  alloctrail explain                                every figure");
  return {app, [options](const std::optional<Words>& program) -> Result<Command> {
            if (program) return usage("explain starts no command", "name a figure: alloctrail explain VmRSS");
            return Command(*options);
          }};
}

}  // namespace alloctrail
