// SPDX-License-Identifier: Apache-2.0
// Real programs that map memory: whatever they do, the system calls add up to /proc/PID/maps, and the allocator's maps
// are told from the program's own.
#include <gtest/gtest.h>
#include <pwd.h>

#include <filesystem>
#include <string>

#include "tests/e2e/real_program.h"
#include "tests/support/report.h"
#include "tests/support/tracer.h"
#include "tests/support/workload.h"

namespace alloctrail::test {
namespace {

using nlohmann::json;

constexpr uint64_t kMiB = 1 << 20;

class Mappings : public RealProgram {
 protected:
  /// Nothing lost, nothing that /proc/PID/maps knows better.
  static void expect_explained(const json& report) {
    const json& mapped = report.at("mapped");
    EXPECT_TRUE(mapped.at("maps").at("compared").get<bool>());
    EXPECT_EQ(mapped.at("maps").at("missing_bytes"), 0);
    EXPECT_EQ(mapped.at("maps").at("excess_bytes"), 0);
    EXPECT_EQ(mapped.at("maps").at("access_bytes"), 0);
    EXPECT_EQ(mapped.at("calls").at("lost"), 0);
    EXPECT_EQ(mapped.at("calls").at("missed"), 0);
    EXPECT_TRUE(mapped.at("balanced").get<bool>());
  }

  static uint64_t since_attach(const json& report, const std::string& kind) {
    const json& kinds = report.at("mapped").at("kinds");
    return kinds.contains(kind) ? kinds.at(kind).at("since_attach").at("bytes").get<uint64_t>() : 0;
  }

  /// Bytes that a thread of this name has mapped from a stack through this function.
  static uint64_t mapped_by(const json& report, const std::string& thread, const std::string& kind) {
    uint64_t sum = 0;
    for (const json& row : report.at("mappings"))
      if (row.at("origin") == "call" && row.at("thread") == thread && row.at("kind") == kind)
        sum += row.at("bytes").get<uint64_t>();
    return sum;
  }
};

constexpr const char* kPythonScript = R"(
import ctypes, mmap, os, sys, threading
kept = []
go, done = threading.Semaphore(0), threading.Semaphore(0)
def worker():
    name = threading.current_thread().name.encode()
    ctypes.CDLL(None).prctl(15, name, 0, 0, 0)
    go.acquire()
    kept.append(mmap.mmap(-1, 64 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))
    mmap.mmap(-1, 32 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS).close()
    kept.append(bytearray(16 << 20))
    done.release()
    threading.Event().wait()
threads = [threading.Thread(target=worker, name="mapper-%d" % i, daemon=True) for i in range(3)]
for thread in threads: thread.start()
print("ready", os.getpid(), flush=True)
for line in sys.stdin:
    for thread in threads: go.release()
    for thread in threads: done.acquire()
    print("{}", flush=True)
)";

TEST_F(Mappings, PythonThreadsThatMapAndAllocate) {
  Workload python(std::vector<std::string>{"/usr/bin/python3", "-c", kPythonScript}, deadline);
  Tracer tracer({python.pid()}, deadline);
  python.go();
  const json report = tracer.snapshot();
  expect_explained(report);
  for (const std::string thread : {"mapper-0", "mapper-1", "mapper-2"}) {
    EXPECT_EQ(mapped_by(report, thread, "anonymous"), 64 * kMiB) << thread;
    EXPECT_GE(mapped_by(report, thread, "allocator"), 16 * kMiB) << thread;
  }
}

TEST_F(Mappings, JemallocInRedisItsPurgesAndAForkToSave) {
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
  Tracer tracer({server.pid()}, deadline);
  run({"/usr/bin/redis-benchmark", "-s", socket, "-t", "set", "-n", "60000", "-r", "1000000000", "-d", "1000", "-P", "8",
       "-c", "4", "-q"},
      deadline);
  const json full = tracer.snapshot();
  expect_explained(full);
  EXPECT_GT(since_attach(full, "allocator"), 50 * kMiB);
  EXPECT_EQ(since_attach(full, "anonymous"), 0);
  cli({"save"});
  cli({"bgsave"});
  cli({"flushall"});
  cli({"memory", "purge"});
  const json purged = tracer.snapshot();
  expect_explained(purged);
  EXPECT_GT(purged.at("mapped").at("given_back_bytes"), 50 * kMiB);
}

TEST_F(Mappings, MuslsOwnMaps) {
  Workload musl({WORKLOAD_DIR "/oracle_musl_static", "4", "2000"}, deadline);
  Tracer tracer({musl.pid()}, deadline);
  musl.go("1");
  const json report = tracer.snapshot();
  expect_explained(report);
  EXPECT_GT(since_attach(report, "allocator"), 0);
  EXPECT_EQ(since_attach(report, "anonymous"), 0);
}

constexpr const char* kNodeScript = R"(
const kept = [];
console.log('ready ' + process.pid);
require('readline').createInterface({input: process.stdin}).on('line', () => {
  for (let i = 0; i < 300000; i++) kept.push({id: i, name: 'n' + i});
  kept.push(Buffer.alloc(64 << 20, 1));
  console.log('{}');
});
)";

TEST_F(Mappings, NodeMapsItsHeapItself) {
  if (!std::filesystem::exists("/usr/bin/node")) return skip_or_fail("package nodejs is not installed");
  Workload node(std::vector<std::string>{"/usr/bin/node", "-e", kNodeScript}, deadline);
  Tracer tracer({node.pid()}, deadline);
  for (int i = 0; i < 3; ++i) {
    node.go();
    expect_explained(tracer.snapshot());
  }
  const json report = tracer.snapshot();
  expect_explained(report);
  EXPECT_GT(since_attach(report, "anonymous"), 20 * kMiB);        // V8's heap
  EXPECT_GE(since_attach(report, "allocator"), 3 * 64 * kMiB);  // the buffers
}

TEST_F(Mappings, PostgresWithItsSharedMemory) {
  const std::string programs = "/usr/lib/postgresql/15/bin/";
  const passwd* user = ::getpwnam("postgres");
  if (!std::filesystem::exists(programs + "postgres") || user == nullptr)
    return skip_or_fail("package postgresql is not installed");
  const std::string data = folder.file("data");
  std::filesystem::create_directory(data);
  ASSERT_EQ(::chown(data.c_str(), user->pw_uid, user->pw_gid), 0);
  Child initdb({.arguments = {programs + "initdb", "-D", data, "-N", "-A", "trust"}, .user = user->pw_uid}, deadline);
  ASSERT_EQ(initdb.wait_exit(), 0) << initdb.error_text();
  Child postgres({.arguments = {programs + "postgres", "--single", "-D", data, "-c", "work_mem=64MB", "postgres"},
                  .user = user->pw_uid},
                 deadline);
  const auto query = [&](const std::string& text, const std::string& answer) {
    postgres.write(text + "\n");
    while (postgres.read_line().find(answer) == std::string::npos) {
    }
  };
  query("select 'first' as answer;", "first");
  Tracer tracer({postgres.pid()}, deadline);
  query("select count(*) || ' rows' as answer from (select i from generate_series(1, 300000) i order by i desc) t;",
        "300000 rows");
  const json report = tracer.snapshot();
  expect_explained(report);
  EXPECT_GT(report.at("mapped").at("kinds").at("shared").at("all").at("bytes"), 100 * kMiB);
  EXPECT_GT(report.at("mapped").at("mapped_bytes"), 8 * kMiB);
}

}  // namespace
}  // namespace alloctrail::test
