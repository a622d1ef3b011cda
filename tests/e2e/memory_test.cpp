// SPDX-License-Identifier: Apache-2.0
// Where real programs' memory lies and who touches it, while they work: redis, nginx, python3, postgres, node.
#include <gtest/gtest.h>
#include <pwd.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <iostream>
#include <string>
#include <vector>

#include "tests/e2e/real_program.h"
#include "tests/support/child.h"
#include "tests/support/tracer.h"
#include "tests/support/workload.h"

namespace alloctrail::test {
namespace {

using nlohmann::json;

uint64_t touched(const json& report) {
  return report.at("touched").at("touched_bytes");
}
uint64_t touched(const json& report, const char* kind) {
  const json& kinds = report.at("touched").at("kinds");
  return kinds.contains(kind) ? kinds.at(kind).at("touched_bytes").get<uint64_t>() : 0;
}
uint64_t resident(const json& report) {
  return report.at("process").at("rss_bytes");
}
/// Files bring several pages a fault.
uint64_t anonymous(const json& report) {
  return report.at("process").at("rss_anon_bytes");
}
uint64_t anonymous_touched(const json& report) {
  return touched(report) - touched(report, "file") - touched(report, "shared");
}

/// The parts and the rest are VmRSS to the byte; the rest is small; no fault is missing.
void expect_explained(const char* program, const json& report) {
  const json& balance = report.at("balance");
  int64_t sum = balance.at("unexplained_bytes");
  double shares = 0;
  for (const json& part : balance.at("parts")) {
    sum += part.at("bytes").get<int64_t>();
    shares += part.at("share").get<double>();
  }
  EXPECT_EQ(sum, balance.at("rss_bytes").get<int64_t>()) << balance;
  EXPECT_GE(balance.at("explained_share").get<double>(), 0.97) << balance;
  EXPECT_NEAR(shares, 1.0, 0.03);
  const json& account = report.at("fault_accounting");
  EXPECT_EQ(account.at("counted").get<uint64_t>(), account.at("sampled").get<uint64_t>() +
                                                       account.at("unsampled").get<uint64_t>() +
                                                       account.at("missed").get<uint64_t>());
  EXPECT_EQ(account.at("missed"), 0) << account;
  EXPECT_EQ(account.at("lost"), 0) << account;
  std::cout << program << ": RSS " << balance.at("rss_bytes") << ", explained " << balance.at("explained_share")
            << ", page faults " << account.at("counted") << ", touched " << touched(report) << "\n";
}

class Memory : public RealProgram {};

TEST_F(Memory, RedisWhileItSavesAndIsWrittenTo) {
  const std::string socket = folder.file("redis");
  Child server({.arguments = {"/usr/bin/redis-server", "--port", "0", "--unixsocket", socket, "--save", "", "--dir",
                              folder.path().string()}},
               deadline);
  while (server.read_line().find("ready to accept connections") == std::string::npos) {
  }
  const auto cli = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"/usr/bin/redis-cli", "-s", socket});
    return run(std::move(arguments), deadline);
  };
  const std::string fill = "for i=1,20000 do redis.call('set', 'key'..i, string.rep('v', 1000)) end return 'ok'";
  Tracer tracer({server.pid()}, deadline, {"--growth"});
  const json before = tracer.snapshot();
  cli({"eval", fill, "0"});
  const json filled = tracer.snapshot();
  expect_explained("redis-server, filled", filled);
  EXPECT_GE(touched(filled) - touched(before), (resident(filled) - resident(before)) * 99 / 100);

  // From the fork for saving on, each page that is written to is copied: a fault, and no growth.
  cli({"config", "set", "rdb-key-save-delay", "200"});  // so that it lasts until all is written
  cli({"bgsave"});
  cli({"eval", fill, "0"});
  const json saved = tracer.snapshot();
  expect_explained("redis-server, saved", saved);
  EXPECT_GE(touched(saved) - touched(filled), 10u << 20);
  EXPECT_EQ(tracer.finish().exit_code, 0);
  cli({"shutdown", "nosave"});  // ends the child, too
}

TEST_F(Memory, NginxUnderLoad) {
  const uint16_t port = free_port();
  std::ofstream(folder.file("index.html")) << std::string(20000, 'a');
  std::ofstream(folder.file("nginx.conf"))
      << "daemon off; user root; worker_processes 1; pid pid; error_log stderr notice;\n"
      << "events { worker_connections 64; }\nhttp { access_log off; gzip on; gzip_types text/html;\n"
      << "server { listen 127.0.0.1:" << port << "; root " << folder.path().string() << "; } }\n";
  Child server(
      {.arguments = {"/usr/sbin/nginx", "-p", folder.path().string(), "-c", folder.file("nginx.conf"), "-e", "stderr"},
       .namespaces = CLONE_NEWPID},
      deadline);
  server.wait_error_text("start worker process ");
  const pid_t worker = child_of(server.pid());
  Tracer tracer({worker}, deadline, {"--growth", "--fault-interval", "1"});  // it hardly grows: some 20 faults
  Child load({.arguments = {"/usr/bin/ab", "-q", "-n", "5000", "-c", "4", "-H", "Accept-Encoding: gzip",
                            "http://127.0.0.1:" + std::to_string(port) + "/index.html"}},
             deadline);
  EXPECT_EQ(load.wait_exit(), 0) << load.error_text();
  const json loaded = tracer.snapshot();
  expect_explained("nginx", loaded);
  EXPECT_GT(touched(loaded, "heap") + touched(loaded, "other_anonymous"), 0u);
}

TEST_F(Memory, PythonThreadsEachWithItsOwnMemory) {
  constexpr const char* kScript = R"(
import json, os, sys, threading
kept = []
def keep():
    block = bytearray(12 << 20)
    block[::4096] = bytes(range(256)) * 12
    kept.append((threading.get_native_id(), block))
    threading.Event().wait()
print("ready", os.getpid(), flush=True)
for line in sys.stdin:
    if line == "threads\n":
        for _ in range(4):
            threading.Thread(target=keep, daemon=True).start()
        while len(kept) < 4:
            threading.Event().wait(0.01)
    print(json.dumps({"tids": [tid for tid, _ in kept]}), flush=True)
)";
  Workload python(std::vector<std::string>{"/usr/bin/python3", "-c", kScript}, deadline);
  Tracer tracer({python.pid()}, deadline, {"--growth", "--fault-interval", "1"});
  const json before = tracer.snapshot();
  const json truth = python.go("threads");
  const json after = tracer.snapshot();
  expect_explained("python3", after);
  for (const json& tid : truth.at("tids")) {
    uint64_t bytes = 0;
    for (const json& thread : after.at("touched").at("threads"))
      if (thread.at("tid") == tid) bytes += thread.at("touched_bytes").get<uint64_t>();
    EXPECT_NEAR(static_cast<double>(bytes), 12.0 * (1 << 20), 0.02 * 12 * (1 << 20)) << tid;
  }
  EXPECT_GE(anonymous_touched(after) - anonymous_touched(before), (anonymous(after) - anonymous(before)) * 98 / 100);
}

TEST_F(Memory, PostgresBackendTouchesSharedMemory) {
  const passwd* user = getpwnam("postgres");
  ASSERT_NE(user, nullptr) << "the Debian package postgresql makes this user";
  ASSERT_EQ(chown(folder.path().c_str(), user->pw_uid, user->pw_gid), 0);
  std::string bin = run({"/bin/sh", "-c", "echo /usr/lib/postgresql/*/bin"}, deadline);
  bin.pop_back();
  const std::string data = folder.file("data");
  Child initdb({.arguments = {bin + "/initdb", "-D", data, "-N", "--locale=C", "-E", "UTF8", "-A", "trust"},
                .user = user->pw_uid},
               deadline);
  ASSERT_EQ(initdb.wait_exit(), 0) << initdb.error_text();
  Child server({.arguments = {bin + "/postgres", "-D", data, "-k", folder.path().string(), "-h", "", "-c", "fsync=off",
                              "-c", "shared_buffers=64MB", "-c", "max_parallel_workers_per_gather=0"},
                .user = user->pw_uid},
               deadline);
  server.wait_error_text("ready to accept connections");
  Child client({.arguments = {bin + "/psql", "-h", folder.path().string(), "-U", "postgres", "-d", "postgres", "-qAt"}},
               deadline);
  client.write("select pg_backend_pid();\n");
  const pid_t backend = std::stoi(client.read_line());
  Tracer tracer({backend, server.pid()}, deadline, {"--growth"});
  client.write("create table t as select g, repeat('x', 500) as v from generate_series(1, 40000) g;\n");
  client.write("select count(*), sum(length(v)) from t;\n");
  EXPECT_EQ(client.read_line(), "40000|20000000");
  for (const json& report : tracer.snapshots(2)) {
    const bool is_backend = report.at("process").at("pid") == backend;
    expect_explained(is_backend ? "postgres backend" : "postmaster", report);
    // The rows are 20 MB in buffers that this process sees for the first time; a read fault can bring 16 pages.
    if (is_backend) {
      EXPECT_GE(touched(report, "shared"), 4u << 20) << report.at("touched").at("kinds");
    }
  }
  client.close_input();
  EXPECT_EQ(client.wait_exit(), 0);
  EXPECT_EQ(tracer.finish().exit_code, 0);
  server.signal(SIGINT);
  EXPECT_EQ(server.wait_exit(), 0) << server.error_text();
}

TEST_F(Memory, NodeWithItsOwnHeapAndCompiler) {
  constexpr const char* kScript = R"(
const kept = [];
console.log('ready ' + process.pid);
require('readline').createInterface({input: process.stdin}).on('line', line => {
  if (line === 'keep') for (let i = 0; i < 200000; i++) kept.push({number: i, text: 'text ' + i});
  console.log(JSON.stringify({kept: kept.length}));
});
)";
  Workload node(std::vector<std::string>{"/usr/bin/node", "-e", kScript}, deadline);
  Tracer tracer({node.pid()}, deadline, {"--growth", "--fault-interval", "1"});
  const json before = tracer.snapshot();
  EXPECT_EQ(node.go("keep").at("kept"), 200000);
  const json after = tracer.snapshot();
  expect_explained("node", after);
  EXPECT_GE(anonymous_touched(after) - anonymous_touched(before), (anonymous(after) - anonymous(before)) * 98 / 100);
  EXPECT_GE(touched(after, "other_anonymous"), 10u << 20) << "V8 maps its heap itself";
}

}  // namespace
}  // namespace alloctrail::test
