// SPDX-License-Identifier: Apache-2.0
#include "user/target/memory_status.h"

#include <gtest/gtest.h>
#include <unistd.h>

namespace alloctrail {
namespace {

TEST(MemoryStatus, EveryFigureOfAStatusFileIsRead) {
  const MemoryStatus status = parse_memory_status(
      "Name:\tredis server\nState:\tS (sleeping)\nNgid:\t0\nVmPeak:\t     101 kB\nVmSize:\t     102 kB\nVmLck:\t       "
      "3 kB\n"
      "VmPin:\t       4 kB\nVmHWM:\t     105 kB\nVmRSS:\t     106 kB\nRssAnon:\t       7 kB\nRssFile:\t       8 kB\n"
      "RssShmem:\t       9 kB\nVmData:\t     110 kB\nVmStk:\t     111 kB\nVmExe:\t     112 kB\nVmLib:\t     113 kB\n"
      "VmPTE:\t     114 kB\nVmSwap:\t     115 kB\nHugetlbPages:\t     116 kB\nCoreDumping:\t0\nThreads:\t17\n");
  MemoryStatus expected;
  expected.vm_peak_bytes = 101 * 1024;
  expected.vm_size_bytes = 102 * 1024;
  expected.vm_lck_bytes = 3 * 1024;
  expected.vm_pin_bytes = 4 * 1024;
  expected.vm_hwm_bytes = 105 * 1024;
  expected.vm_rss_bytes = 106 * 1024;
  expected.rss_anon_bytes = 7 * 1024;
  expected.rss_file_bytes = 8 * 1024;
  expected.rss_shmem_bytes = 9 * 1024;
  expected.vm_data_bytes = 110 * 1024;
  expected.vm_stk_bytes = 111 * 1024;
  expected.vm_exe_bytes = 112 * 1024;
  expected.vm_lib_bytes = 113 * 1024;
  expected.vm_pte_bytes = 114 * 1024;
  expected.vm_swap_bytes = 115 * 1024;
  expected.hugetlb_bytes = 116 * 1024;
  expected.threads = 17;
  EXPECT_EQ(status, expected);
}

TEST(MemoryStatus, LinesThatAreMissingOrMakeNoSenseStayZero) {
  EXPECT_EQ(parse_memory_status(""), MemoryStatus{});
  EXPECT_EQ(parse_memory_status("VmRSS\nVmRSS:\nVmRSS: \t\nVmRSS:\t-1 kB\nVmData:\tmany\n:::\n"), MemoryStatus{});
  EXPECT_EQ(parse_memory_status("Name:\tkthreadd\nThreads:\t1\n").threads, 1u);
}

TEST(MemoryStatus, OwnFiguresAddUp) {
  const auto status = read_memory_status(Tgid{static_cast<uint32_t>(getpid())});
  ASSERT_TRUE(status) << status.error().message;
  EXPECT_EQ(status->vm_rss_bytes, status->rss_anon_bytes + status->rss_file_bytes + status->rss_shmem_bytes);
  EXPECT_GE(status->vm_peak_bytes, status->vm_size_bytes);
  EXPECT_GE(status->threads, 1u);
}

TEST(HostMemory, MeminfoIsRead) {
  const HostMemory host = parse_meminfo(
      "MemTotal:       24684084 kB\nMemFree:        16966624 kB\nMemAvailable:   18104292 kB\nBuffers:            5268 "
      "kB\n"
      "Cached:          1162348 kB\nSwapCached:            1 kB\nSwapTotal:             20 kB\nSwapFree:              "
      "10 kB\n"
      "Shmem:              8872 kB\n");
  EXPECT_EQ(host.total_bytes, 24684084ull * 1024);
  EXPECT_EQ(host.free_bytes, 16966624ull * 1024);
  EXPECT_EQ(host.available_bytes, 18104292ull * 1024);
  EXPECT_EQ(host.cached_bytes, 1162348ull * 1024);
  EXPECT_EQ(host.shmem_bytes, 8872ull * 1024);
  EXPECT_EQ(host.swap_total_bytes, 20ull * 1024);
  EXPECT_EQ(host.swap_free_bytes, 10ull * 1024);
}

}  // namespace
}  // namespace alloctrail
