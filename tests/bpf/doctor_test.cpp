// SPDX-License-Identifier: Apache-2.0
// alloctrail doctor: what this kernel and this target allow, and where each probe would go.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "tests/support/kernel_test.h"
#include "tests/support/leftovers.h"
#include "tests/support/tracer.h"
#include "tests/support/workload.h"

namespace alloctrail::test {
namespace {

using nlohmann::json;

class Doctor : public KernelTest {};

TEST_F(Doctor, NamesTheKernelsFeatures) {
  const std::string text = run({Tracer::binary(), "doctor"}, deadline);
  for (const char* feature : {"BTF", "session", "multi", "perf"})
    EXPECT_NE(text.find(feature), std::string::npos) << text;
}

TEST_F(Doctor, SaysHowTheWorkerThatReadsSymbolsIsConfined) {
  const json document = json::parse(run({Tracer::binary(), "doctor", "--json"}, deadline));
  const json& steps = document.at("symbol_worker").at("confinement");
  EXPECT_EQ(steps.size(), 5U);
  for (const json& step : steps) EXPECT_TRUE(step.at("in_force")) << step;
}

TEST_F(Doctor, NamesTheProbesOfATargetAndTouchesNothing) {
  Workload workload({WORKLOAD_DIR "/blocks", "10", "10"}, deadline);
  const std::string text = run({Tracer::binary(), "doctor", "-p", std::to_string(workload.pid())}, deadline);
  for (const char* name : {"libc.so.6", "malloc", "calloc", "realloc", "posix_memalign", "free"})
    EXPECT_NE(text.find(name), std::string::npos) << text;
  EXPECT_EQ(changed_text(workload.pid()), std::vector<std::string>{});
}

TEST_F(Doctor, SaysThatATargetHasNoAllocator) {
  Workload workload({WORKLOAD_DIR "/no_allocator"}, deadline);
  Child doctor({.arguments = {Tracer::binary(), "doctor", "-p", std::to_string(workload.pid())}}, deadline);
  doctor.wait_exit();
  EXPECT_NE((doctor.output_text() + doctor.error_text()).find("no allocator"), std::string::npos)
      << doctor.output_text() << doctor.error_text();
}

}  // namespace
}  // namespace alloctrail::test
