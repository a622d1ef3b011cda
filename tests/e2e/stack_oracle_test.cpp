// SPDX-License-Identifier: Apache-2.0
// Stacks of Debian's own programs, which have no frame pointers, against libgcc's unwinder at thousands of their
// allocations and against gdb at twenty: no wrong frame, and at least 99.5 % reach the thread's start.
#include <gtest/gtest.h>
#include <sched.h>

#include <functional>
#include <string>

#include "tests/e2e/real_program.h"
#include "tests/e2e/stack_oracle.h"
#include "tests/support/report.h"
#include "tests/support/tracer.h"
#include "tests/support/workload.h"

namespace alloctrail::test {
namespace {

using nlohmann::json;

constexpr uint64_t kFewestStacks = 5000;
constexpr double kLeastComplete = 0.995;
constexpr int kStacksInGdb = 20;

class StackOracleTest : public RealProgram {
 protected:
  std::vector<std::string> with_oracle(std::vector<std::string> more = {}) const {
    std::vector<std::string> environment = oracle.environment();
    environment.insert(environment.end(), more.begin(), more.end());
    return environment;
  }

  /// Traces while `work` runs, looking at every Nth of its mallocs. `last_report` asks for the report when it is done.
  void compare(pid_t pid, uint64_t nth, const std::function<void()>& work,
               const std::function<json(Tracer&)>& last_report) {
    Tracer tracer({pid}, deadline);
    Debugger gdb(pid, kStacksInGdb, deadline);
    oracle.look_at_every(nth);
    work();
    const json report = last_report(tracer);
    const StackTruth truth = oracle.truth_of(pid);
    const StackComparison comparison = compare_stacks(report, truth);
    std::cout << comparison;
    EXPECT_GE(comparison.compared(), kFewestStacks);
    EXPECT_EQ(comparison.wrong, 0U);
    EXPECT_EQ(comparison.missing, 0U);
    EXPECT_GE(static_cast<double>(comparison.equal), kLeastComplete * static_cast<double>(comparison.compared()));
    expect_nothing_lost(report);
    EXPECT_EQ(counted(report, "stack_full_calls"), 0U);

    const auto whole = whole_stacks(report, truth.allocating);
    const std::vector<CallStack> in_gdb = gdb.wait(truth.allocating);
    EXPECT_EQ(in_gdb.size(), size_t{kStacksInGdb});
    for (const CallStack& stack : in_gdb) EXPECT_TRUE(whole.contains(stack)) << testing::PrintToString(stack);
  }

  /// For programs that go on: the oracle stops looking, then the report is asked for.
  json report_now(Tracer& tracer) {
    oracle.look_no_more();
    return tracer.snapshot();
  }

  StackOracle oracle{folder};
};

TEST_F(StackOracleTest, RedisServer) {
  const std::string socket = folder.file("redis");
  Child server({.arguments = {"/usr/bin/redis-server", "--port", "0", "--unixsocket", socket, "--save", "", "--dir",
                              folder.path().string()},
                .environment = with_oracle()},
               deadline);
  while (server.read_line().find("ready to accept connections") == std::string::npos) {
  }
  compare(
      server.pid(), 3,
      [&] {
        run({"/usr/bin/redis-benchmark", "-s", socket, "-n", "1000", "-c", "4", "-q", "-t",
             "set,get,lpush,lpop,sadd,hset,zadd,lrange,mset"},
            deadline);
        const std::string script =
            "local t = {} for i = 1, 500 do t[i] = cjson.encode({i, i}) redis.call('zadd', 'z', i, t[i]) end return #t";
        run({"/usr/bin/redis-cli", "-s", socket, "eval", script, "0"}, deadline);
      },
      [&](Tracer& tracer) { return report_now(tracer); });
}

TEST_F(StackOracleTest, NginxWorker) {
  const uint16_t port = free_port();
  Child server({.arguments = nginx_command(folder.path().string(), port),
                .environment = with_oracle(),
                .namespaces = CLONE_NEWPID},
               deadline);
  server.wait_error_text("start worker process ");
  compare(
      child_of(server.pid()), 1,
      [&] {
        const std::string url = "http://127.0.0.1:" + std::to_string(port);
        for (const char* path : {"/index.html", "/", "/missing"})
          run({"/usr/bin/ab", "-q", "-n", "1200", "-c", "4", "-H", "Accept-Encoding: gzip", url + path}, deadline);
      },
      [&](Tracer& tracer) { return report_now(tracer); });
}

TEST_F(StackOracleTest, Python3) {
  const char* script = R"PY(
import decimal, email, hashlib, http.client, json, os, re, sqlite3, sys, xml.etree.ElementTree, zlib
print("ready", os.getpid(), flush=True)
for line in sys.stdin:
    text = json.dumps([{"id": i, "name": "n%d" % i, "values": [i * 0.5] * 3} for i in range(300)])
    json.loads(text)
    xml.etree.ElementTree.fromstring("<a>" + "<b x='1'>t</b>" * 300 + "</a>")
    re.compile("(a|b)*c[0-9]+(?P<name>x)").findall(text)
    zlib.compress(text.encode())
    database = sqlite3.connect(":memory:")
    database.execute("create table t(a, b)")
    database.executemany("insert into t values (?, ?)", [(i, str(i)) for i in range(300)])
    sorted(database.execute("select b, count(*) from t group by b"), key=lambda row: hashlib.md5(row[0].encode()).digest())
    print("{}", flush=True)
)PY";
  Workload python({.arguments = {"/usr/bin/python3", "-c", script},
                   .environment = with_oracle({"PYTHONMALLOC=malloc", "PYTHONHASHSEED=1"})},
                  deadline);
  compare(
      python.pid(), 3, [&] { python.go(); }, [&](Tracer& tracer) { return report_now(tracer); });
}

TEST_F(StackOracleTest, Sqlite3) {
  Child shell({.arguments = {"/usr/bin/stdbuf", "-oL", "/usr/bin/sqlite3", "-batch", ":memory:"}, .environment = with_oracle()}, deadline);
  compare(
      shell.pid(), 1,
      [&] {
        shell.write(
            "create table t(id integer primary key, text); create index i on t(text);\n"
            "insert into t(text) with recursive n(i) as (select 1 union all select i+1 from n where i<3000) select "
            "printf('%0100d', i) from n;\n"
            "select count(distinct substr(text, 90)), json_array_length(json_group_array(text)) from t;\n"
            "select a.id from t a join t b on a.text = b.text where a.id < 20 order by b.text desc limit 3;\n"
            ".schema\n.print done\n.output /dev/null\n");
        while (shell.read_line() != "done") {
        }
      },
      [&](Tracer& tracer) { return report_now(tracer); });
}

TEST_F(StackOracleTest, Clang) {
  Child compiler({.arguments = {"/usr/bin/clang-14", "-x", "c", "-O1", "-c", "-", "-o", "/dev/null"},
                  .environment = with_oracle()},
                 deadline);
  compare(
      compiler.pid(), 1,
      [&] {
        std::string source = "#include <stdio.h>\nstruct s { int a; struct s *next; };\n";
        for (int i = 0; i < 12; ++i) {
          const std::string name = "f" + std::to_string(i);
          source += "int " + name + "(struct s *p, int n) { int sum = 0; for (int i = 0; i < n; i++) { while (p) { sum " +
                    "+= p->a * i; p = p->next; } if (sum > 100) printf(\"%d\\n\", sum); } return sum; }\n";
        }
        compiler.write(source);
        compiler.close_input();
        EXPECT_EQ(compiler.wait_exit(), 0) << compiler.error_text();
      },
      [](Tracer& tracer) { return tracer.wait_end().reports.back(); });
}

}  // namespace
}  // namespace alloctrail::test
