// SPDX-License-Identifier: Apache-2.0
// The live view on a terminal of tmux's, watching the demo: keys in, screens out, and the terminal given back each time.
#include <gtest/gtest.h>
#include <poll.h>

#include <csignal>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "tests/e2e/real_program.h"
#include "tests/support/leftovers.h"
#include "tests/support/tracer.h"

namespace alloctrail::test {
namespace {

/// A terminal of its own, with a shell in it.
class Terminal {
 public:
  Terminal(const std::string& socket, const Deadline& deadline) : socket_(socket), deadline_(deadline) {
    tmux({"-f", "/dev/null", "new-session", "-d", "-s", "t", "-x", "100", "-y", "30",
          "env LANG=C.UTF-8 LC_ALL=C.UTF-8 TERM=tmux-256color PS1='$ ' sh"});
    wait_for("$");
  }
  Terminal(Terminal&&) = delete;
  ~Terminal() {
    try {
      tmux({"kill-server"});
    } catch (const std::exception&) {
      // it has ended already
    }
  }

  void type(const std::string& text) { tmux({"send-keys", "-t", "t", "-l", text}); }
  void press(const std::string& key) { tmux({"send-keys", "-t", "t", key}); }
  void resize(const std::string& columns, const std::string& lines) {
    tmux({"resize-window", "-t", "t", "-x", columns, "-y", lines});
  }
  std::string text() { return tmux({"capture-pane", "-p", "-t", "t"}); }
  /// "1" while a program has the alternate screen.
  std::string alternate() { return tmux({"display-message", "-p", "-t", "t", "#{alternate_on}"}).substr(0, 1); }

  std::string wait_until(const std::function<bool(const std::string&)>& condition, std::string_view what) {
    for (;;) {
      std::string now = text();
      if (condition(now)) return now;
      if (deadline_.left_ms() == 0) throw TimedOut("no " + std::string(what) + " on the screen:\n" + now);
      ::poll(nullptr, 0, 20);
    }
  }
  std::string wait_for(std::string_view words) {
    return wait_until([&](const std::string& now) { return now.find(words) != std::string::npos; }, words);
  }

 private:
  std::string tmux(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"/usr/bin/tmux", "-S", socket_});
    return run(std::move(arguments), deadline_);
  }

  std::string socket_;
  const Deadline& deadline_;
};

class Top : public RealProgram {
 protected:
  void SetUp() override {
    RealProgram::SetUp();
    ASSERT_TRUE(demo.read_line().starts_with("ready "));
  }

  /// What the shell says once the view has ended: how it ended, and that the terminal is as it was.
  void start(Terminal& terminal) {
    terminal.type("stty -g > " + folder.file("before") + "; " + Tracer::binary() + " top -p " +
                  std::to_string(demo.pid()) + "; echo \"end $?\"; stty -g | cmp - " + folder.file("before") +
                  " && echo same' 'modes");
    terminal.press("Enter");
    terminal.wait_for("1 Threads");
  }
  void expect_restored(Terminal& terminal, const std::string& end) {
    terminal.wait_for(end);
    terminal.wait_for("same modes");
    EXPECT_EQ(terminal.alternate(), "0");
  }
  /// The one that runs in the terminal.
  pid_t viewer() {
    const std::string pids = run({"/usr/bin/pgrep", "-o", "-f", "top -p " + std::to_string(demo.pid()) + "$"}, deadline);
    return std::stoi(pids);
  }

  Child demo{{.arguments = {WORKLOAD_DIR "/demo"}}, deadline};
};

TEST_F(Top, KeysLeadToTheLeakingThreadAndItsLine) {
  Terminal terminal(folder.file("tmux"), deadline);
  start(terminal);
  // The audit thread overtakes the caches and is then the first row.
  terminal.wait_until(
      [](const std::string& now) {
        const size_t titles = now.find("OUTSTANDING");
        return titles != std::string::npos && now.substr(now.find('\n', titles) + 1, 60).find("audit") != std::string::npos;
      },
      "leaking thread in the first row");
  terminal.press("Enter");
  terminal.wait_for("> stacks of audit");
  terminal.wait_for("AuditTrail::add_record demo.cpp:");
  terminal.press("Enter");
  terminal.wait_for("ALL FRAMES");
  terminal.wait_for("tests/workloads/demo.cpp:");
  terminal.press("q");
  expect_restored(terminal, "end 0");
  EXPECT_EQ(changed_text(demo.pid()), std::vector<std::string>{});
}

TEST_F(Top, SmallerTerminalIsDrawnAgainAtItsSize) {
  Terminal terminal(folder.file("tmux"), deadline);
  start(terminal);
  terminal.resize("40", "10");
  terminal.wait_until(
      [](const std::string& now) { return now.find("holds ") != std::string::npos && now.find("? help") != std::string::npos; },
      "small screen");
  terminal.resize("100", "30");
  terminal.wait_for("nothing lost");
  terminal.press("q");
  expect_restored(terminal, "end 0");
}

TEST_F(Top, TargetsExitStaysOnTheScreenUntilQ) {
  Terminal terminal(folder.file("tmux"), deadline);
  start(terminal);
  terminal.wait_for("network-rx");
  demo.signal(SIGKILL);
  terminal.wait_for("EXITED");
  terminal.press("2");
  terminal.wait_for("ALLOCATED BY");
  terminal.press("q");
  expect_restored(terminal, "end 0");
}

TEST_F(Top, TerminationGivesTheTerminalBack) {
  Terminal terminal(folder.file("tmux"), deadline);
  start(terminal);
  ::kill(viewer(), SIGTERM);
  expect_restored(terminal, "end 0");
}

TEST_F(Top, CrashGivesTheTerminalBack) {
  Terminal terminal(folder.file("tmux"), deadline);
  start(terminal);
  ::kill(viewer(), SIGSEGV);
  expect_restored(terminal, "end 139");
}

TEST_F(Top, BatchPrintsTheSameScreensAsText) {
  const std::string text = run({Tracer::binary(), "top", "-p", std::to_string(demo.pid()), "--batch", "-n", "2",
                                "-i", "500ms", "--view", "stacks"},
                               deadline);
  EXPECT_NE(text.find("AuditTrail::add_record demo.cpp:"), std::string::npos) << text;
  EXPECT_EQ(text.find('\x1b'), std::string::npos);
  size_t screens = 0;
  for (size_t at = text.find("ALLOCATED BY"); at != std::string::npos; at = text.find("ALLOCATED BY", at + 1)) ++screens;
  EXPECT_EQ(screens, 2u) << text;
}

}  // namespace
}  // namespace alloctrail::test
