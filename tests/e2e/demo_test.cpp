// SPDX-License-Identifier: Apache-2.0
// The demo's story: of five busy threads one leaks, and the report names it, its function and its line.
#include <gtest/gtest.h>

#include <fstream>
#include <string>
#include <vector>

#include "tests/e2e/real_program.h"
#include "tests/support/report.h"
#include "tests/support/tracer.h"

namespace alloctrail::test {
namespace {

using nlohmann::json;

class Demo : public RealProgram {
 protected:
  void SetUp() override {
    RealProgram::SetUp();
    ASSERT_TRUE(demo.read_line().starts_with("ready "));
  }

  static int leaking_line() {
    std::ifstream source(WORKLOAD_SOURCE_DIR "/demo.cpp");
    int number = 1;
    for (std::string line; std::getline(source, line) && line.find("new AuditRecord") == std::string::npos;) ++number;
    return number;
  }

  Child demo{{.arguments = {WORKLOAD_DIR "/demo"}}, deadline};
};

TEST_F(Demo, LeakingThreadAndLineComeFirst) {
  Tracer tracer({demo.pid()}, deadline);
  json report = tracer.snapshot();
  while (amount(report.at("totals"), "outstanding").bytes < 4U << 20) report = tracer.snapshot();
  EXPECT_EQ(report.at("threads").at(0).at("name"), "audit");
  const json& site = report.at("sites").at(0);
  EXPECT_EQ(site.at("thread"), "audit");
  EXPECT_EQ(site.at("name"), "AuditTrail::add_record");
  bool found = false;
  for (const json& frame : site.at("stack"))
    found |= frame.at("function").get<std::string>().find("AuditTrail::add_record") != std::string::npos &&
             frame.at("line") == leaking_line();
  EXPECT_TRUE(found) << site.at("stack");
  EXPECT_EQ(tracer.finish().exit_code, 0);
}

TEST_F(Demo, TextReportNamesThreadFunctionAndLine) {
  const std::string text =
      run({Tracer::binary(), "report", "-p", std::to_string(demo.pid()), "--interval", "1s", "--count", "2"}, deadline);
  for (const std::string& part :
       {std::string("audit"), std::string("AuditTrail::add_record"), "demo.cpp:" + std::to_string(leaking_line())})
    EXPECT_NE(text.find(part), std::string::npos) << part << " in:\n" << text;
}

// From a thread's start down: the audit trail's records are below one place, and the places add up to the process.
TEST_F(Demo, CallTreeLeadsFromTheThreadsStartToTheLeak) {
  Tracer tracer({demo.pid()}, deadline, {"--stacks", "tree"});
  json report = tracer.snapshot();
  while (amount(report.at("totals"), "outstanding").bytes < 4U << 20) report = tracer.snapshot();
  EXPECT_EQ(tracer.finish().exit_code, 0);
  uint64_t below_roots = report.at("call_tree_frameless").at("bytes");
  std::vector<std::string> way;
  bool found = false;
  for (const json& node : report.at("call_tree")) {
    const json& frame = node.at("frame");
    way.resize(node.at("depth").get<size_t>());
    way.push_back(frame.at("function"));
    if (way.size() == 1) below_roots += node.at("bytes").get<uint64_t>();
    if (way.back().find("AuditTrail::add_record") == std::string::npos || frame.at("line") != leaking_line()) continue;
    found = true;
    EXPECT_TRUE(way.front() == "clone3" || way.front() == "__clone3") << way.front();
    EXPECT_GE(node.at("bytes"), report.at("sites").at(0).at("outstanding_bytes"));
  }
  EXPECT_TRUE(found) << report.at("call_tree");
  EXPECT_EQ(below_roots, amount(report.at("totals"), "outstanding").bytes);
}

TEST_F(Demo, TextReportDrawsTheCallTree) {
  const std::string text = run({Tracer::binary(), "report", "-p", std::to_string(demo.pid()), "--interval", "1s", "--count",
                                "2", "--stacks", "tree"},
                               deadline);
  const size_t tree = text.rfind("CALL TREE by outstanding bytes");
  ASSERT_NE(tree, std::string::npos) << text;
  EXPECT_NE(text.find("demo.cpp:" + std::to_string(leaking_line()), tree), std::string::npos) << text;
}

}  // namespace
}  // namespace alloctrail::test
