// SPDX-License-Identifier: Apache-2.0
// Names of code that is gone by the time of the report: unloaded, deleted, in a container that has ended.
#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>

#include <filesystem>
#include <string>

#include "tests/support/kernel_test.h"
#include "tests/support/program_root.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tracer.h"
#include "tests/support/workload.h"

namespace alloctrail::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

class Names : public KernelTest {
 protected:
  /// The first frame of a function in any of the sites, or null.
  static json frame_of(const json& report, const std::string& function) {
    for (const json& site : report.at("sites"))
      for (const json& frame : site.at("stack"))
        if (frame.at("function").get<std::string>() == function) return frame;
    return {};
  }

  TempDir folder_;
};

TEST_F(Names, OfAProgramThatIsKilledInAContainerWithoutFiles) {
  fill_root(folder_.path(), WORKLOAD_DIR "/cases", deadline);
  Workload workload({.arguments = {"/cases", "malloc_small"},
                     .namespaces = CLONE_NEWPID | CLONE_NEWNS,
                     .root = folder_.path().string()},
                    deadline);
  for (const auto& entry : fs::directory_iterator(folder_.path())) fs::remove_all(entry.path());
  Tracer tracer({workload.pid()}, deadline);
  workload.go();
  workload.child().signal(SIGKILL);
  EXPECT_EQ(workload.child().wait_exit(), 128 + SIGKILL);
  const Tracer::End end = tracer.wait_end();
  ASSERT_EQ(end.reports.size(), 1U) << end.error_text;
  for (const char* function : {"case_malloc_small", "main"}) {
    const json frame = frame_of(end.reports.front(), function);
    ASSERT_TRUE(frame.is_object()) << function << "\n" << end.reports.front().at("sites");
    EXPECT_EQ(frame.at("module"), (folder_.path() / "cases").string());
    EXPECT_TRUE(frame.at("file").get<std::string>().ends_with("cases.c")) << frame;
    EXPECT_GT(frame.at("line"), 0);
  }
}

TEST_F(Names, OfALibraryThatWasUnloadedAndDeleted) {
  const fs::path library = folder_.path() / "plugin.so";
  fs::copy_file(STACK_WORKLOAD_DIR "/stacks_plugin_64.so", library);
  Workload workload({STACK_WORKLOAD_DIR "/stacks_plugins", library.string()}, deadline);
  Tracer tracer({workload.pid()}, deadline);
  workload.go("load 0");
  tracer.snapshot();  // it has been told of the library
  workload.go("call");
  workload.go("unload");
  fs::remove(library);
  const json report = tracer.snapshot();
  for (const char* function : {"call_from_inside", "plugin_call"}) {
    const json frame = frame_of(report, function);
    ASSERT_TRUE(frame.is_object()) << function << "\n" << report.at("sites");
    EXPECT_EQ(frame.at("module"), library.string());
  }
}

TEST_F(Names, OfALibraryThatWasLoadedUsedAndUnloadedBeforeItCouldBeLookedAt) {
  // The tracer stands still meanwhile: it learns of all of it afterwards, and must not name the place wrongly.
  const fs::path library = folder_.path() / "plugin.so";
  fs::copy_file(STACK_WORKLOAD_DIR "/stacks_plugin_64.so", library);
  Workload workload({STACK_WORKLOAD_DIR "/stacks_plugins", library.string()}, deadline);
  Tracer tracer({workload.pid()}, deadline);
  tracer.child().signal(SIGSTOP);
  workload.go("load 0");
  workload.go("call");
  workload.go("unload");
  tracer.child().signal(SIGCONT);
  const json report = tracer.snapshot();
  for (const json& site : report.at("sites"))
    for (const json& frame : site.at("stack")) {
      const bool is_in_plugin = frame.at("module") == library.string();
      const std::string function = frame.at("function");
      EXPECT_TRUE(!is_in_plugin || function.empty() || function == "call_from_inside" || function == "plugin_call")
          << frame;
    }
  EXPECT_TRUE(frame_of(report, "allocate_for_plugin").is_object()) << report.at("sites");
}

}  // namespace
}  // namespace alloctrail::test
