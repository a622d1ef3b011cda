// SPDX-License-Identifier: Apache-2.0
// Servers under load: requests a second and how long one takes, by condition. redis-server under redis-benchmark, and one
// nginx worker, which compresses its page, under wrk.
#include <fmt/core.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <stdexcept>

#include "tests/bench/programs.h"
#include "tests/bench/watcher.h"
#include "tests/support/child.h"
#include "tests/support/server.h"
#include "tests/support/temp_dir.h"

namespace alloctrail::bench {
namespace {

using nlohmann::json;

/// What the load generator says of one kind of request under one condition.
struct Load {
  Series per_second;
  Series p50_ms;
  Series p99_ms;
};
using Loads = std::map<std::string, Load>;  // by kind of request

/// redis-server on a socket of its own.
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

  void load(int requests, Loads& loads) {
    const std::string csv = test::run({"/usr/bin/redis-benchmark", "-s", socket_, "-t", "set,get", "-n",
                                       std::to_string(requests), "-r", "100000", "-d", "100", "-c", "8", "--csv"},
                                      deadline_);
    for (size_t at = csv.find('\n') + 1; at < csv.size(); at = csv.find('\n', at) + 1) add_line(csv.substr(at), loads);
  }

 private:
  /// "SET","rps","avg","min","p50","p95","p99","max"
  static void add_line(const std::string& line, Loads& loads) {
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

/// nginx with one worker that compresses one page, in a pid namespace of its own, so that the worker ends with the master.
class Nginx {
 public:
  explicit Nginx(const test::Deadline& deadline)
      : deadline_(deadline), server_({.arguments = test::nginx_command(folder_.path().string(), port_), .namespaces = CLONE_NEWPID}, deadline) {
    server_.wait_error_text("start worker process ");
    worker_ = test::child_of(server_.pid());
  }

  [[nodiscard]] pid_t pid() const { return worker_; }

  void load(int milliseconds, Loads& loads) {
    const std::string text = test::run({"/usr/bin/wrk", "-t", "1", "-c", "8", "-d", fmt::format("{}s", (milliseconds + 999) / 1000),
                                        "--latency", "-H", "Accept-Encoding: gzip",
                                        fmt::format("http://127.0.0.1:{}/index.html", port_)},
                                       deadline_);
    Load& load = loads["gzip page"];
    load.per_second.add(std::stod(after(text, "Requests/sec:")));
    load.p50_ms.add(milliseconds_of(after(text, "50%")));
    load.p99_ms.add(milliseconds_of(after(text, "99%")));
  }

 private:
  static std::string after(const std::string& text, const std::string& label) {
    const size_t at = text.find(label);
    if (at == std::string::npos) throw std::runtime_error("wrk said: " + text);
    return text.substr(text.find_first_not_of(' ', at + label.size()));
  }
  static double milliseconds_of(const std::string& text) {
    size_t digits = 0;
    const double value = std::stod(text, &digits);
    return text[digits] == 'u' ? value / 1000 : text[digits] == 's' ? value * 1000 : value;
  }

  const test::Deadline& deadline_;
  test::TempDir folder_;
  uint16_t port_ = test::free_port();
  test::Child server_;
  pid_t worker_ = 0;
};

json print_loads(const std::string& title, const std::vector<Condition>& conditions,
                 std::map<std::string, Loads>& loads) {
  json result = json::array();
  fmt::print("\n{}\n  {:<34} {:>10} {:>12} {:>9} {:>9} {:>9}\n", title, "under", "request", "requests/s", "kept",
             "p50 ms", "p99 ms");
  for (const Condition& condition : conditions) {
    if (!condition.missing.empty()) fmt::print("  {:<34} not measured: {}\n", condition.name, condition.missing);
    for (auto& [request, load] : loads[condition.name]) {
      const double kept = load.per_second.median() / loads[conditions.front().name][request].per_second.median();
      fmt::print("  {:<34} {:>10} {:>12.0f} {:>8.1f}% {:>9.3f} {:>9.3f}\n", condition.name, request,
                 load.per_second.median(), kept * 100, load.p50_ms.median(), load.p99_ms.median());
      result.push_back({{"condition", condition.name},
                        {"request", request},
                        {"kept", kept},
                        {"requests_per_second", load.per_second.median()},
                        {"p50_ms", load.p50_ms.median()},
                        {"p99_ms", load.p99_ms.median()}});
    }
  }
  std::fflush(stdout);
  return result;
}

/// One server under all conditions, in alternating order.
template <class Server>
json measure_server(const std::string& title, const std::vector<Condition>& conditions, int amount, int visits,
                    const test::Deadline& deadline) {
  Server server(deadline);
  std::vector<Condition> order = conditions;
  std::map<std::string, Loads> loads;
  Loads warm_up;
  server.load(amount, warm_up);
  for (int visit = 0; visit < visits; ++visit) {
    for (const Condition& condition : order) {
      if (!condition.missing.empty()) continue;
      const std::unique_ptr<Watcher> watcher = condition.attach ? condition.attach(server.pid()) : nullptr;
      server.load(amount, loads[condition.name]);
    }
    std::reverse(order.begin(), order.end());
  }
  return print_loads(title, conditions, loads);
}

bool installed(const char* path) {
  return ::access(path, X_OK) == 0;
}

std::vector<Condition> conditions_of(const Options& options, const test::Deadline& deadline) {
  return {nothing(), empty_probes(kFloor, ProbeKind::Session, EmptySites::ChosenEntriesReturns),
          alloctrail_full(ProbeKind::Session, deadline), memleak(options, deadline)};
}

}  // namespace

json measure_redis(const Options& options, const test::Deadline& deadline) {
  if (!installed("/usr/bin/redis-server") || !installed("/usr/bin/redis-benchmark")) {
    fmt::print("\nredis-server: not measured: packages redis-server and redis-tools not installed\n");
    return json::array();
  }
  std::vector<Condition> conditions = conditions_of(options, deadline);
  conditions.back() = {.name = "libbpf-tools memleak",
                       .missing = "does not attach to jemalloc: it wants mmap in the allocator's file"};
  return measure_server<Redis>("redis-server (jemalloc), redis-benchmark with 8 clients, values of 100 bytes", conditions,
                               options.quick ? 20'000 : 100'000, options.quick ? 1 : 4, deadline);
}

json measure_nginx(const Options& options, const test::Deadline& deadline) {
  if (!installed("/usr/sbin/nginx") || !installed("/usr/bin/wrk")) {
    fmt::print("\nnginx: not measured: packages nginx-light and wrk not installed\n");
    return json::array();
  }
  return measure_server<Nginx>("nginx, one worker, wrk with 8 connections, a page of 20,000 bytes compressed for each",
                               conditions_of(options, deadline), options.quick ? 1'000 : 3'000, options.quick ? 1 : 4,
                               deadline);
}

}  // namespace alloctrail::bench
