// SPDX-License-Identifier: Apache-2.0
#include "user/tui/live_view.h"

#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <utility>

#include "user/output/units.h"
#include "user/tui/collector.h"
#include "user/tui/key_bindings.h"
#include "user/tui/scene_builder.h"
#include "user/tui/screen.h"

namespace alloctrail {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr milliseconds kLeastBetweenRedraws(250);  // keys are answered at once
constexpr milliseconds kProgressTick(500);
constexpr milliseconds kWorthSaying(1000);

/// What a user who looks at a process wants to go on with: several processes begin with their list, and a process that
/// runs another program is followed into it.
void follow(ViewState& state, const Scene& before, const Scene& now) {
  if (before.processes.empty() && now.processes.size() > 1) state.trail.front().page = Page::Processes;
  if (state.process >= now.processes.size()) return;
  const Snapshot& shown = *now.processes[state.process]->snapshot;
  if (shown.end != EndReason::Execed) return;
  for (size_t i = state.process + 1; i < now.processes.size(); ++i)
    if (now.processes[i]->snapshot->process.pid == shown.process.pid) {
      state.process = i;
      state.trail.resize(1);
      state.place() = place_on(state.place().page);
      state.mark.reset();
    }
}

class LiveView {
 public:
  LiveView(Collector& collector, Screen& screen, const LiveViewOptions& options, int signal_fd)
      : collector_(collector), screen_(screen), signal_fd_(signal_fd), newest_(std::make_shared<const Scene>()),
        drawn_{CellGrid(0, 0)} {
    state_.charset = options.style.charset;
    state_.interval = options.interval;
    state_.place().page = options.page;
  }

  Status run() {
    while (state_.wish != Wish::Quit && !stopped_) {
      wait();
      take_signals();
      if (auto taken = take_news(); !taken) return taken;
      while (const auto key = screen_.next_key()) {
        press(state_, *key, newest_, drawn_);
        fulfil();
        changed_ = pressed_ = true;
      }
      if (changed_ && (pressed_ || until_redraw() <= milliseconds(0))) redraw();
    }
    return ok();
  }

 private:
  [[nodiscard]] milliseconds until_redraw() const {
    return std::chrono::ceil<milliseconds>(drawn_at_ + kLeastBetweenRedraws - Clock::now());
  }

  void wait() {
    std::array<pollfd, 3> events{pollfd{.fd = STDIN_FILENO, .events = POLLIN, .revents = 0},
                                 pollfd{.fd = collector_.event_fd(), .events = POLLIN, .revents = 0},
                                 pollfd{.fd = signal_fd_, .events = POLLIN, .revents = 0}};
    int timeout = static_cast<int>(until_tick().count());
    if (changed_) timeout = static_cast<int>(std::max<int64_t>(0, until_redraw().count()));
    (void)poll(events.data(), events.size(), timeout);
    if ((events[0].revents & (POLLHUP | POLLERR)) != 0) stopped_ = true;  // the terminal is gone
    changed_ |= is_late();
  }

  /// Whether the next snapshot takes so long that the user must be told.
  [[nodiscard]] bool is_late() const { return collector_.overdue().value_or(milliseconds(0)) > kWorthSaying; }

  /// When to look whether it does; -1: never.
  [[nodiscard]] milliseconds until_tick() const {
    const auto overdue = collector_.overdue();
    if (!overdue) return milliseconds(-1);
    return std::max(kProgressTick, std::chrono::ceil<milliseconds>(kWorthSaying - *overdue));
  }

  void take_signals() {
    signalfd_siginfo info{};
    while (read(signal_fd_, &info, sizeof(info)) == sizeof(info)) {
      if (info.ssi_signo != SIGWINCH) {
        stopped_ = true;
      } else {
        screen_.resize();
        changed_ = pressed_ = true;
      }
    }
  }

  [[nodiscard]] Status take_news() {
    Collector::News news = collector_.take();
    if (news.failure) return *std::move(news.failure);
    if (news.notice) state_.notice = *std::move(news.notice);
    if (news.scene) {
      follow(state_, *newest_, *news.scene);
      newest_ = std::move(news.scene);
    }
    changed_ |= news.notice || (newest_ != seen_ && !state_.frozen);
    seen_ = newest_;
    return ok();
  }

  void fulfil() {
    collector_.set_interval(state_.interval);
    if (std::exchange(state_.wish, state_.wish == Wish::Quit ? Wish::Quit : Wish::None) != Wish::Write) return;
    const Picture* picture = picture_of(state_.frozen ? *state_.frozen : *newest_, state_);
    if (picture == nullptr) return;
    state_.notice = collector_.can_write() ? "writing" : "writing is not possible here";
    if (collector_.can_write()) collector_.write(picture->snapshot);
  }

  void redraw() {
    Scene scene = state_.frozen ? *state_.frozen : *newest_;
    if (is_late())
      scene.progress =
          fmt::format("{}, {}", scene.progress.empty() ? "reading stacks and symbols" : scene.progress,
                      format_duration(std::chrono::floor<std::chrono::seconds>(collector_.overdue().value_or(milliseconds(0)))));
    drawn_ = draw(scene, state_, screen_.size());
    state_.place().first = drawn_.first;
    screen_.paint(drawn_.grid);
    drawn_at_ = Clock::now();
    changed_ = pressed_ = false;
  }

  Collector& collector_;
  Screen& screen_;
  int signal_fd_;
  ViewState state_;
  std::shared_ptr<const Scene> newest_;
  std::shared_ptr<const Scene> seen_;
  Drawn drawn_;
  Clock::time_point drawn_at_{};
  bool changed_ = true;
  bool pressed_ = false;
  bool stopped_ = false;
};

/// Whether a signal has come that ends the run.
bool must_stop(int signal_fd) {
  signalfd_siginfo info{};
  while (read(signal_fd, &info, sizeof(info)) == sizeof(info))
    if (info.ssi_signo != SIGWINCH) return true;
  return false;
}

/// The first lines of a list are the ones that matter; a text is shown whole.
std::string batch_text(const Scene& scene, const LiveViewOptions& options, const BatchOptions& batch) {
  ViewState state;
  state.charset = options.style.charset;
  state.place().page = options.page;
  if (batch.svg) return grid_svg(draw(scene, state, {100, 24}).grid);
  const size_t width = options.style.width == 0 ? 132 : options.style.width;
  std::string text;
  for (state.process = 0; state.process < scene.processes.size(); ++state.process) {
    const Drawn drawn = draw(scene, state, {width, 0});
    const bool is_cut = is_list(options.page) && drawn.body_lines > batch.rows;
    const size_t height = is_cut ? drawn.body_row + batch.rows : drawn.grid.height();
    text += grid_text(drawn.grid.top(height), options.style.color);
    if (is_cut) text += fmt::format("and {} more\n", format_count(drawn.body_lines - batch.rows));
    text += '\n';
    if (options.page == Page::Processes) break;
  }
  return text;
}

}  // namespace

Status run_live_view(std::unique_ptr<SnapshotSource> source, const LiveViewOptions& options, WriteSnapshot write,
                     int signal_fd) {
  auto screen = Screen::open(options.style.color);
  if (!screen) return std::move(screen).error();
  auto collector = Collector::start(std::move(source), std::move(write), options.interval);
  if (!collector) return std::move(collector).error();
  Status shown = LiveView(**collector, **screen, options, signal_fd).run();
  screen->reset();  // before the collector, which may have to finish a long step
  return shown;
}

Status run_batch_view(SnapshotSource& source, const LiveViewOptions& options, const BatchOptions& batch, Sink& sink,
                      int signal_fd) {
  if (auto opened = source.open(); !opened) return opened;
  SceneBuilder builder;
  builder.set_interval(options.interval);
  auto due = Clock::now() + options.interval;
  for (uint64_t printed = 0; !batch.count || printed < *batch.count;) {
    auto update = source.next(due, signal_fd);
    if (!update) return std::move(update).error();
    const bool over = update->over, ended = !update->deaths.empty() || over;
    const bool is_due = Clock::now() >= due;
    builder.add(*std::move(update));
    if (must_stop(signal_fd)) break;
    if (!is_due && !ended) continue;
    if (auto written = sink.write(batch_text(*builder.scene(), options, batch)); !written) return written;
    if (over) break;
    ++printed;
    while (due <= Clock::now()) due += std::chrono::duration_cast<Clock::duration>(options.interval);
  }
  return ok();
}

}  // namespace alloctrail
