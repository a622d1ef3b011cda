// SPDX-License-Identifier: Apache-2.0
// The sqlite3 shell filling a table in memory: our growth against its own memory statistics.
#include <gtest/gtest.h>

#include <string>

#include "tests/e2e/real_program.h"
#include "tests/support/leftovers.h"
#include "tests/support/report.h"
#include "tests/support/tracer.h"

namespace alloctrail::test {
namespace {

using nlohmann::json;

class Sqlite : public RealProgram {
 protected:
  /// Lets the shell run statements and returns the line they print last.
  std::string ask(const std::string& statements) {
    shell.write(statements + "\n");
    return shell.read_line();
  }

  void insert(int rows) {
    const std::string count = std::to_string(rows);
    EXPECT_EQ(ask("insert into t(text) with recursive n(i) as (select 1 union all select i+1 from n where i<" + count +
                  ") select printf('%0500d', i) from n; select changes();"),
              count);
  }

  uint64_t memory_used() {
    const std::string first = ask(".stats\n.print end-of-statistics");
    const std::string marker = "Memory Used:";
    const uint64_t bytes = std::stoull(first.substr(first.find(marker) + marker.size()));
    while (shell.read_line() != "end-of-statistics") {
    }
    return bytes;
  }

  Child shell{{.arguments = {"/usr/bin/stdbuf", "-oL", "/usr/bin/sqlite3", "-batch", ":memory:"}}, deadline};
};

TEST_F(Sqlite, GrowthAgreesWithItsStatisticsAndResultsAreUnchanged) {
  EXPECT_EQ(ask("create table t(id integer primary key, text); select 'made';"), "made");
  insert(1000);
  Tracer tracer({shell.pid()}, deadline);
  insert(10000);
  const json before = tracer.snapshot();
  const uint64_t used_before = memory_used();
  insert(40000);
  const json after = tracer.snapshot();
  expect_close("sqlite3, 40,000 rows", growth(before, after), memory_used() - used_before, 0.05);
  EXPECT_EQ(ask("select count(*) || ' ' || sum(length(text)) || ' ' || sum(text + 0) from t;"),
            "51000 25500000 850525500");
  EXPECT_TRUE(after.at("accounting").at("balanced").get<bool>()) << after.at("accounting");
  expect_nothing_lost(after);
  EXPECT_EQ(tracer.finish().exit_code, 0);
  EXPECT_EQ(changed_text(shell.pid()), std::vector<std::string>{});
  EXPECT_EQ(ask("select count(*) from t;"), "51000");
}

}  // namespace
}  // namespace alloctrail::test
