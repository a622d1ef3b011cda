// SPDX-License-Identifier: Apache-2.0
// PerfMap and PerfMaps; see the header.
#include "user/symbols/perf_map.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <optional>
#include <vector>

namespace alloctrail {
namespace {

constexpr off_t kMaxFileBytes = 64 << 20;
constexpr size_t kMaxProcesses = 256;
constexpr int kRestFactor = 20;  // reading again takes at most 1/20 of the time

std::optional<uint64_t> take_hex(std::string_view& line) {
  if (line.starts_with("0x")) line.remove_prefix(2);
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), value, 16);
  const auto length = static_cast<size_t>(end - line.data());
  if (error != std::errc() || length >= line.size() || line[length] != ' ') return std::nullopt;
  line.remove_prefix(length);
  line.remove_prefix(std::min(line.find_first_not_of(' '), line.size()));
  return value;
}

/// What /proc/PID/status says about who the process is.
struct Identity {
  uid_t user = 0;          ///< effective
  uint32_t inner_pid = 0;  ///< in its own pid namespace
};

std::string read_bounded(int fd, size_t max_bytes) {
  std::string text(max_bytes, '\0');
  size_t length = 0;
  while (length < max_bytes) {
    const ssize_t got = ::read(fd, text.data() + length, max_bytes - length);
    if (got <= 0) break;
    length += static_cast<size_t>(got);
  }
  text.resize(length);
  return text;
}

/// The `index`th number of the line that starts with `key`, or the last one for SIZE_MAX.
std::optional<uint32_t> status_number(std::string_view status, std::string_view key, size_t index) {
  const size_t at = status.find(fmt::format("\n{}:", key));
  if (at == std::string_view::npos) return std::nullopt;
  std::string_view line = status.substr(at + key.size() + 2);
  line = line.substr(0, line.find('\n'));
  std::optional<uint32_t> value;
  for (size_t i = 0; i <= index; ++i) {
    const size_t digit = line.find_first_of("0123456789");
    if (digit == std::string_view::npos) return index == SIZE_MAX ? value : std::nullopt;
    uint32_t number = 0;
    const auto [end, error] = std::from_chars(line.data() + digit, line.data() + line.size(), number);
    if (error != std::errc()) return std::nullopt;
    line.remove_prefix(static_cast<size_t>(end - line.data()));
    value = number;
  }
  return value;
}

std::optional<Identity> identity_of(Tgid pid) {
  const UniqueFd fd(::open(fmt::format("/proc/{}/status", raw(pid)).c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return std::nullopt;
  const std::string status = read_bounded(fd.get(), 16 * 1024);
  const auto user = status_number(status, "Uid", 1);
  const auto inner_pid = status_number(status, "NSpid", SIZE_MAX);
  if (!user) return std::nullopt;
  return Identity{*user, inner_pid.value_or(raw(pid))};
}

}  // namespace

PerfMap::PerfMap(std::string text) : text_(std::move(text)) {
  std::vector<Range> ranges;
  const std::string_view all(text_);
  for (size_t at = 0; at < all.size();) {
    const size_t newline = std::min(all.find('\n', at), all.size());
    std::string_view line = all.substr(at, newline - at);
    at = newline + 1;
    const auto start = take_hex(line);
    const auto size = start ? take_hex(line) : std::nullopt;
    if (!size || line.empty() || *size > UINT64_MAX - *start) continue;
    ranges.push_back({*start, *start + *size, ranges.size(), static_cast<uint64_t>(line.data() - all.data())});
  }
  ranges_ = RangeMap(std::move(ranges));
}

std::string_view PerfMap::find(uint64_t address) const {
  const auto at = ranges_.find(address);
  if (!at) return {};
  const std::string_view rest = std::string_view(text_).substr(*at);
  return rest.substr(0, rest.find('\n'));
}

UniqueFd open_perf_map(Tgid pid) {
  const auto identity = identity_of(pid);
  if (!identity) return UniqueFd();
  const UniqueFd root(::open(fmt::format("/proc/{}/root", raw(pid)).c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!root) return UniqueFd();
  const std::string path = fmt::format("tmp/perf-{}.map", identity->inner_pid);
  open_how how{};
  how.flags = O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  UniqueFd fd(static_cast<int>(::syscall(SYS_openat2, root.get(), path.c_str(), &how, sizeof how)));
  struct stat info {};
  if (!fd || ::fstat(fd.get(), &info) != 0) return UniqueFd();
  const bool owner_may_name = info.st_uid == 0 || info.st_uid == identity->user;
  if (!S_ISREG(info.st_mode) || !owner_may_name || info.st_size > kMaxFileBytes) return UniqueFd();
  return fd;
}

std::string PerfMaps::find(Tgid pid, uint64_t address) {
  if (known_.size() >= kMaxProcesses && !known_.contains(pid)) known_.clear();
  Known& known = known_[pid];
  refresh(pid, known);
  return std::string(known.map.find(address));
}

void PerfMaps::refresh(Tgid pid, Known& known) {
  using Clock = std::chrono::steady_clock;
  const auto before = Clock::now();
  if (before < known.reread_after) return;
  const UniqueFd fd = open_perf_map(pid);
  struct stat now {};
  if (fd && ::fstat(fd.get(), &now) == 0) {
    const bool same = now.st_dev == known.device && now.st_ino == known.inode && now.st_size == known.size_bytes &&
                      now.st_mtim.tv_sec == known.changed.tv_sec && now.st_mtim.tv_nsec == known.changed.tv_nsec;
    if (!same) {
      known.map = PerfMap(read_bounded(fd.get(), static_cast<size_t>(now.st_size)));
      known.device = now.st_dev;
      known.inode = now.st_ino;
      known.size_bytes = now.st_size;
      known.changed = now.st_mtim;
    }
  }
  const auto after = Clock::now();
  known.reread_after = after + (after - before) * kRestFactor;
}

}  // namespace alloctrail
