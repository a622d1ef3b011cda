// SPDX-License-Identifier: Apache-2.0
// alloctrail and its peers as conditions: each is the real program, started as its users start it.
#include "tests/bench/watcher.h"

#include <unistd.h>

#include <csignal>
#include <utility>

#include "tests/bench/subject.h"
#include "tests/support/child.h"
#include "tests/support/leftovers.h"
#include "tests/support/tracer.h"

namespace alloctrail::bench {
namespace {

/// Waits until a process's code has no breakpoints: the kernel takes them out a moment after the link is gone.
void wait_until_clean(pid_t pid) {
  while (!test::changed_text(pid).empty()) {
  }
}

class Alloctrail : public Watcher {
 public:
  Alloctrail(const std::vector<std::string>& options, pid_t pid, const test::Deadline& deadline)
      : pid_(pid), tracer_({pid}, deadline, options) {}
  ~Alloctrail() override {
    tracer_.finish();
    wait_until_clean(pid_);
  }

 private:
  pid_t pid_;
  test::Tracer tracer_;
};

/// alloctrail on a process that does nothing.
class AlloctrailElsewhere : public Watcher {
 public:
  explicit AlloctrailElsewhere(const test::Deadline& deadline)
      : idle_({program("bench_pair"), "1", "5", "pair"}, deadline), alloctrail_({}, idle_.pid(), deadline) {}

 private:
  Subject idle_;
  Alloctrail alloctrail_;
};

/// Line buffering for a program that writes to a pipe.
constexpr const char* kLineBuffers = "/usr/libexec/coreutils/libstdbuf.so";

std::vector<std::string> memleak_command(const std::string& root, pid_t pid) {
  const std::string libraries = root + "/usr/lib/x86_64-linux-gnu";
  return {libraries + "/ld-linux-x86-64.so.2",
          "--preload",
          kLineBuffers,
          "--library-path",
          libraries,
          root + "/usr/sbin/memleak-libbpf",
          "-p",
          std::to_string(pid),
          "3600"};
}

class Memleak : public Watcher {
 public:
  Memleak(std::vector<std::string> command, pid_t pid, const test::Deadline& deadline)
      : pid_(pid), child_({.arguments = std::move(command), .environment = {"_STDBUF_O=L"}}, deadline) {
    while (!child_.read_line().starts_with("Tracing outstanding memory allocs")) {
    }
  }
  ~Memleak() override {
    child_.signal(SIGINT);
    child_.wait_exit();
    wait_until_clean(pid_);
  }

 private:
  pid_t pid_;
  test::Child child_;
};

bool installed(const std::string& path) {
  return ::access(path.c_str(), X_OK) == 0;
}

}  // namespace

Condition nothing() {
  return {.name = "nothing"};
}

Condition empty_probes(std::string name, ProbeKind kind, EmptySites sites) {
  return {.name = std::move(name), .attach = [=](pid_t pid) { return attach_empty(kind, sites, pid); }};
}

Condition alloctrail_full(ProbeKind kind, const test::Deadline& deadline) {
  return {.name = std::string("alloctrail, ") + name_of(kind) + " probes",
          .attach = [&deadline, kind](pid_t pid) {
            return std::make_unique<Alloctrail>(std::vector<std::string>{"--probe-kind", name_of(kind)}, pid, deadline);
          }};
}

Condition alloctrail_with(std::string name, std::vector<std::string> options, const test::Deadline& deadline) {
  return {.name = std::move(name), .attach = [&deadline, options = std::move(options)](pid_t pid) {
            return std::make_unique<Alloctrail>(options, pid, deadline);
          }};
}

Condition alloctrail_elsewhere(std::string name, const test::Deadline& deadline) {
  return {.name = std::move(name),
          .attach = [&deadline](pid_t) { return std::make_unique<AlloctrailElsewhere>(deadline); }};
}

Condition memleak(const Options& options, const test::Deadline& deadline) {
  Condition condition{.name = "libbpf-tools memleak"};
  if (options.memleak.empty()) {
    condition.missing = "package libbpf-tools not available";
    return condition;
  }
  condition.attach = [&deadline, root = options.memleak](pid_t pid) {
    return std::make_unique<Memleak>(memleak_command(root, pid), pid, deadline);
  };
  return condition;
}

Condition heaptrack(const std::string& folder) {
  const std::string path = "/usr/bin/heaptrack";
  if (!installed(path)) return {.name = "heaptrack (restart)", .missing = "package heaptrack not installed"};
  return {.name = "heaptrack (restart)", .wrapper = {path, "-o", folder + "/heaptrack"}};
}

Condition massif() {
  const std::string path = "/usr/bin/valgrind";
  if (!installed(path)) return {.name = "valgrind massif (restart)", .missing = "package valgrind not installed"};
  return {.name = "valgrind massif (restart)", .wrapper = {path, "-q", "--tool=massif", "--massif-out-file=/dev/null"}};
}

}  // namespace alloctrail::bench
