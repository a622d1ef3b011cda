// SPDX-License-Identifier: Apache-2.0
// Memory as the kernel counts it: of one process, of the cgroups around it, of the host. Plain values, read by target/.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace alloctrail {

/// The memory figures of /proc/PID/status, in bytes. What each means: output/field_guide.h.
struct MemoryStatus {
  uint64_t vm_peak_bytes = 0;
  uint64_t vm_size_bytes = 0;
  uint64_t vm_lck_bytes = 0;
  uint64_t vm_pin_bytes = 0;
  uint64_t vm_hwm_bytes = 0;
  uint64_t vm_rss_bytes = 0;
  uint64_t rss_anon_bytes = 0;
  uint64_t rss_file_bytes = 0;
  uint64_t rss_shmem_bytes = 0;
  uint64_t vm_data_bytes = 0;
  uint64_t vm_stk_bytes = 0;
  uint64_t vm_exe_bytes = 0;
  uint64_t vm_lib_bytes = 0;
  uint64_t vm_pte_bytes = 0;
  uint64_t vm_swap_bytes = 0;
  uint64_t hugetlb_bytes = 0;
  uint32_t threads = 0;
  friend bool operator==(const MemoryStatus&, const MemoryStatus&) = default;
};

/// One memory cgroup with all below it. A limit that is not set is empty.
struct CgroupMemory {
  std::string name;  ///< path below the hierarchy's root: "/", "/system.slice/redis.service"
  uint64_t use_bytes = 0;
  std::optional<uint64_t> limit_bytes;  ///< the kernel reclaims, then kills, above it
  std::optional<uint64_t> high_bytes;   ///< v2: the kernel slows its processes down above it
  uint64_t anon_bytes = 0;
  uint64_t file_bytes = 0;         ///< page cache, without shmem
  uint64_t shmem_bytes = 0;        ///< tmpfs, shared memory, memfd
  uint64_t kernel_bytes = 0;       ///< stacks, page tables, slab, sockets
  uint64_t reclaimable_bytes = 0;  ///< what the kernel can take back without swap: file pages on its lists, slab caches
  uint64_t swap_use_bytes = 0;
  std::optional<uint64_t> swap_limit_bytes;             ///< v2: of swap alone
  std::optional<uint64_t> memory_and_swap_limit_bytes;  ///< v1: of both together

  /// What only ends with the processes (or goes to swap): use without what can be reclaimed.
  [[nodiscard]] uint64_t unreclaimable_bytes() const {
    return use_bytes > reclaimable_bytes ? use_bytes - reclaimable_bytes : 0;
  }
  friend bool operator==(const CgroupMemory&, const CgroupMemory&) = default;
};

/// /proc/meminfo.
struct HostMemory {
  uint64_t total_bytes = 0;
  uint64_t free_bytes = 0;
  uint64_t available_bytes = 0;  ///< the kernel's estimate of what can be had without swapping
  uint64_t cached_bytes = 0;
  uint64_t shmem_bytes = 0;
  uint64_t swap_total_bytes = 0;
  uint64_t swap_free_bytes = 0;
  friend bool operator==(const HostMemory&, const HostMemory&) = default;
};

/// What bounds the memory of a process: the memory cgroups it is in, innermost first, and the host.
struct MemoryBounds {
  std::vector<CgroupMemory> cgroups;
  bool outer_cgroups_hidden = false;  ///< this mount or namespace does not show the root: there may be limits outside
  HostMemory host;
};

}  // namespace alloctrail
