// SPDX-License-Identifier: Apache-2.0
// The subcommands as the command line knows them: each is one declare_ function in a file of its own.
#pragma once

#include <functional>
#include <optional>

#include "user/options/command_line.h"
#include "user/options/option_group.h"

namespace alloctrail {

struct Subcommand {
  CLI::App* app;
  /// Its options as a Command; `program`: the arguments after "--", none if there was no "--".
  std::function<Result<Command>(const std::optional<Words>& program)> finish;
};

[[nodiscard]] Subcommand declare_report(CLI::App& root);
[[nodiscard]] Subcommand declare_record(CLI::App& root);
[[nodiscard]] Subcommand declare_top(CLI::App& root);
[[nodiscard]] Subcommand declare_show(CLI::App& root);
[[nodiscard]] Subcommand declare_oom(CLI::App& root);
[[nodiscard]] Subcommand declare_explain(CLI::App& root);
[[nodiscard]] Subcommand declare_ps(CLI::App& root);
[[nodiscard]] Subcommand declare_doctor(CLI::App& root);

}  // namespace alloctrail
