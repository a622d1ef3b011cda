// SPDX-License-Identifier: Apache-2.0
// Reading files below /proc: whole, bounded, and through a thread that is alive. Used by the other files of this
// folder.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "user/ids.h"
#include "user/result.h"

namespace alloctrail {

/// Content of a file, at most `max_bytes` of it. On failure Error::os_error tells why; the message is the path and
/// reason.
[[nodiscard]] Result<std::string> read_small_file(const std::string& path, size_t max_bytes);

/// "/proc/ID/NAME". Also works for the id of any thread: its directory is only hidden from listings.
[[nodiscard]] std::string proc_path(pid_t id, std::string_view name);

/// The fields of /proc/ID/stat that are used here.
struct ProcStat {
  char state = '?';
  uint64_t flags = 0;
  uint64_t start_ticks = 0;
  [[nodiscard]] bool dead() const { return state == 'Z' || state == 'X'; }
  [[nodiscard]] bool kernel_thread() const;
};
[[nodiscard]] std::optional<ProcStat> parse_stat(std::string_view text);
[[nodiscard]] std::optional<ProcStat> read_stat(pid_t id);

/// The numeric names in a directory, e.g. the threads in /proc/PID/task; empty if it cannot be read.
[[nodiscard]] std::vector<pid_t> numbered_entries(const std::string& directory);

/// A thread of the process that is alive: the main thread, or another one after its exit. While the main thread is a
/// zombie, its maps, exe, root and map_files are empty, although the process lives.
[[nodiscard]] std::optional<Tid> live_thread(Tgid pid);

/// The value of "KEY:\tvalue" in a status file, without blanks around it; empty if the key is missing.
[[nodiscard]] std::string_view status_value(std::string_view status, std::string_view key);

/// The number a text starts with; nothing if it starts with none, or one too large.
[[nodiscard]] std::optional<uint64_t> leading_number(std::string_view text, int base = 10);

/// `text` without the line end that /proc adds to names.
[[nodiscard]] std::string without_line_end(std::string text);

/// What a file of /proc/PID that cannot be read means for the user.
[[nodiscard]] Error cannot_look_at(Tgid pid, int os_error);

}  // namespace alloctrail
