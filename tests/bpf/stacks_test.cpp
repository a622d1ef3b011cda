// SPDX-License-Identifier: Apache-2.0
// Which code holds the memory: function, module, file and line of the call, in the program's own source.
#include <gtest/gtest.h>

#include <fstream>
#include <string>

#include "tests/support/kernel_test.h"
#include "tests/support/report.h"
#include "tests/support/tracer.h"
#include "tests/support/workload.h"

namespace alloctrail::test {
namespace {

using nlohmann::json;

class Stacks : public KernelTest {
 protected:
  /// Number of the first line of a workload's source that contains `text`.
  static int line_of(const std::string& source, const std::string& text) {
    std::ifstream file(std::string(WORKLOAD_SOURCE_DIR "/") + source);
    int number = 0;
    for (std::string line; std::getline(file, line);) {
      ++number;
      if (line.find(text) != std::string::npos) return number;
    }
    throw std::runtime_error(source + " has no line with " + text);
  }

  /// The site's frame of a function, or null.
  static json frame_of(const json& site, const std::string& function) {
    for (const json& frame : site.at("stack"))
      if (frame.at("function").get<std::string>().starts_with(function)) return frame;
    return {};
  }

  json report_of(const std::string& program, const std::string& story) {
    Workload workload({WORKLOAD_DIR "/" + program, story}, deadline);
    Tracer tracer({workload.pid()}, deadline);
    workload.go();
    return tracer.snapshot();
  }
};

TEST_F(Stacks, CallSiteIsNamedByFunctionModuleFileAndLine) {
  const json report = report_of("cases", "malloc_small");
  ASSERT_EQ(report.at("sites").size(), 1U);
  const json frame = frame_of(report.at("sites").front(), "case_malloc_small");
  ASSERT_TRUE(frame.is_object()) << report.at("sites");
  EXPECT_EQ(frame.at("module"), WORKLOAD_DIR "/cases");
  EXPECT_TRUE(frame.at("file").get<std::string>().ends_with("cases.c")) << frame;
  EXPECT_EQ(frame.at("line"), line_of("cases.c", "made(malloc(100 + i), 100 + i)"));
  EXPECT_TRUE(frame.at("address").get<std::string>().starts_with("0x")) << frame;
}

TEST_F(Stacks, WholeStackUpToMainIsThere) {
  const json report = report_of("cases", "malloc_small");
  const json& stack = report.at("sites").front().at("stack");
  EXPECT_TRUE(frame_of(report.at("sites").front(), "main").is_object()) << stack;
}

TEST_F(Stacks, CppNamesAreDemangled) {
  const json report = report_of("cases_new", "new_plain");
  ASSERT_EQ(report.at("sites").size(), 1U);
  const json frame = frame_of(report.at("sites").front(), "(anonymous namespace)::case_new_plain()");
  ASSERT_TRUE(frame.is_object()) << report.at("sites");
  EXPECT_EQ(frame.at("line"), line_of("cases_new.cpp", "made(::operator new(100 + i), 100 + i)"));
}

TEST_F(Stacks, DifferentLinesOfOneFunctionAreDifferentSites) {
  const json report = report_of("cases", "reallocarray_good");
  EXPECT_EQ(report.at("sites").size(), 2U) << report.at("sites");
}

TEST_F(Stacks, AllocationsOfOneLineInOneThreadAreOneSite) {
  const json report = report_of("threads", "many_short_lives");
  EXPECT_EQ(report.at("sites").size(), 100U);
  EXPECT_EQ(outstanding_of_function(report, "make_blocks"), amount(report.at("totals"), "outstanding"));
}

}  // namespace
}  // namespace alloctrail::test
