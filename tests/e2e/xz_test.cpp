// SPDX-License-Identifier: Apache-2.0
// xz with four threads: the compressed file is the same as without a tracer, and all threads are seen.
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <random>
#include <string>

#include "tests/e2e/real_program.h"
#include "tests/support/report.h"
#include "tests/support/tracer.h"

namespace alloctrail::test {
namespace {

using nlohmann::json;

class Xz : public RealProgram {
 protected:
  ChildOptions xz_to(const std::string& file) const {
    return {.arguments = {"/bin/sh", "-c", "exec /usr/bin/xz -3 -T4 --block-size=256KiB -vv -c > " + file}};
  }

  /// Ten million bytes that compress by about a half.
  static std::string some_text() {
    std::mt19937 random(7);
    std::string text;
    while (text.size() < 10'000'000) text += std::to_string(random()) + (random() % 3 == 0 ? " and then " : " or ");
    return text;
  }

  /// What xz itself says it needs: "xz: 123 MiB of memory is required."
  static uint64_t announced_memory(const std::string& messages) {
    const size_t end = messages.find(" MiB of memory is required");
    return std::stoull(messages.substr(messages.rfind(' ', end - 1))) << 20;
  }

  static std::string content(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
};

TEST_F(Xz, CompressesToTheSameBytesAndEveryThreadIsSeen) {
  const std::string text = some_text();
  Child untraced(xz_to(folder.file("untraced.xz")), deadline);
  untraced.write(text);
  untraced.close_input();
  EXPECT_EQ(untraced.wait_exit(), 0);

  Child traced(xz_to(folder.file("traced.xz")), deadline);
  traced.wait_error_text("memory is required");
  Tracer tracer({traced.pid()}, deadline);
  traced.write(text);
  traced.close_input();
  EXPECT_EQ(traced.wait_exit(), 0);
  const Tracer::End end = tracer.wait_end();
  EXPECT_EQ(end.exit_code, 0) << end.error_text;
  ASSERT_EQ(end.reports.size(), 1U);
  const json& report = end.reports.front();
  EXPECT_EQ(report.at("end"), "exited");
  EXPECT_GE(report.at("threads").size(), 4U);
  expect_close("xz -3 -T4", amount(report.at("totals"), "outstanding").bytes, announced_memory(traced.error_text()),
               0.05);
  EXPECT_TRUE(report.at("accounting").at("balanced").get<bool>()) << report.at("accounting");
  expect_nothing_lost(report);
  EXPECT_TRUE(content(folder.file("traced.xz")) == content(folder.file("untraced.xz")));
}

}  // namespace
}  // namespace alloctrail::test
