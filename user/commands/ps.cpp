// SPDX-License-Identifier: Apache-2.0
#include "user/commands/ps.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <set>

#include "user/analysis/host_table.h"
#include "user/commands/signals.h"
#include "user/output/host_json.h"
#include "user/output/host_text.h"
#include "user/output/output_file.h"
#include "user/target/host_reader.h"
#include "user/target/selection.h"
#include "user/target/smaps.h"

namespace alloctrail {
namespace {

using Clock = std::chrono::steady_clock;

/// The processes of the cgroups, looked up anew each time: they come and go.
Result<std::optional<std::vector<Tgid>>> selected(const PsOptions& options) {
  if (options.cgroups.empty()) return std::optional<std::vector<Tgid>>();
  std::set<Tgid> pids;
  for (const std::string& cgroup : options.cgroups) {
    const auto found = find_by_cgroup(cgroup);
    if (!found && found.error().kind == ErrorKind::Usage) return found.error();
    if (found) pids.insert(found->begin(), found->end());
  }
  return std::optional(std::vector<Tgid>(pids.begin(), pids.end()));
}

void add_pss(HostSnapshot& snapshot, const HostTable& table) {
  for (const HostRow& row : table.rows) {
    HostProcess& process = snapshot.processes[row.process];
    if (const auto sums = read_smaps_rollup(process.pid)) process.pss_bytes = sums->pss;
  }
}

class Ps {
 public:
  explicit Ps(const PsOptions& options, std::unique_ptr<Sink> sink)
      : options_(options), sink_(std::move(sink)), style_(text_style(STDOUT_FILENO, options.color)) {}

  [[nodiscard]] Status print_table() {
    const auto pids = selected(options_);
    if (!pids) return pids.error();
    auto snapshot = reader_.read(*pids);
    if (!snapshot) return std::move(snapshot).error();
    history_.add(*snapshot);
    const HostQuery query{options_.tree ? RowOrder::Tree : RowOrder::Growth, options_.rows()};
    const HostTable table = history_.table(*snapshot, query);
    if (options_.pss) add_pss(*snapshot, table);
    if (options_.json_lines) return sink_->write(host_json(*snapshot, table) + "\n");
    return sink_->write((std::exchange(first_, false) ? "" : "\n") + host_text(*snapshot, table, style_));
  }
  [[nodiscard]] Status finish() { return sink_->finish(); }

 private:
  const PsOptions& options_;
  std::unique_ptr<Sink> sink_;
  TextStyle style_;
  HostReader reader_;
  HostHistory history_;
  bool first_ = true;
};

/// Waits until then, or for a signal; whether to go on.
bool wait_until(Clock::time_point then, const SignalRequests& signals) {
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(then - Clock::now()).count();
    if (left <= 0) return signals.take() != Request::Stop;
    pollfd event{.fd = signals.fd(), .events = POLLIN, .revents = 0};
    (void)poll(&event, 1, static_cast<int>(std::min<int64_t>(left, 1000L * 3600)));
    const Request request = signals.take();
    if (request != Request::None) return request == Request::ReportNow;
  }
}

}  // namespace

Result<ExitCode> run_ps(const PsOptions& options) {
  auto signals = SignalRequests::open();
  if (!signals) return std::move(signals).error();
  auto sink = open_sink(std::nullopt, Delivery::Stream);
  if (!sink) return std::move(sink).error();
  Ps ps(options, *std::move(sink));
  auto next = Clock::now();
  for (uint64_t printed = 0; !options.count || printed < *options.count; ++printed) {
    if (printed > 0 && !wait_until(next, *signals)) break;
    if (auto done = ps.print_table(); !done) return std::move(done).error();
    while (next <= Clock::now()) next += options.interval;
  }
  if (auto done = ps.finish(); !done) return std::move(done).error();
  return kExitOk;
}

}  // namespace alloctrail
