// SPDX-License-Identifier: Apache-2.0
// bench [--quick] [--json FILE] [--memleak ROOT] [SECTION...]: measures what tracing costs. Sections: pairs, walks, mappings, growth,
// figures, programs; without any, all. Needs root. Figures of different runs are not to be compared, only ratios within one.
#include <fmt/core.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <chrono>
#include <exception>
#include <fstream>
#include <optional>

#include "tests/bench/bench.h"

namespace alloctrail::bench {
namespace {

constexpr std::chrono::minutes kLongestRun{90};

struct CommandLine {
  Options options;
  std::string json;
};

std::optional<CommandLine> parse(const std::vector<std::string>& arguments) {
  CommandLine line;
  for (size_t i = 0; i < arguments.size(); ++i) {
    const std::string& argument = arguments[i];
    if (argument == "--quick") {
      line.options.quick = true;
    } else if (argument == "--json" && i + 1 < arguments.size()) {
      line.json = arguments[++i];
    } else if (argument == "--memleak" && i + 1 < arguments.size()) {
      line.options.memleak = arguments[++i];
    } else if (argument == "pairs" || argument == "walks" || argument == "mappings" || argument == "growth" || argument == "figures" ||
               argument == "programs") {
      line.options.sections.push_back(argument);
    } else {
      return std::nullopt;
    }
  }
  return line;
}

nlohmann::json describe_machine() {
  utsname system{};
  uname(&system);
  return {{"schema", "alloctrail/bench/1"},
          {"kernel", system.release},
          {"machine", system.machine},
          {"cpus", sysconf(_SC_NPROCESSORS_ONLN)}};
}

void run(const CommandLine& line) {
  const auto start = std::chrono::steady_clock::now();
  const test::Deadline deadline(kLongestRun);
  nlohmann::json result = describe_machine();
  fmt::print("kernel {}, {} CPUs; one run, conditions in alternating order: only ratios count\n",
             result.at("kernel").get<std::string>(), result.at("cpus").get<long>());
  if (line.options.wants("pairs")) {
    result["pairs"] = measure_pairs(line.options, deadline);
    result["goals"] = print_goals(result["pairs"]);
  }
  if (line.options.wants("walks")) result["walks"] = measure_walks(line.options, deadline);
  if (line.options.wants("mappings")) result["mappings"] = measure_mappings(line.options, deadline);
  if (line.options.wants("growth")) result["growth"] = measure_growth(line.options, deadline);
  if (line.options.wants("figures")) result["figures"] = measure_figures(line.options, deadline);
  if (line.options.wants("programs")) result["programs"] = measure_programs(line.options, deadline);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  result["took_s"] = took.count();
  fmt::print("\ntook {:.0f} s\n", took.count());
  if (line.json.empty()) return;
  std::ofstream out(line.json);
  out << result.dump(1) << "\n";
  if (!out.flush()) throw std::runtime_error("cannot write " + line.json);
}

}  // namespace

std::string program(const std::string& name) {
  return std::string(BENCH_DIR) + "/" + name;
}

}  // namespace alloctrail::bench

int main(int argc, char** argv) {
  using namespace alloctrail::bench;
  const auto line = parse(std::vector<std::string>(argv + 1, argv + argc));
  if (!line) {
    fmt::print(stderr, "usage: bench [--quick] [--json FILE] [--memleak ROOT] "
                       "[pairs] [walks] [mappings] [growth] [figures] [programs]\n");
    return 2;
  }
  if (geteuid() != 0) {
    fmt::print(stderr, "bench: attaching probes needs root\n");
    return 77;
  }
  try {
    run(*line);
  } catch (const std::exception& error) {
    fmt::print(stderr, "bench: {}\n", error.what());
    return 1;
  }
  return 0;
}
