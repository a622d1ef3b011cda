// SPDX-License-Identifier: Apache-2.0
// An nginx worker under ab: every request is answered, and what requests allocate is given back.
#include <gtest/gtest.h>
#include <sched.h>

#include <string>

#include "tests/e2e/real_program.h"
#include "tests/support/leftovers.h"
#include "tests/support/report.h"
#include "tests/support/tracer.h"

namespace alloctrail::test {
namespace {

using nlohmann::json;

class Nginx : public RealProgram {
 protected:
  std::vector<std::string> ab(const std::string& requests) const {
    return {"/usr/bin/ab",
            "-q",
            "-n",
            requests,
            "-c",
            "4",
            "-H",
            "Accept-Encoding: gzip",
            "http://127.0.0.1:" + std::to_string(port) + "/index.html"};
  }

  static void expect_all_answered(const std::string& output, const std::string& requests) {
    EXPECT_NE(output.find("Complete requests:      " + requests + "\n"), std::string::npos) << output;
    EXPECT_NE(output.find("Failed requests:        0\n"), std::string::npos) << output;
    EXPECT_EQ(output.find("Non-2xx responses"), std::string::npos) << output;
  }

  const uint16_t port = free_port();
};

TEST_F(Nginx, AnswersEveryRequestAndReturnsWhatRequestsAllocate) {
  // In a pid namespace of its own, so that the worker ends with the master however the test ends.
  Child server({.arguments = nginx_command(folder.path().string(), port), .namespaces = CLONE_NEWPID}, deadline);
  server.wait_error_text("start worker process ");
  const pid_t worker = child_of(server.pid());
  Child load({.arguments = ab("20000")}, deadline);
  Tracer tracer({worker}, deadline);
  EXPECT_EQ(load.wait_exit(), 0) << load.error_text();
  expect_all_answered(load.output_text(), "20000");
  const json busy = tracer.snapshot();
  expect_all_answered(run(ab("3000"), deadline), "3000");
  const json report = tracer.snapshot();
  const Amount allocated = amount(report.at("totals"), "allocated");
  const Amount before = amount(busy.at("totals"), "allocated");
  std::cout << "nginx worker: " << (allocated.blocks - before.blocks) / 3000.0 << " blocks and "
            << (allocated.bytes - before.bytes) / 3000 << " bytes a request, "
            << amount(report.at("totals"), "outstanding") << " outstanding\n";
  EXPECT_GE(allocated.blocks - before.blocks, 3000U);
  EXPECT_LE(amount(report.at("totals"), "outstanding").bytes, 1U << 20);
  EXPECT_TRUE(report.at("accounting").at("balanced").get<bool>()) << report.at("accounting");
  expect_nothing_lost(report);
  EXPECT_EQ(tracer.finish().exit_code, 0);
  EXPECT_EQ(changed_text(worker), std::vector<std::string>{});
  expect_all_answered(run(ab("1000"), deadline), "1000");
}

}  // namespace
}  // namespace alloctrail::test
