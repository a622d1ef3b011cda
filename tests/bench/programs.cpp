// SPDX-License-Identifier: Apache-2.0
// Section "programs": redis-server under redis-benchmark, and python3 writing and reading json.
#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <stdexcept>

#include "tests/bench/comparison.h"
#include "tests/support/temp_dir.h"

namespace alloctrail::bench {
namespace {

using nlohmann::json;

/// What redis-benchmark says of one command under one condition.
struct Load {
  Series per_second;
  Series p50_ms;
  Series p99_ms;
};

/// redis-server on a socket of its own, and the load on it.
class Redis {
 public:
  explicit Redis(const test::Deadline& deadline)
      : deadline_(deadline),
        server_({.arguments = {"/usr/bin/redis-server", "--port", "0", "--unixsocket", socket_, "--save", "", "--dir",
                               folder_.path().string()}},
                deadline) {
    while (server_.read_line().find("accept connections") == std::string::npos) {
    }
  }

  [[nodiscard]] pid_t pid() const { return server_.pid(); }

  void load(int requests, std::map<std::string, Load>& loads) {
    const std::string csv = test::run({"/usr/bin/redis-benchmark", "-s", socket_, "-t", "set,get", "-n",
                                       std::to_string(requests), "-r", "100000", "-d", "100", "-c", "8", "--csv"},
                                      deadline_);
    for (size_t at = csv.find('\n') + 1; at < csv.size(); at = csv.find('\n', at) + 1) add_line(csv.substr(at), loads);
  }

 private:
  /// "SET","rps","avg","min","p50","p95","p99","max"
  static void add_line(const std::string& line, std::map<std::string, Load>& loads) {
    std::vector<std::string> fields;
    for (size_t at = line.find('"'); fields.size() < 8 && at != std::string::npos; at = line.find('"', at + 1)) {
      const size_t end = line.find('"', at + 1);
      fields.push_back(line.substr(at + 1, end - at - 1));
      at = end;
    }
    if (fields.size() < 8) throw std::runtime_error("redis-benchmark said: " + line);
    Load& load = loads[fields[0]];
    load.per_second.add(std::stod(fields[1]));
    load.p50_ms.add(std::stod(fields[4]));
    load.p99_ms.add(std::stod(fields[6]));
  }

  const test::Deadline& deadline_;
  test::TempDir folder_;
  std::string socket_ = folder_.file("redis");
  test::Child server_;
};

using Loads = std::map<std::string, std::map<std::string, Load>>;  // by condition, by command

json print_loads(const std::vector<Condition>& conditions, Loads& loads) {
  json result = json::array();
  fmt::print(
      "\nredis-server (jemalloc), redis-benchmark with 8 clients, values of 100 bytes\n  {:<34} {:>8} {:>12} {:>9} "
      "{:>9} {:>9}\n",
      "under", "command", "requests/s", "kept", "p50 ms", "p99 ms");
  for (const Condition& condition : conditions) {
    if (!condition.missing.empty()) fmt::print("  {:<34} not measured: {}\n", condition.name, condition.missing);
    for (auto& [command, load] : loads[condition.name]) {
      const double kept = load.per_second.median() / loads[conditions.front().name][command].per_second.median();
      fmt::print("  {:<34} {:>8} {:>12.0f} {:>8.1f}% {:>9.3f} {:>9.3f}\n", condition.name, command,
                 load.per_second.median(), kept * 100, load.p50_ms.median(), load.p99_ms.median());
      result.push_back({{"condition", condition.name},
                        {"command", command},
                        {"kept", kept},
                        {"requests_per_second", load.per_second.median()},
                        {"p50_ms", load.p50_ms.median()},
                        {"p99_ms", load.p99_ms.median()}});
    }
  }
  return result;
}

json measure_redis(const Options& options, const test::Deadline& deadline) {
  Redis redis(deadline);
  std::vector<Condition> order = {
      nothing(),
      empty_probes("empty probes, chosen sites", ProbeKind::Session, EmptySites::ChosenEntriesReturns),
      alloctrail_full(ProbeKind::Session, deadline),
      {.name = "libbpf-tools memleak",
       .missing = "does not attach to jemalloc: it wants mmap in the allocator's file"}};
  const std::vector<Condition> conditions = order;
  const int requests = options.quick ? 20'000 : 100'000;
  Loads loads;
  std::map<std::string, Load> warm_up;
  redis.load(requests, warm_up);
  for (int visit = 0; visit < (options.quick ? 1 : 4); ++visit) {
    for (const Condition& condition : order) {
      if (!condition.missing.empty()) continue;
      const std::unique_ptr<Watcher> watcher = condition.attach ? condition.attach(redis.pid()) : nullptr;
      redis.load(requests, loads[condition.name]);
    }
    std::reverse(order.begin(), order.end());
  }
  return print_loads(conditions, loads);
}

json measure_python(const std::string& allocator, int documents, const Options& options,
                    const test::Deadline& deadline) {
  static constexpr const char* kFloor = "empty probes, chosen sites";
  Comparison comparison("python3, json of 50 orders written and read, PYTHONMALLOC=" + allocator,
                        {"/usr/bin/env", "PYTHONMALLOC=" + allocator, "/usr/bin/python3",
                         std::string(BENCH_SOURCE_DIR) + "/json_rounds.py"},
                        deadline);
  comparison.run({nothing(), empty_probes(kFloor, ProbeKind::Session, EmptySites::ChosenEntriesReturns),
                  alloctrail_full(ProbeKind::Session, deadline), memleak(options, deadline)},
                 {.visits = options.quick ? 1 : 4, .rounds = options.quick ? 3 : 5, .pieces = documents});
  return comparison.print(kFloor);
}

}  // namespace

json measure_programs(const Options& options, const test::Deadline& deadline) {
  json result{{"redis", json::array()}, {"python", json::array()}};
  if (::access("/usr/bin/redis-server", X_OK) == 0 && ::access("/usr/bin/redis-benchmark", X_OK) == 0)
    result["redis"] = measure_redis(options, deadline);
  else
    fmt::print("\nredis-server: not measured: packages redis-server and redis-tools not installed\n");
  result["python"].push_back(measure_python("pymalloc", options.quick ? 30 : 200, options, deadline));
  // Every object through malloc: hundreds of calls a document.
  result["python"].push_back(measure_python("malloc", options.quick ? 2 : 10, options, deadline));
  return result;
}

}  // namespace alloctrail::bench
