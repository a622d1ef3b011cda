// SPDX-License-Identifier: Apache-2.0
#include "user/target/memory_status.h"

#include <algorithm>
#include <cerrno>

#include "user/target/proc_file.h"

namespace alloctrail {
namespace {

constexpr size_t kMaxStatusBytes = 65536;

/// Where the line "KEY:  N kB" goes.
template <class Figures>
struct Line {
  std::string_view key;
  uint64_t Figures::*bytes;
};

constexpr Line<MemoryStatus> kStatusLines[] = {
    {"VmPeak", &MemoryStatus::vm_peak_bytes},     {"VmSize", &MemoryStatus::vm_size_bytes},
    {"VmLck", &MemoryStatus::vm_lck_bytes},       {"VmPin", &MemoryStatus::vm_pin_bytes},
    {"VmHWM", &MemoryStatus::vm_hwm_bytes},       {"VmRSS", &MemoryStatus::vm_rss_bytes},
    {"RssAnon", &MemoryStatus::rss_anon_bytes},   {"RssFile", &MemoryStatus::rss_file_bytes},
    {"RssShmem", &MemoryStatus::rss_shmem_bytes}, {"VmData", &MemoryStatus::vm_data_bytes},
    {"VmStk", &MemoryStatus::vm_stk_bytes},       {"VmExe", &MemoryStatus::vm_exe_bytes},
    {"VmLib", &MemoryStatus::vm_lib_bytes},       {"VmPTE", &MemoryStatus::vm_pte_bytes},
    {"VmSwap", &MemoryStatus::vm_swap_bytes},     {"HugetlbPages", &MemoryStatus::hugetlb_bytes},
};

constexpr Line<HostMemory> kMeminfoLines[] = {
    {"MemTotal", &HostMemory::total_bytes},
    {"MemFree", &HostMemory::free_bytes},
    {"MemAvailable", &HostMemory::available_bytes},
    {"Cached", &HostMemory::cached_bytes},
    {"Shmem", &HostMemory::shmem_bytes},
    {"SwapTotal", &HostMemory::swap_total_bytes},
    {"SwapFree", &HostMemory::swap_free_bytes},
};

/// One pass over the text: both files are read for thousands of processes, or every few seconds for days.
template <class Figures, size_t kCount>
Figures parse_lines(std::string_view text, const Line<Figures> (&lines)[kCount]) {
  Figures out;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    const size_t colon = line.find(':');
    if (colon == std::string_view::npos) continue;
    const auto known = std::ranges::find(lines, line.substr(0, colon), &Line<Figures>::key);
    if (known == std::end(lines)) continue;
    const size_t digits = line.find_first_not_of(" \t", colon + 1);
    if (digits != std::string_view::npos) out.*known->bytes = leading_number(line.substr(digits)).value_or(0) * 1024;
  }
  return out;
}

}  // namespace

MemoryStatus parse_memory_status(std::string_view status) {
  MemoryStatus out = parse_lines(status, kStatusLines);
  out.threads = static_cast<uint32_t>(leading_number(status_value(status, "Threads")).value_or(0));
  return out;
}

Result<MemoryStatus> read_memory_status(Tgid pid) {
  const auto thread = live_thread(pid);
  if (!thread) return cannot_look_at(pid, ESRCH);
  const auto text = read_small_file(proc_path(static_cast<pid_t>(raw(*thread)), "status"), kMaxStatusBytes);
  if (!text) return cannot_look_at(pid, text.error().os_error);
  return parse_memory_status(*text);
}

HostMemory parse_meminfo(std::string_view meminfo) {
  return parse_lines(meminfo, kMeminfoLines);
}

Result<HostMemory> read_host_memory() {
  const auto text = read_small_file("/proc/meminfo", kMaxStatusBytes);
  if (!text) return text.error();
  return parse_meminfo(*text);
}

}  // namespace alloctrail
