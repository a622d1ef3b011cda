// SPDX-License-Identifier: Apache-2.0
// What cannot work ends with the right exit code and says what, on what, why, and what to do; never a crash or a hang.
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "tests/support/kernel_test.h"
#include "tests/support/leftovers.h"
#include "tests/support/report.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tracer.h"
#include "tests/support/workload.h"

namespace alloctrail::test {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

constexpr int kFailed = 1;
constexpr int kUsage = 2;
constexpr int kNotSupported = 77;

class BadInput : public KernelTest {
 protected:
  ChildOptions command(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), Tracer::binary());
    return {.arguments = std::move(arguments)};
  }

  /// Runs alloctrail to its end, which must come by itself, with this exit code and all of `words` in what it says.
  void expect_refused(ChildOptions options, int exit_code, const std::vector<std::string>& words) {
    Child child(std::move(options), deadline);
    EXPECT_EQ(child.wait_exit(), exit_code) << child.error_text();
    for (const std::string& word : words)
      EXPECT_NE(child.error_text().find(word), std::string::npos) << "'" << word << "' in:\n" << child.error_text();
    EXPECT_EQ(child.output_text(), "");
  }

  Workload workload() { return Workload({WORKLOAD_DIR "/blocks", "100", "100"}, deadline); }
};

std::string text(pid_t pid) {
  return std::to_string(pid);
}

TEST_F(BadInput, WithoutRootItSaysWhatIsMissing) {
  Workload target = workload();
  TempDir folder;
  fs::copy_file(Tracer::binary(), folder.path() / "alloctrail");
  ChildOptions options{.arguments = {folder.file("alloctrail"), "report", "-p", text(target.pid())}};
  options.user = 65534;
  expect_refused(options, kNotSupported, {"alloctrail: ", "root"});
}

TEST_F(BadInput, NoSuchProcess) {
  pid_t gone = 0;
  {
    Workload target = workload();
    gone = target.pid();
  }
  expect_refused(command({"report", "-p", text(gone)}), kFailed, {"alloctrail: ", text(gone), "no process"});
}

TEST_F(BadInput, ProcessThatIsDeadAlreadyButNotReaped) {
  const pid_t zombie = ::fork();
  if (zombie == 0) ::_exit(0);
  wait_until_zombie(zombie, deadline);
  Child child(command({"report", "-p", text(zombie)}), deadline);
  EXPECT_EQ(child.wait_exit(), kFailed);
  EXPECT_NE(child.error_text().find(text(zombie)), std::string::npos) << child.error_text();
  ::waitpid(zombie, nullptr, 0);
}

TEST_F(BadInput, KernelThread) {
  expect_refused(command({"report", "-p", "2"}), kNotSupported, {"alloctrail: ", "2", "kernel thread"});
}

TEST_F(BadInput, ThirtyTwoBitProcess) {
  Workload target({WORKLOAD_DIR "/no_allocator_32"}, deadline);
  expect_refused(command({"report", "-p", text(target.pid())}), kNotSupported, {text(target.pid()), "32-bit"});
  EXPECT_EQ(target.finish(), 0);
}

TEST_F(BadInput, ProcessWithoutAnyAllocator) {
  Workload target({WORKLOAD_DIR "/no_allocator"}, deadline);
  expect_refused(command({"report", "-p", text(target.pid())}), kNotSupported,
                 {text(target.pid()), "no allocator", "doctor"});
  EXPECT_EQ(target.finish(), 0);
}

TEST_F(BadInput, ProcessesThatExitDuringTheAttach) {
  std::mt19937 random(1);
  for (int round = 0; round < 50; ++round) {
    auto target = std::make_unique<Workload>(std::vector<std::string>{WORKLOAD_DIR "/blocks", "10", "10"}, deadline);
    const std::string pid = text(target->pid());
    Child child(command({"report", "-p", pid, "--json-lines", "--interval", "1h"}), deadline);
    for (auto spins = random() % 20000000; spins > 0; --spins) asm volatile("");
    target.reset();
    const int code = child.wait_exit();
    EXPECT_TRUE(code == 0 || code == kFailed) << "exit code " << code << "\n" << child.error_text();
    EXPECT_NE(child.error_text().find(pid), std::string::npos) << child.error_text();
  }
}

TEST_F(BadInput, MappedFilesThatAreNotElfAreNoObstacle) {
  TempDir folder;
  std::ofstream(folder.file("notes.txt")) << "not a program\n" << std::string(5000, 'x');
  std::ofstream(folder.file("liar.so")) << "\177ELF\2\1\1" << std::string(5000, '\xff');
  for (const char* name : {"notes.txt", "liar.so"}) {
    Workload target({WORKLOAD_DIR "/maps_file", folder.file(name)}, deadline);
    Tracer tracer({target.pid()}, deadline);
    const json truth = target.go();
    expect_equals_truth(tracer.snapshot(), truth);
    EXPECT_EQ(tracer.finish().exit_code, 0);
  }
}

TEST_F(BadInput, TruncatedLibraryIsNoObstacle) {
  TempDir folder;
  fs::copy_file(JEMALLOC_SHARED, folder.path() / "short.so");
  fs::resize_file(folder.path() / "short.so", 9000);
  Workload target({WORKLOAD_DIR "/maps_file", folder.file("short.so")}, deadline);
  Tracer tracer({target.pid()}, deadline);
  const json truth = target.go();
  expect_equals_truth(tracer.snapshot(), truth);
  EXPECT_EQ(tracer.finish().exit_code, 0);
}

class OddSites : public BadInput, public ::testing::WithParamInterface<const char*> {};

TEST_P(OddSites, ThatTheKernelRefusesAreNamedAndTheOthersAreHooked) {
  Workload target(ChildOptions{.arguments = {WORKLOAD_DIR "/blocks", "100", "100"},
                               .environment = {"LD_PRELOAD=" WORKLOAD_DIR "/odd_allocator.so"}},
                  deadline);
  Tracer tracer({target.pid()}, deadline, {"--probe-kind", GetParam()});
  const json truth = target.go("make");
  const json report = tracer.snapshot();
  expect_equals_truth(report, truth);
  const std::string warnings = report.at("warnings").dump();
  for (const char* function : {"valloc", "memalign"})
    EXPECT_NE(warnings.find(std::string("odd_allocator.so: not hooked: ") + function + ": "), std::string::npos)
        << warnings;
  EXPECT_EQ(warnings.find("aligned_alloc"), std::string::npos) << warnings;
  std::set<std::string> hooked;
  for (const json& probe : report.at("probes"))
    if (probe.at("module").get<std::string>().ends_with("odd_allocator.so")) hooked.insert(probe.at("function"));
  EXPECT_EQ(hooked, (std::set<std::string>{"malloc", "free", "aligned_alloc"}));
  EXPECT_EQ(tracer.finish().exit_code, 0);
  EXPECT_EQ(changed_text(target.pid()), std::vector<std::string>{});
}

INSTANTIATE_TEST_SUITE_P(, OddSites, ::testing::Values("session", "multi", "perf"),
                         [](const ::testing::TestParamInfo<const char*>& info) { return std::string(info.param); });

TEST_F(BadInput, LibraryReplacedOnDiskIsTracedAsItIsMapped) {
  TempDir folder;
  const std::string library = folder.file("allocator.so");
  fs::copy_file(JEMALLOC_SHARED, library);
  Workload target(ChildOptions{.arguments = {WORKLOAD_DIR "/blocks", "100", "100"},
                               .environment = {"LD_PRELOAD=" + library}},
                  deadline);
  fs::copy_file(MIMALLOC_SHARED, folder.file("other.so"));
  fs::rename(folder.file("other.so"), library);
  Tracer tracer({target.pid()}, deadline);
  const json truth = target.go("make");
  const json report = tracer.snapshot();
  expect_equals_truth(report, truth);
  EXPECT_EQ(outstanding_of_function(report, "malloc"), amount(report.at("totals"), "outstanding"));
  EXPECT_EQ(tracer.finish().exit_code, 0);
}

/// Even root may lack the right to read a file: here because both sides run without the capabilities for it.
class Unreadable : public BadInput {
 protected:
  static std::vector<std::string> without_rights(const std::vector<std::string>& arguments) {
    std::vector<std::string> result = {"/usr/bin/setpriv", "--bounding-set", "-dac_override,-dac_read_search"};
    result.insert(result.end(), arguments.begin(), arguments.end());
    return result;
  }

  void make_unreadable() const {
    ASSERT_EQ(::chown(path.c_str(), 65534, 65534), 0);
    fs::permissions(path, fs::perms::owner_all);
  }

  TempDir folder;
  const std::string path = folder.file("unreadable");
};

TEST_F(Unreadable, ProgramIsRefused) {
  fs::copy_file(WORKLOAD_DIR "/oracle_glibc_static", path);
  Workload target(without_rights({path, "1", "1"}), deadline);
  make_unreadable();
  expect_refused({.arguments = without_rights({Tracer::binary(), "report", "-p", text(target.pid())})}, kNotSupported,
                 {text(target.pid()), "not permitted", "hint"});
}

TEST_F(Unreadable, LibraryIsAWarningInTheReport) {
  fs::copy_file(MIMALLOC_SHARED, path);
  Workload target(without_rights({WORKLOAD_DIR "/maps_file", path}), deadline);
  make_unreadable();
  Child child({.arguments = without_rights({Tracer::binary(), "report", "-p", text(target.pid()), "--json-lines",
                                            "--interval", "10ms", "--count", "1"})},
              deadline);
  const json report = json::parse(child.read_line());
  EXPECT_EQ(child.wait_exit(), 0) << child.error_text();
  EXPECT_NE(report.at("warnings").dump().find(path), std::string::npos) << report.at("warnings");
}

/// A file system too small for any report.
class TinyFileSystem {
 public:
  explicit TinyFileSystem(std::string folder) : folder_(std::move(folder)) {
    if (::mount("tmpfs", folder_.c_str(), "tmpfs", 0, "size=4k") != 0) throw std::runtime_error("mount " + folder_);
  }
  TinyFileSystem(TinyFileSystem&&) = delete;
  ~TinyFileSystem() { ::umount2(folder_.c_str(), MNT_DETACH); }

 private:
  std::string folder_;
};

TEST_F(BadInput, FullDiskForTheReport) {
  Workload target = workload();
  TempDir folder;
  const TinyFileSystem tiny(folder.path().string());
  std::ofstream(folder.file("filler")) << std::string(4096, 'x');
  Child child(command({"report", "-p", text(target.pid()), "--json", "--count", "1", "--interval", "10ms", "-o",
                       folder.file("report.json")}),
              deadline);
  EXPECT_EQ(child.wait_exit(), kFailed) << child.error_text();
  EXPECT_NE(child.error_text().find("report.json"), std::string::npos) << child.error_text();
  EXPECT_NE(child.error_text().find("No space left"), std::string::npos) << child.error_text();
  EXPECT_FALSE(fs::exists(folder.path() / "report.json"));
  EXPECT_EQ(changed_text(target.pid()), std::vector<std::string>{});
}

TEST_F(BadInput, FolderForTheReportDoesNotExist) {
  Workload target = workload();
  expect_refused(command({"report", "-p", text(target.pid()), "--count", "1", "-o", "/nowhere/at/all/report.txt"}),
                 kFailed, {"/nowhere/at/all", "No such file or directory"});
}

class LostOutput : public BadInput, public ::testing::WithParamInterface<StandardOutput> {};

TEST_P(LostOutput, EndsTheRunWithAnErrorAndDetaches) {
  Workload target = workload();
  for (const char* format : {"--json-lines", "--json"}) {
    ChildOptions options = command({"report", "-p", text(target.pid()), format, "--interval", "10ms", "--count", "2"});
    options.standard_output = GetParam();
    Child child(options, deadline);
    EXPECT_EQ(child.wait_exit(), kFailed) << child.error_text();
    EXPECT_NE(child.error_text().find("alloctrail: "), std::string::npos) << child.error_text();
    EXPECT_EQ(changed_text(target.pid()), std::vector<std::string>{});
  }
}

INSTANTIATE_TEST_SUITE_P(, LostOutput, ::testing::Values(StandardOutput::Closed, StandardOutput::BrokenPipe),
                         [](const ::testing::TestParamInfo<StandardOutput>& info) {
                           return info.param == StandardOutput::Closed ? "ClosedBeforehand" : "ReaderGone";
                         });

/// A command line that must be refused before anything is attached.
struct CommandLine {
  const char* name;
  std::vector<std::string> arguments;
  const char* word;  ///< what the message must name
};

void PrintTo(const CommandLine& line, std::ostream* out) {
  *out << line.name;
}

class RefusedCommandLine : public BadInput, public ::testing::WithParamInterface<CommandLine> {};

TEST_P(RefusedCommandLine, IsAUsageError) {
  Workload target = workload();
  std::vector<std::string> arguments = GetParam().arguments;
  for (std::string& argument : arguments)
    if (argument == "PID") argument = text(target.pid());
  expect_refused(command(arguments), kUsage, {GetParam().word});
}

INSTANTIATE_TEST_SUITE_P(
    , RefusedCommandLine,
    ::testing::Values(
        CommandLine{"NegativeCount", {"report", "-p", "PID", "--count", "-1"}, "--count"},
        CommandLine{"CountIsNoNumber", {"report", "-p", "PID", "--count", "two"}, "--count"},
        CommandLine{"PidIsNoNumber", {"report", "-p", "sshd"}, "sshd"},
        CommandLine{"PidZero", {"report", "-p", "0"}, "-p"}, CommandLine{"NegativePid", {"report", "-p", "-5"}, "-p"},
        CommandLine{"HugePid", {"report", "-p", "99999999999999999999"}, "-p"},
        CommandLine{"EmptyPidInList", {"report", "-p", "PID,,"}, "-p"}, CommandLine{"NothingToTrace", {"report"}, "-p"},
        CommandLine{"PidAndCommand", {"report", "-p", "PID", "--", "/bin/true"}, "-p"},
        CommandLine{"TwoJsonForms", {"report", "-p", "PID", "--json", "--json-lines"}, "--json"},
        CommandLine{"IntervalWithoutUnitSense", {"report", "-p", "PID", "--interval", "soon"}, "--interval"},
        CommandLine{"IntervalZero", {"report", "-p", "PID", "--interval", "0s"}, "--interval"},
        CommandLine{"NegativeTop", {"report", "-p", "PID", "--top", "-3"}, "--top"},
        CommandLine{"SizeWithoutSense", {"report", "-p", "PID", "--min-size", "large"}, "--min-size"},
        CommandLine{"MaxLiveZero", {"report", "-p", "PID", "--max-live", "0"}, "--max-live"},
        CommandLine{"UnknownOption", {"report", "-p", "PID", "--speed"}, "--speed"},
        CommandLine{"UnknownCommand", {"explode"}, "explode"}),
    [](const ::testing::TestParamInfo<CommandLine>& info) { return std::string(info.param.name); });

TEST_F(BadInput, NoProcessOfThatName) {
  expect_refused(command({"report", "--comm", "no-such-name"}), kFailed, {"no-such-name"});
}

TEST_F(BadInput, NoSuchCgroup) {
  expect_refused(command({"report", "--cgroup", "/no/such/cgroup"}), kUsage, {"/no/such/cgroup"});
}

TEST_F(BadInput, CommandThatCannotBeStarted) {
  expect_refused(command({"report", "--", "/no/such/program"}), kUsage, {"/no/such/program"});
}

TEST_F(BadInput, OneOfTwoProcessesIsMissingAndNothingIsAttached) {
  Workload target = workload();
  pid_t gone = 0;
  {
    Workload ended = workload();
    gone = ended.pid();
  }
  expect_refused(command({"report", "-p", text(target.pid()) + "," + text(gone)}), kFailed, {text(gone)});
  EXPECT_EQ(changed_text(target.pid()), std::vector<std::string>{});
}

}  // namespace
}  // namespace alloctrail::test
