// SPDX-License-Identifier: Apache-2.0
// redis-server on jemalloc, under redis-benchmark: our growth against its own INFO memory.
#include <gtest/gtest.h>

#include <csignal>
#include <stdexcept>
#include <string>

#include "tests/e2e/real_program.h"
#include "tests/support/leftovers.h"
#include "tests/support/memory_cgroup.h"
#include "tests/support/oom_watch.h"
#include "tests/support/report.h"
#include "tests/support/tracer.h"

namespace alloctrail::test {
namespace {

using nlohmann::json;

class Redis : public RealProgram {
 protected:
  void SetUp() override {
    RealProgram::SetUp();
    while (server.read_line().find("ready to accept connections") == std::string::npos) {
    }
  }

  std::string cli(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"/usr/bin/redis-cli", "-s", socket});
    return run(std::move(arguments), deadline);
  }

  uint64_t used_memory() {
    const std::string info = cli({"info", "memory"});
    return std::stoull(info.substr(info.find("used_memory:") + std::string("used_memory:").size()));
  }

  /// Sets many keys of 1,000 bytes and waits until redis has let go of the clients.
  void fill(const std::string& count) {
    run({"/usr/bin/redis-benchmark", "-s", socket, "-t", "set", "-n", count, "-r", "1000000000", "-d", "1000", "-P",
         "8", "-c", "4", "-q"},
        deadline);
  }

  std::string socket = folder.file("redis");
  Child server{{.arguments = {"/usr/bin/redis-server", "--port", "0", "--unixsocket", socket, "--save", "", "--dir",
                              folder.path().string()}},
               deadline};
};

TEST_F(Redis, GrowthAgreesWithInfoMemoryAndDataIsUnchanged) {
  const std::string write_known =
      "for i=1,2000 do redis.call('set', 'known'..i, string.rep('v', i)) end return redis.sha1hex('done')";
  const std::string read_known =
      "local all = {} for i=1,2000 do all[i] = redis.call('get', 'known'..i) end return "
      "redis.sha1hex(table.concat(all))";
  cli({"eval", write_known, "0"});
  const std::string known_before = cli({"eval", read_known, "0"});

  Child load({.arguments = {"/usr/bin/redis-benchmark", "-s", socket, "-t", "set,get,lpush,lpop", "-n", "1000000", "-c",
                            "4", "-q"}},
             deadline);
  Tracer tracer({server.pid()}, deadline);
  load.signal(SIGINT);
  load.wait_exit();
  const json attached = tracer.snapshot();
  const uint64_t used_before = used_memory();

  fill("30000");
  const json filled = tracer.snapshot();
  expect_close("redis-server, 30,000 keys", growth(attached, filled), used_memory() - used_before, 0.08);
  EXPECT_TRUE(filled.at("accounting").at("balanced").get<bool>()) << filled.at("accounting");
  expect_nothing_lost(filled);
  EXPECT_EQ(cli({"eval", read_known, "0"}), known_before);

  EXPECT_EQ(tracer.finish().exit_code, 0);
  EXPECT_EQ(changed_text(server.pid()), std::vector<std::string>{});
  EXPECT_EQ(cli({"eval", read_known, "0"}), known_before);
}

TEST_F(Redis, KilledInItsCgroupTheReportHoldsWhatInfoMemorySaid) {
  const MemoryCgroup cgroup(96u << 20);
  cgroup.take_in(server.pid());
  OomWatch watch({"-p", std::to_string(server.pid())}, deadline);
  const uint64_t before = used_memory();
  // A mebibyte each time; the value's size is near one of the allocator's, so that rounding is small.
  const std::string add = "for i=1,100 do redis.call('rpush', 'list', string.rep('v', 10200)) end return 'ok'";
  uint64_t last = before;
  try {
    while (true) {
      cli({"eval", add, "0"});
      last = used_memory();
    }
  } catch (const std::runtime_error&) {
    // the server is gone
  }
  EXPECT_EQ(server.wait_exit(), 128 + SIGKILL);
  const json report = watch.next_report();
  EXPECT_EQ(watch.child().wait_exit(), 0) << watch.child().error_text();
  EXPECT_EQ(report.at("reason"), "cgroup_limit");
  EXPECT_EQ(report.at("victim").at("pid"), server.pid());
  EXPECT_EQ(report.at("losses").at("threads_not_seen"), 0);
  const uint64_t held = report.at("accounting").at("totals").at("outstanding_bytes");
  expect_close("redis-server, killed", held, last - before, 0.05);
  expect_conserved(report.at("accounting"));
  EXPECT_EQ(cgroup.oom_kills(), 1U);
}

}  // namespace
}  // namespace alloctrail::test
