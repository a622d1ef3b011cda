// SPDX-License-Identifier: Apache-2.0
#include "user/options/command_line.h"

#include <gtest/gtest.h>

#include <iterator>
#include <sstream>
#include <utility>

namespace alloctrail {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

Result<Command> parse(const std::string& line) {
  std::istringstream words(line);
  return parse_options({std::istream_iterator<std::string>(words), {}});
}

ReportOptions report(const std::string& line) {
  const Result<Command> command = parse(line);
  if (!command) {
    ADD_FAILURE() << line << ": " << command.error().message;
    return {};
  }
  const auto* options = std::get_if<ReportOptions>(&*command);
  if (options == nullptr) ADD_FAILURE() << line;
  return options != nullptr ? *options : ReportOptions{};
}

std::string text(const std::string& line) {
  const Result<Command> command = parse(line);
  const auto* page = command ? std::get_if<PrintAndExit>(&*command) : nullptr;
  return page != nullptr ? page->text : "";
}

TEST(Options, DefaultsOfAReport) {
  const ReportOptions o = report("report -p 1234");
  EXPECT_EQ(o.tracing.targets.pids, std::vector<Tgid>{Tgid{1234}});
  EXPECT_EQ(o.interval, seconds(2));
  EXPECT_FALSE(o.count);
  EXPECT_FALSE(o.duration);
  EXPECT_EQ(o.rows(), 10u);
  EXPECT_EQ(o.tracing.min_size_bytes, 0u);
  EXPECT_FALSE(o.tracing.older);
  EXPECT_FALSE(o.tid);
  EXPECT_FALSE(o.full_stacks);
  EXPECT_EQ(o.stacks, StackLayout::List);
  EXPECT_FALSE(o.exact_bytes);
  EXPECT_EQ(o.format, OutputFormat::Text);
  EXPECT_FALSE(o.output);
  EXPECT_EQ(o.color, ColorWhen::Auto);
  EXPECT_FALSE(o.tracing.probe_kind);
  EXPECT_EQ(o.tracing.max_live_blocks, 2'097'152u);
  EXPECT_EQ(o.tracing.max_stacks, 65'536u);
  EXPECT_EQ(o.tracing.max_sites, 262'144u);
}

TEST(Options, EveryOptionArrives) {
  const ReportOptions o = report(
      "report --pid 7 -i 500ms -n 3 -d 1m --top 5 --min-size 64KiB --sample 1M --thread 9 --thread io --older 90s -t 8 "
      "--full-stacks --stacks tree --bytes --json-lines "
      "-o out.jsonl --color never --probe-kind multi --max-live 1000 --max-stacks 1Mi --max-sites 2k");
  EXPECT_EQ(o.interval, milliseconds(500));
  EXPECT_EQ(o.count, 3u);
  EXPECT_EQ(o.duration, seconds(60));
  EXPECT_EQ(o.rows(), 5u);
  EXPECT_EQ(o.tracing.min_size_bytes, 65'536u);
  EXPECT_EQ(o.tracing.sample_rate_bytes, 1'048'576u);
  EXPECT_EQ(o.tracing.only_tids, std::vector<Tid>{Tid{9}});
  EXPECT_EQ(o.tracing.only_names, std::vector<std::string>{"io"});
  EXPECT_EQ(o.tracing.older, seconds(90));
  EXPECT_EQ(o.tid, Tid{8});
  EXPECT_TRUE(o.full_stacks);
  EXPECT_EQ(o.stacks, StackLayout::Tree);
  EXPECT_TRUE(o.exact_bytes);
  EXPECT_EQ(o.format, OutputFormat::JsonLines);
  EXPECT_EQ(o.output, "out.jsonl");
  EXPECT_EQ(o.color, ColorWhen::Never);
  EXPECT_EQ(o.tracing.probe_kind, ProbeKind::Multi);
  EXPECT_EQ(o.tracing.max_live_blocks, 1'000u);
  EXPECT_EQ(o.tracing.max_stacks, 1'048'576u);
  EXPECT_EQ(o.tracing.max_sites, 2'048u);
}

TEST(Options, JsonHasAllRowsUnlessToldOtherwise) {
  EXPECT_FALSE(report("report -p 1 --json").rows());
  EXPECT_EQ(report("report -p 1 --json --top 3").rows(), 3u);
  EXPECT_EQ(report("report -p 1 --json").format, OutputFormat::Json);
}

TEST(Options, TargetsAddUpAndEachCountsOnce) {
  const ReportOptions o = report("report -p 3,1 --pid=2 -p1 --comm nginx --comm [ab,c] --cgroup system.slice");
  EXPECT_EQ(o.tracing.targets.pids, (std::vector<Tgid>{Tgid{3}, Tgid{1}, Tgid{2}}));
  EXPECT_EQ(o.tracing.targets.comms, (std::vector<std::string>{"nginx", "[ab,c]"}));
  EXPECT_EQ(o.tracing.targets.cgroups, std::vector<std::string>{"system.slice"});
}

TEST(Options, EverythingAfterTheDashesBelongsToTheCommand) {
  const ReportOptions o = report("report -i 1s -- ls -l --json -- --help");
  EXPECT_EQ(o.tracing.targets.command, (std::vector<std::string>{"ls", "-l", "--json", "--", "--help"}));
  EXPECT_EQ(o.format, OutputFormat::Text);
}

TEST(Options, AnExplicitAutoProbeKindIsNoChoice) {
  EXPECT_FALSE(report("report -p 1 --probe-kind auto").tracing.probe_kind);
}

TEST(Options, ALaterCallKnowsNothingOfAnEarlierOne) {
  EXPECT_EQ(report("report -p 1 --json").format, OutputFormat::Json);
  EXPECT_EQ(report("report -p 2").format, OutputFormat::Text);
  EXPECT_EQ(report("report -p 2").tracing.targets.pids, std::vector<Tgid>{Tgid{2}});
}

TEST(Options, DoctorTakesAtMostOneProcess) {
  const Result<Command> plain = parse("doctor");
  ASSERT_TRUE(plain);
  EXPECT_FALSE(std::get<DoctorOptions>(*plain).pid);
  const Result<Command> process = parse("doctor -p 12 --json");
  ASSERT_TRUE(process);
  EXPECT_EQ(std::get<DoctorOptions>(*process).pid, Tgid{12});
  EXPECT_TRUE(std::get<DoctorOptions>(*process).json);
}

TEST(Options, TopHasAScreenUnlessToldOtherwise) {
  const auto top = [](const std::string& line) { return std::get<TopOptions>(*parse(line)); };
  EXPECT_EQ(top("top -p 1,2").tracing.targets.pids.size(), 2u);
  EXPECT_FALSE(top("top -p 1").batch);
  EXPECT_EQ(top("top -p 1").view, TopView::Threads);
  EXPECT_EQ(top("top -p 1").interval, seconds(1));
  const TopOptions o = top("top --comm nginx -b -n 3 -i 250ms --top 7 --view probes --svg --color never --older 1m");
  EXPECT_TRUE(o.batch);
  EXPECT_EQ(o.count, 3u);
  EXPECT_EQ(o.interval, milliseconds(250));
  EXPECT_EQ(o.top, 7u);
  EXPECT_EQ(o.view, TopView::Probes);
  EXPECT_TRUE(o.svg);
  EXPECT_EQ(o.color, ColorWhen::Never);
  EXPECT_EQ(o.tracing.older, seconds(60));
}

TEST(Options, HelpAndVersionAreTextToPrint) {
  EXPECT_EQ(text("--version"), text("-V"));
  EXPECT_EQ(text("-V").substr(0, 11), "alloctrail ");
  for (const char* word : {"report", "doctor", "--help", "--version"}) {
    EXPECT_NE(text("--help").find(word), std::string::npos) << word;
  }
  for (const char* word : {"-p, --pid",      "--comm",       "--cgroup",       "[-- COMMAND ARGS...]",
                           "-i, --interval", "-n, --count",  "-d, --duration", "--top",
                           "--min-size",     "--sample",     "--thread",     "--older",      "-t, --tid",      "--json ",
                           "--json-lines",   "-o, --output", "--full-stacks",  "--stacks",     "--bytes",
                           "--color",        "--max-live",   "--max-stacks",   "--max-sites",
                           "--probe-kind",   "EXAMPLES",     "What to trace:", "Output:"}) {
    EXPECT_NE(text("report --help").find(word), std::string::npos) << word;
  }
  EXPECT_EQ(text("report -h"), text("report --help"));
  EXPECT_NE(text("doctor -h").find("alloctrail doctor -p 1234"), std::string::npos);
}

TEST(Options, EveryExampleInTheHelpIsTrue) {
  for (const char* command : {"report --help", "doctor --help", "top --help", "show --help"}) {
    std::istringstream lines(text(command));
    size_t examples = 0;
    for (std::string line; std::getline(lines, line);) {
      if (line.rfind("  alloctrail ", 0) != 0) continue;
      ++examples;
      const size_t explanation = line.find("   ", 13);
      EXPECT_TRUE(parse(line.substr(13, explanation == std::string::npos ? explanation : explanation - 13))) << line;
    }
    EXPECT_GE(examples, 2u) << command;
  }
}

struct Refusal {
  const char* line;
  const char* message;
  const char* hint;
};

const Refusal kRefusals[] = {
    {"", "no command given", "begin with: alloctrail report -p PID; alloctrail --help lists the commands"},
    {"repot -p 1", "unknown command 'repot'", "alloctrail --help lists the commands"},
    {"-p 1", "a command must come before '-p'", "alloctrail --help lists the commands"},
    {"report", "nothing to trace",
     "name a running process with -p PID, --comm NAME or --cgroup DIR, or a command after \"--\""},
    {"report --", "nothing follows \"--\"",
     "write the command to start after it: alloctrail report -- COMMAND ARGS..."},
    {"report -p 1 -- ls",
     "running processes (-p, --comm, --cgroup) and a command to start (after \"--\") exclude each other",
     "choose one of the two"},
    {"report --comm a -- ls",
     "running processes (-p, --comm, --cgroup) and a command to start (after \"--\") exclude each other",
     "choose one of the two"},
    {"report -p 1 --json --json-lines", "--json and --json-lines exclude each other",
     "--json writes one document at the end, --json-lines one object a line as it goes"},
    {"report --comm a --tid 1", "--tid needs -p", "name the thread's process: -p PID --tid TID"},
    {"report -p 1 --frobnicate", "unknown option '--frobnicate'", "alloctrail report --help lists the options"},
    {"report -p 1 night.alloctrail", "'night.alloctrail' is taken for a recording: it excludes running processes and commands",
     ""},
    {"report -p 1 1234", "'1234' is taken for a recording: it excludes running processes and commands",
     "a process id follows -p"},
    {"report 1234 -i 1s", "--interval has no meaning for '1234', which is taken for a recording", "a process id follows -p"},
    {"report a.alloctrail -o b.alloctrail", "a recording is not made of a recording",
     "copy the file, or name another kind of output"},
    {"report a.alloctrail b.alloctrail", "unexpected argument 'b.alloctrail'", "alloctrail report --help lists the options"},
    {"record 1234", "unexpected argument '1234'", "a process id follows -p"},
    {"report -p", "--pid: its value is missing", "alloctrail report --help lists the options"},
    {"report -p 1 -i 1s -i 2s", "--interval is given 2 times", "alloctrail report --help lists the options"},
    {"show", "nothing to show", "name a recording: alloctrail show FILE"},
    {"top", "nothing to watch", "name a running process with -p PID, --comm NAME or --cgroup DIR"},
    {"top -- ls", "top starts no command: both would write to this terminal",
     "start it in another terminal, then: alloctrail top -p PID"},
    {"top -p 1 --view heap", "--view 'heap': must be threads, stacks, process, probes or processes",
     "alloctrail top --help lists the options"},
    {"doctor -- ls", "doctor starts no command", "name a running process with -p PID"},
    {"doctor -p 1 -p 2", "--pid is given 2 times", "alloctrail doctor --help lists the options"},
};

TEST(Options, ContradictionsAreUsageErrorsThatSayWhatToDo) {
  for (const Refusal& refusal : kRefusals) {
    const Result<Command> command = parse(refusal.line);
    ASSERT_FALSE(command) << refusal.line;
    EXPECT_EQ(command.error().kind, ErrorKind::Usage) << refusal.line;
    EXPECT_EQ(command.error().message, refusal.message) << refusal.line;
    EXPECT_EQ(command.error().hint, refusal.hint) << refusal.line;
  }
}

TEST(Options, ValuesOutOfBoundsAreNamedWithTheirBounds) {
  const std::pair<const char*, const char*> cases[] = {
      {"--count -1", "--count '-1': must be a number from 1 to 1000000000"},
      {"--count 0", "--count '0': must be a number from 1 to 1000000000"},
      {"--count 1000000001", "--count '1000000001': must be a number from 1 to 1000000000"},
      {"--count x", "--count 'x': must be a number from 1 to 1000000000"},
      {"--interval 0s", "--interval '0s': must be a time from 10ms to 1d, such as 500ms, 2s or 1m"},
      {"--interval 9ms", "--interval '9ms': must be a time from 10ms to 1d, such as 500ms, 2s or 1m"},
      {"--interval 25h", "--interval '25h': must be a time from 10ms to 1d, such as 500ms, 2s or 1m"},
      {"--interval -2s", "--interval '-2s': must be a time from 10ms to 1d, such as 500ms, 2s or 1m"},
      {"--duration 0", "--duration '0': must be a time from 10ms to 365d, such as 30s or 1h"},
      {"--older 0", "--older '0': must be a time from 1ms to 30d, such as 10s or 5m"},
      {"--top 0", "--top '0': must be a number from 1 to 1000000"},
      {"--sample 0",
       "--sample '0': must be a size from 1KiB to 16MiB, such as 64KiB; without it every allocation is recorded"},
      {"--sample 1TiB",
       "--sample '1TiB': must be a size from 1KiB to 16MiB, such as 64KiB; without it every allocation is recorded"},
      {"--thread 0",
       "--thread '0': must be a thread id from 1 to 4194304 or a name of 1 to 15 bytes, at most 256 of each"},
      {"--thread sixteen-bytes-ab", "--thread 'sixteen-bytes-ab': must be a thread id from 1 to 4194304 or a name of 1 "
                                    "to 15 bytes, at most 256 of each"},
      {"--min-size 2TiB", "--min-size '2TiB': must be a size up to 1TiB, such as 64, 4KiB or 1M"},
      {"--tid 0", "--tid '0': must be a thread id from 1 to 4194304"},
      {"--tid 4194305", "--tid '4194305': must be a thread id from 1 to 4194304"},
      {"--color red", "--color 'red': must be auto, always or never"},
      {"--probe-kind kprobe", "--probe-kind 'kprobe': must be auto, session, multi or perf"},
      {"--max-live 0", "--max-live '0': must be a number from 1 to 128Mi"},
      {"--max-live 134217729", "--max-live '134217729': must be a number from 1 to 128Mi"},
      {"--max-stacks 5Mi", "--max-stacks '5Mi': must be a number from 1 to 4Mi"},
      {"--max-sites 17Mi", "--max-sites '17Mi': must be a number from 1 to 16Mi"},
      {"--comm sixteen-bytes-ab", "--comm 'sixteen-bytes-ab': must be a name of 1 to 15 bytes"},
      {"--pid 0", "--pid '0': must be process ids from 1 to 4194304, separated by commas, at most 1000"},
      {"--pid 1,", "--pid '1,': must be process ids from 1 to 4194304, separated by commas, at most 1000"},
      {"--pid 1,,2", "--pid '1,,2': must be process ids from 1 to 4194304, separated by commas, at most 1000"},
      {"--pid 12x", "--pid '12x': must be process ids from 1 to 4194304, separated by commas, at most 1000"},
  };
  for (const auto& [option, message] : cases) {
    const Result<Command> command = parse(std::string("report -p 1 ") + option);
    ASSERT_FALSE(command) << option;
    EXPECT_EQ(command.error().kind, ErrorKind::Usage) << option;
    EXPECT_EQ(command.error().message, message) << option;
    EXPECT_EQ(command.error().hint, "alloctrail report --help lists the options") << option;
  }
}

TEST(Options, BoundsThemselvesAreAllowed) {
  EXPECT_EQ(report("report -p 4194304").tracing.targets.pids, std::vector<Tgid>{Tgid{4'194'304}});
  EXPECT_EQ(report("report -p 1 -i 10ms").interval, milliseconds(10));
  EXPECT_EQ(report("report -p 1 -i 1d").interval, seconds(86'400));
  EXPECT_EQ(report("report -p 1 --max-live 128Mi").tracing.max_live_blocks, 1u << 27);
  EXPECT_EQ(report("report -p 1 --comm fifteen-bytes-a").tracing.targets.comms, std::vector<std::string>{"fifteen-bytes-a"});
}

TEST(Options, EmptyValuesAreRefused) {
  for (const std::vector<std::string>& args : std::vector<std::vector<std::string>>{{"report", "-p", ""},
                                                                                    {"report", "--comm", ""},
                                                                                    {"report", "--cgroup", ""},
                                                                                    {"report", "-p", "1", "-o", ""}}) {
    const Result<Command> command = parse_options(args);
    ASSERT_FALSE(command) << args[1];
    EXPECT_EQ(command.error().kind, ErrorKind::Usage);
  }
}

OomOptions oom(const std::string& line) {
  const Result<Command> command = parse(line);
  if (!command) {
    ADD_FAILURE() << line << ": " << command.error().message;
    return {};
  }
  const auto* options = std::get_if<OomOptions>(&*command);
  if (options == nullptr) ADD_FAILURE() << line;
  return options != nullptr ? *options : OomOptions{};
}

TEST(OomOptions, Defaults) {
  const OomOptions o = oom("oom --all");
  EXPECT_TRUE(o.all);
  EXPECT_EQ(o.recording.hold, OomHold::Auto);
  EXPECT_EQ(o.recording.hold_budget, milliseconds(50));
  EXPECT_EQ(o.recording.look, LookAtVictims::Yes);
  EXPECT_EQ(o.keep, 100u);
  EXPECT_FALSE(o.once);
  EXPECT_FALSE(o.directory);
  EXPECT_FALSE(o.exec);
  EXPECT_FALSE(o.from);
  EXPECT_FALSE(o.tracing.warn_at_percent);
  EXPECT_EQ(o.format, OutputFormat::Text);
}

TEST(OomOptions, EveryOptionArrives) {
  const OomOptions o = oom(
      "oom -p 12 --all --warn-at 75% --oom-hold off --oom-hold-time 500ms -o dir --keep 7 --exec hook --once "
      "--json-lines --full-stacks --color never");
  EXPECT_EQ(o.tracing.targets.pids, std::vector<Tgid>{Tgid{12}});
  EXPECT_TRUE(o.all);
  EXPECT_EQ(o.tracing.warn_at_percent, 75u);
  EXPECT_EQ(o.recording.hold, OomHold::Off);
  EXPECT_EQ(o.recording.hold_budget, milliseconds(500));
  EXPECT_EQ(o.directory, "dir");
  EXPECT_EQ(o.keep, 7u);
  EXPECT_EQ(o.exec, "hook");
  EXPECT_TRUE(o.once);
  EXPECT_EQ(o.format, OutputFormat::JsonLines);
  EXPECT_TRUE(o.full_stacks);
  EXPECT_EQ(o.color, ColorWhen::Never);
  EXPECT_EQ(report("report -p 1 --warn-at 80").tracing.warn_at_percent, 80u);
}

TEST(OomOptions, WhatCannotBeIsRefusedWithAReason) {
  for (const char* line :
       {"oom", "oom --all --warn-at 80%", "oom -p 1 --warn-at 100%", "oom -p 1 --warn-at 0", "oom -p 1 --warn-at 80%%",
        "oom -p 1 --warn-at x", "oom --all --oom-hold sometimes", "oom --all --oom-hold-time 501ms",
        "oom --all --oom-hold-time 0", "oom --all --exec hook", "oom --all --json --json-lines", "oom --from f --all",
        "oom --from f -p 1", "oom --all --keep 0"}) {
    const Result<Command> command = parse(line);
    ASSERT_FALSE(command) << line;
    EXPECT_EQ(command.error().kind, ErrorKind::Usage) << line;
    EXPECT_FALSE(command.error().hint.empty() && command.error().message.empty()) << line;
  }
}

}  // namespace
}  // namespace alloctrail
