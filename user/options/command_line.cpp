// SPDX-License-Identifier: Apache-2.0
// Finds the subcommand, lists the options, and says what is wrong with a command line that cannot be taken.
#include "user/options/command_line.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <string_view>

#include "user/options/subcommand.h"

namespace alloctrail {
namespace {

constexpr std::array kSubcommands = {declare_report, declare_top, declare_show, declare_record, declare_ps,
                                     declare_oom, declare_explain, declare_doctor};

std::string option_lines(const CLI::App& app, const std::string& group) {
  std::string text;
  for (const CLI::Option* option : app.get_options([&](const CLI::Option* o) { return o->get_group() == group; })) {
    const std::string indent = option->get_snames().empty() ? "      " : "  ";
    std::string names = indent + option->get_name(false, true);
    for (size_t at = names.find(','); at != std::string::npos && at + 1 < names.size(); at = names.find(',', at + 2)) {
      names.insert(at + 1, " ");
    }
    if (option->get_type_size() != 0) names += " " + option->get_type_name();
    text += fmt::format("{:<30} {}\n", names, option->get_description());
  }
  return text;
}

std::string help_text(const CLI::App* app, std::string, CLI::AppFormatMode) {
  const std::vector<const CLI::App*> subcommands = app->get_subcommands({});
  const std::string name = subcommands.empty() ? app->get_name() : "COMMAND";
  const bool starts = app->get_name() == "report" || app->get_name() == "record";
  const char* tail = starts ? " [-- COMMAND ARGS...]" : "";
  std::string text = fmt::format("{}\n\nUsage: alloctrail {} [OPTIONS]{}\n", app->get_description(), name, tail);
  if (!subcommands.empty()) text += "\nCommands:\n";
  for (const CLI::App* one : subcommands) text += fmt::format("  {:<28} {}\n", one->get_name(), one->get_description());
  std::vector<std::string> groups = app->get_groups();
  std::rotate(groups.begin(), groups.begin() + 1, groups.end());  // --help was declared first and is of least interest
  for (const std::string& group : groups) text += fmt::format("\n{}:\n{}", group, option_lines(*app, group));
  return text + "\n" + app->get_footer() + "\n";
}

/// The program's arguments up to "--", and those after it.
std::optional<Words> split_program(Words& args) {
  const auto dashes = std::find(args.begin(), args.end(), "--");
  if (dashes == args.end()) return std::nullopt;
  Words program(dashes + 1, args.end());
  args.erase(dashes, args.end());
  return program;
}

std::string help_hint(const CLI::App& root) {
  const auto parsed = root.get_subcommands();
  return "alloctrail " + (parsed.empty() ? "" : parsed.front()->get_name() + " ") + "--help lists the options";
}

Error explain_extra(const CLI::App& root) {
  const std::string extra = root.remaining(true).at(0);
  const bool option = extra.starts_with('-');
  if (root.get_subcommands().empty()) {
    return usage(fmt::format("{} '{}'", option ? "a command must come before" : "unknown command", extra),
                 "alloctrail --help lists the commands");
  }
  if (option) return usage(fmt::format("unknown option '{}'", extra), help_hint(root));
  const bool number = extra.find_first_not_of("0123456789") == std::string::npos;
  return usage(fmt::format("unexpected argument '{}'", extra), number ? "a process id follows -p" : help_hint(root));
}

Error explain_mismatch(const CLI::ArgumentMismatch& failure, const CLI::App& root) {
  const std::string_view what = failure.what();
  return usage(fmt::format("{}: its value is missing", what.substr(0, what.find(':'))), help_hint(root));
}

}  // namespace

Result<Command> parse_options(std::vector<std::string> args) {
  CLI::App root("alloctrail: which thread and which line of a running program holds its memory", "alloctrail");
  root.formatter_fn(help_text);
  root.set_help_flag("-h,--help", "this help")->group("Options");
  root.set_version_flag("-V,--version", "alloctrail " ALLOCTRAIL_VERSION, "the version")->group("Options");
  root.footer("alloctrail COMMAND --help explains a command. To begin: sudo alloctrail report -p PID");
  root.require_subcommand(0, 1);
  std::vector<Subcommand> subcommands;
  for (const auto declare : kSubcommands) subcommands.push_back(declare(root));

  const std::optional<Words> program = split_program(args);
  std::reverse(args.begin(), args.end());  // CLI11 takes them from the back
  try {
    root.parse(std::move(args));
  } catch (const CLI::CallForHelp&) {
    return Command(PrintAndExit{root.help()});
  } catch (const CLI::CallForVersion& version) {
    return Command(PrintAndExit{std::string(version.what()) + "\n"});
  } catch (const CLI::ExtrasError&) {
    return explain_extra(root);
  } catch (const CLI::ArgumentMismatch& failure) {
    return explain_mismatch(failure, root);
  } catch (const CLI::ParseError& failure) {
    return usage(failure.what(), help_hint(root));
  }
  for (const Subcommand& one : subcommands) {
    if (one.app->parsed()) return one.finish(program);
  }
  return usage("no command given", "begin with: alloctrail report -p PID; alloctrail --help lists the commands");
}

}  // namespace alloctrail
