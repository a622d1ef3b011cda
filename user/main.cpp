// SPDX-License-Identifier: Apache-2.0
// The line from probe to page. The kernel half (bpf/) stands before it: probe -> pair -> unwind -> account -> maps.
//
//   command line -> targets -> [ plan probes -> attach -> maps -> Snapshot -> analysis -> view ] per report
//                               `------------- trace/ -------------------'   `--- commands/ ---'
//
// The only place that prints an error and chooses the exit code.
#include <fmt/core.h>
#include <malloc.h>
#include <signal.h>

#include <span>
#include <string>
#include <variant>
#include <vector>

#include "user/commands/doctor.h"
#include "user/commands/oom.h"
#include "user/commands/explain.h"
#include "user/commands/ps.h"
#include "user/commands/report.h"
#include "user/commands/top.h"
#include "user/options/command_line.h"
#include "user/output/output_file.h"
#include "user/symbols/symbol_server.h"

namespace {

using namespace alloctrail;

template <class... Handlers>
struct Overloaded : Handlers... {
  using Handlers::operator()...;
};
template <class... Handlers>
Overloaded(Handlers...) -> Overloaded<Handlers...>;

Result<ExitCode> run(const Command& command) {
  return std::visit(Overloaded{
                        [](const ReportOptions& options) { return run_report(options); },
                        [](const TopOptions& options) { return run_top(options); },
                        [](const OomOptions& options) { return run_oom(options); },
                        [](const DoctorOptions& options) { return run_doctor(options); },
                        [](const PsOptions& options) { return run_ps(options); },
                        [](const ExplainOptions& options) { return run_explain(options); },
                        [](const PrintAndExit& page) {
                          fmt::print("{}", page.text);
                          return Result<ExitCode>(kExitOk);
                        },
                    },
                    command);
}

int fail(const Error& error) {
  fmt::print(stderr, "alloctrail: {}\n", error.message);
  if (!error.hint.empty()) fmt::print(stderr, "  hint: {}\n", error.hint);
  return exit_code(error.kind);
}

}  // namespace

int main(int argc, char** argv) {
  if (const auto served = serve_as_symbol_worker(std::span(argv, static_cast<size_t>(argc)))) return *served;
  mallopt(M_MMAP_THRESHOLD, 1 << 20);  // a report's large buffers go back to the system once it is printed
  occupy_standard_descriptors();
  signal(SIGXFSZ, SIG_IGN);  // a file that may not grow any more is an error of write(), with a message
  auto command = parse_options(std::vector<std::string>(argv + (argc > 0 ? 1 : 0), argv + argc));
  if (!command) return fail(command.error());
  const auto result = run(*command);
  return result ? *result : fail(result.error());
}
