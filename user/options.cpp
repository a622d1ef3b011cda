// SPDX-License-Identifier: Apache-2.0
// The only file that includes CLI11, which takes the arguments apart and lists the options; values and rules are
// checked by our own code, so that messages say what is wrong with what. A subcommand is one declare_ function in
// kSubcommands.
#include "user/options.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <functional>
#include <memory>
#include <string_view>

#include "user/output/units.h"

namespace alloctrail {
namespace {

using std::chrono::nanoseconds;
using Words = std::vector<std::string>;

constexpr uint64_t kMaxPid = 1u << 22;  // PID_MAX_LIMIT of 64-bit kernels
constexpr size_t kMaxCommLength = 15;   // TASK_COMM_LEN - 1
constexpr size_t kMaxPids = 1000;       // below AT_MAX_SLOTS, which execs use up too

Error usage(std::string message, std::string hint) {
  return {ErrorKind::Usage, std::move(message), std::move(hint), 0};
}

/// A subcommand on the command line.
struct Subcommand {
  CLI::App* app;
  /// Its options as a Command; `program`: the arguments after "--", none if there was no "--".
  std::function<Result<Command>(const std::optional<Words>& program)> finish;
};

/// One group of a subcommand's options.
class OptionGroup {
 public:
  using Accept = std::function<bool(const std::string& value)>;

  OptionGroup(CLI::App& app, std::string title) : app_(app), title_(std::move(title)) {}

  /// `accept` stores a value or refuses it; `expected` ends the sentence "--name 'value': must be ...".
  void value(const std::string& names, const char* type, const char* help, const char* expected, Accept accept) {
    add(names, type, help, [name = long_name(names), expected, accept = std::move(accept)](const Words& texts) {
      if (texts.size() > 1) throw CLI::ValidationError(fmt::format("{} is given {} times", name, texts.size()));
      if (!accept(texts.at(0))) throw refusal(name, texts[0], expected);
    });
  }

  /// The same for an option that may be given several times.
  void values(const std::string& names, const char* type, const char* help, const char* expected, Accept accept) {
    add(names, type, help, [name = long_name(names), expected, accept = std::move(accept)](const Words& texts) {
      for (const std::string& text : texts) {
        if (!accept(text)) throw refusal(name, text, expected);
      }
    });
  }

  void flag(const std::string& names, const char* help, bool& set) {
    app_.add_flag_callback(
            names, [&set] { set = true; }, help)
        ->group(title_);
  }

 private:
  static std::string long_name(const std::string& names) { return names.substr(names.find("--")); }

  static CLI::ValidationError refusal(const std::string& name, const std::string& text, const char* expected) {
    return CLI::ValidationError(fmt::format("{} '{}': must be {}", name, text, expected));
  }

  void add(const std::string& names, const char* type, const char* help, std::function<void(const Words&)> take) {
    // Extra arguments off: else CLI11 takes every following word for a value, and splits "[a,b]".
    app_.add_option_function<Words>(names, take, help)->allow_extra_args(false)->group(title_)->type_name(type);
  }

  CLI::App& app_;
  std::string title_;
};

/// Stores a parsed value that lies within bounds.
template <class Value, class Target>
bool store(const Result<Value>& parsed, Value least, Value most, Target& target) {
  if (!parsed || *parsed < least || *parsed > most) return false;
  target = static_cast<Target>(*parsed);
  return true;
}

template <class Value, class Target>
bool store(const Result<Value>& parsed, Value least, Value most, std::optional<Target>& target) {
  Target value{};
  if (!store(parsed, least, most, value)) return false;
  target = value;
  return true;
}

bool add_pids(const std::string& list, std::vector<Tgid>& pids) {
  for (size_t at = 0; at <= list.size();) {
    const size_t comma = std::min(list.find(',', at), list.size());
    Tgid pid{};
    if (!store<uint64_t>(parse_number(std::string_view(list).substr(at, comma - at)), 1, kMaxPid, pid)) return false;
    if (std::find(pids.begin(), pids.end(), pid) == pids.end()) pids.push_back(pid);
    at = comma + 1;
  }
  return pids.size() <= kMaxPids;
}

bool add_name(const std::string& name, size_t longest, Words& names) {
  if (name.empty() || name.size() > longest) return false;
  names.push_back(name);
  return true;
}

void declare_targets(CLI::App& app, TargetOptions& targets) {
  OptionGroup group(app, "What to trace");
  group.values("-p,--pid", "PID[,PID...]", "running processes by number",
               "process ids from 1 to 4194304, separated by commas, at most 1000",
               [&](const std::string& text) { return add_pids(text, targets.pids); });
  group.values("--comm", "NAME", "running processes by name, as ps -o comm shows it", "a name of 1 to 15 bytes",
               [&](const std::string& text) { return add_name(text, kMaxCommLength, targets.comms); });
  group.values("--cgroup", "DIR", "running processes of a cgroup and of those below it", "a directory",
               [&](const std::string& text) { return add_name(text, 4096, targets.cgroups); });
}

void declare_timing(CLI::App& app, ReportOptions& o) {
  OptionGroup group(app, "When to report");
  group.value("-i,--interval", "TIME", "time between two reports [2s]",
              "a time from 10ms to 1d, such as 500ms, 2s or 1m", [&](const std::string& text) {
                return store<nanoseconds>(parse_duration(text), std::chrono::milliseconds(10), std::chrono::hours(24),
                                          o.interval);
              });
  group.value("-n,--count", "N", "end after N reports", "a number from 1 to 1000000000",
              [&](const std::string& text) { return store<uint64_t>(parse_count(text), 1, 1'000'000'000, o.count); });
  group.value("-d,--duration", "TIME", "end after this time with a last report",
              "a time from 10ms to 365d, such as 30s or 1h", [&](const std::string& text) {
                return store<nanoseconds>(parse_duration(text), std::chrono::milliseconds(10),
                                          std::chrono::hours(365 * 24), o.duration);
              });
}

void declare_contents(CLI::App& app, ReportOptions& o) {
  OptionGroup group(app, "What to show");
  group.value("--top", "N", "rows of each table [10; JSON: all]", "a number from 1 to 1000000",
              [&](const std::string& text) { return store<uint64_t>(parse_count(text), 1, 1'000'000, o.top); });
  group.value("--min-size", "SIZE", "leave out smaller allocations", "a size up to 1TiB, such as 64, 4KiB or 1M",
              [&](const std::string& text) {
                return store<uint64_t>(parse_size(text), 0, uint64_t{1} << 40, o.min_size_bytes);
              });
  group.value("--older", "TIME", "rank by blocks that have lived longer than this",
              "a time from 1ms to 30d, such as 10s or 5m", [&](const std::string& text) {
                return store<nanoseconds>(parse_duration(text), std::chrono::milliseconds(1),
                                          std::chrono::hours(30 * 24), o.older);
              });
  group.value("-t,--tid", "TID", "list only this thread of the -p processes", "a thread id from 1 to 4194304",
              [&](const std::string& text) { return store<uint64_t>(parse_number(text), 1, kMaxPid, o.tid); });
  group.flag("--full-stacks", "show the allocator's own frames and every caller", o.full_stacks);
  group.flag("--bytes", "exact bytes instead of KiB and MiB", o.exact_bytes);
}

struct JsonFlags {
  bool document = false;
  bool lines = false;
};

void declare_output(CLI::App& app, ReportOptions& o, JsonFlags& json) {
  OptionGroup group(app, "Output");
  group.flag("--json", "one JSON document, complete at the end", json.document);
  group.flag("--json-lines", "one JSON object a line, process and interval", json.lines);
  group.value("-o,--output", "FILE", "write to a file: whole at the end; with --json-lines line by line", "a file name",
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

void declare_kernel(CLI::App& app, ReportOptions& o) {
  OptionGroup group(app, "Kernel side");
  const auto table = [&](const char* name, const char* help, const char* expected, uint64_t most, uint32_t& target) {
    group.value(name, "N", help, expected, [&target, most](const std::string& text) {
      return store<uint64_t>(parse_count(text), 1, most, target);
    });
  };
  table("--max-live", "live blocks to keep track of [1Mi]", "a number from 1 to 128Mi", 128u << 20, o.max_live_blocks);
  table("--max-stacks", "different stacks [64Ki]", "a number from 1 to 4Mi", 4u << 20, o.max_stacks);
  table("--max-sites", "pairs of thread and stack [256Ki]", "a number from 1 to 16Mi", 16u << 20, o.max_sites);
  group.value("--probe-kind", "KIND", "auto, session, multi or perf [auto]", "auto, session, multi or perf",
              [&](const std::string& text) {
                if (text == "session") o.probe_kind = ProbeKind::Session;
                if (text == "multi") o.probe_kind = ProbeKind::Multi;
                if (text == "perf") o.probe_kind = ProbeKind::Perf;
                return o.probe_kind || text == "auto";
              });
}

/// The rules that concern several options at once.
Status check_report(const ReportOptions& o, const JsonFlags& json, const std::optional<Words>& program) {
  const TargetOptions& targets = o.targets;
  const bool selects = !targets.pids.empty() || !targets.comms.empty() || !targets.cgroups.empty();
  if (program && program->empty()) {
    return usage("nothing follows \"--\"", "write the command to start after it: alloctrail report -- COMMAND ARGS...");
  }
  if (program && selects) {
    return usage("running processes (-p, --comm, --cgroup) and a command to start (after \"--\") exclude each other",
                 "choose one of the two");
  }
  if (!program && !selects) {
    return usage("nothing to trace",
                 "name a running process with -p PID, --comm NAME or --cgroup DIR, or a command after \"--\"");
  }
  if (o.tid && targets.pids.empty()) return usage("--tid needs -p", "name the thread's process: -p PID --tid TID");
  if (json.document && json.lines) {
    return usage("--json and --json-lines exclude each other",
                 "--json writes one document at the end, --json-lines one object a line as it goes");
  }
  return ok();
}

Subcommand declare_report(CLI::App& root) {
  CLI::App* app = root.add_subcommand("report", "which thread and which code holds a process's memory");
  auto options = std::make_shared<ReportOptions>();
  auto json = std::make_shared<JsonFlags>();
  declare_targets(*app, options->targets);
  declare_timing(*app, *options);
  declare_contents(*app, *options);
  declare_output(*app, *options, *json);
  declare_kernel(*app, *options);
  app->footer(
      "EXAMPLES\n"
      "  alloctrail report -p 1234                         a report every 2 s until Ctrl-C\n"
      "  alloctrail report -p 1234 -i 10s -n 6             six reports, 10 s apart\n"
      "  alloctrail report -p 1234 -d 1m --older 30s       what is still held 30 s after it was allocated\n"
      "  alloctrail report --comm nginx --json-lines -o nginx.jsonl\n"
      "  alloctrail report --min-size 4KiB -- ./server --port 8080");
  return {app, [options, json](const std::optional<Words>& program) -> Result<Command> {
            if (Status checked = check_report(*options, *json, program); !checked) return std::move(checked).error();
            if (program) options->targets.command = *program;
            if (json->document) options->format = OutputFormat::Json;
            if (json->lines) options->format = OutputFormat::JsonLines;
            return Command(*options);
          }};
}

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

constexpr std::array kSubcommands = {declare_report, declare_doctor};

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
  const char* tail = app->get_name() == "report" ? " [-- COMMAND ARGS...]" : "";
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
