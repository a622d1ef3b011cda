// SPDX-License-Identifier: Apache-2.0
// Section "programs": real programs at real work. Servers are in servers.cpp; here python3, which writes and reads json,
// and clang, which compiles a file.
#include "tests/bench/programs.h"

#include <fmt/core.h>
#include <unistd.h>

#include <chrono>
#include <map>
#include <vector>

#include "tests/bench/comparison.h"
#include "tests/support/child.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tracer.h"

namespace alloctrail::bench {
namespace {

using nlohmann::json;

json measure_python(const std::string& allocator, int documents, const Options& options,
                    const test::Deadline& deadline) {
  Comparison comparison("python3, json of 50 orders written and read, PYTHONMALLOC=" + allocator,
                        {"/usr/bin/env", "PYTHONMALLOC=" + allocator, "/usr/bin/python3",
                         std::string(BENCH_SOURCE_DIR) + "/json_rounds.py"},
                        deadline);
  comparison.run({nothing(), empty_probes(kFloor, ProbeKind::Session, EmptySites::ChosenEntriesReturns),
                  alloctrail_full(ProbeKind::Session, deadline), memleak(options, deadline)},
                 {.visits = options.quick ? 1 : 4, .rounds = options.quick ? 3 : 5, .pieces = documents});
  return comparison.print(kFloor);
}

/// Seconds from a program's start to its end, and what it runs under is done, too.
double seconds_of(std::vector<std::string> command, const test::Deadline& deadline) {
  const auto start = std::chrono::steady_clock::now();
  test::run(std::move(command), deadline);
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// A program that starts, works and ends is measured whole, so each tool starts it.
json measure_compiler(const Options& options, const test::Deadline& deadline) {
  const test::TempDir folder;
  struct Way {
    std::string name;
    std::vector<std::string> wrapper;
  };
  std::vector<Way> ways = {{"nothing", {}},
                           {"alloctrail, session probes", {test::Tracer::binary(), "report", "-i", "1h", "-o", folder.file("report"), "--"}}};
  for (const Condition& condition : {heaptrack(folder.path().string()), massif()})
    if (condition.missing.empty() && !(options.quick && condition.name.find("massif") != std::string::npos))
      ways.push_back({condition.name, condition.wrapper});
  const std::vector<std::string> compile = {"/usr/bin/clang++", "-std=c++20", "-O1", "-c", std::string(BENCH_SOURCE_DIR) + "/compiled.cpp",
                                            "-o", folder.file("compiled.o")};
  std::map<std::string, Series> seconds;
  for (int visit = 0; visit < (options.quick ? 1 : 3); ++visit) {
    for (const Way& way : ways) {
      if (visit > 0 && way.name.find("massif") != std::string::npos) continue;  // minutes
      std::vector<std::string> command = way.wrapper;
      command.insert(command.end(), compile.begin(), compile.end());
      seconds[way.name].add(seconds_of(std::move(command), deadline));
    }
  }
  json result = json::array();
  fmt::print("\nclang compiles a file that includes a large header, whole runs\n  {:<34} {:>10} {:>10}\n", "under", "seconds", "slowdown");
  for (const Way& way : ways) {
    const double median = seconds[way.name].median(), slowdown = median / seconds["nothing"].median();
    fmt::print("  {:<34} {:>10.2f} {:>9.2f}x\n", way.name, median, slowdown);
    result.push_back({{"condition", way.name}, {"seconds", median}, {"slowdown", slowdown}});
  }
  std::fflush(stdout);
  return result;
}

}  // namespace

json measure_programs(const Options& options, const test::Deadline& deadline) {
  json result{{"redis", measure_redis(options, deadline)},
              {"nginx", measure_nginx(options, deadline)},
              {"python", json::array()}};
  result["python"].push_back(measure_python("pymalloc", options.quick ? 30 : 200, options, deadline));
  // Every object through malloc: hundreds of calls a document.
  result["python"].push_back(measure_python("malloc", options.quick ? 2 : 10, options, deadline));
  result["clang"] = measure_compiler(options, deadline);
  return result;
}

}  // namespace alloctrail::bench
