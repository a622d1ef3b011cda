// SPDX-License-Identifier: Apache-2.0
#include "user/options/doctor_options.h"

#include <CLI/CLI.hpp>
#include <memory>

#include "user/options/subcommand.h"
#include "user/options/tracing_options.h"
#include "user/output/units.h"

namespace alloctrail {

Subcommand declare_doctor(CLI::App& root) {
  CLI::App* app = root.add_subcommand("doctor", "what this kernel, and a process on it, allow alloctrail to do");
  auto options = std::make_shared<DoctorOptions>();
  OptionGroup target(*app, "What to examine");
  target.value("-p,--pid", "PID", "a running process: its allocators and the place of every probe",
               "a process id from 1 to 4194304", [options](const std::string& text) {
                 return store<uint64_t>(parse_number(text), 1, kMaxPid, options->pid);
               });
  OptionGroup(*app, "Output").flag("--json", "one JSON document", options->json);
  app->footer(
      "EXAMPLES\n"
      "  alloctrail doctor                                 this kernel\n"
      "  alloctrail doctor -p 1234                         and whether process 1234 can be traced, and how");
  return {app, [options](const std::optional<Words>& program) -> Result<Command> {
            if (program) return usage("doctor starts no command", "name a running process with -p PID");
            return Command(*options);
          }};
}

}  // namespace alloctrail
