// SPDX-License-Identifier: Apache-2.0
// Snapshots with known figures for the tests of analysis/ and output/.
#pragma once

#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "user/model/snapshot.h"

namespace alloctrail::samples {

inline Frame frame(uint64_t address, std::string function, std::string file, uint32_t line) {
  return {Addr{address}, std::move(function), "/usr/bin/orders", address - 0x400000, std::move(file), line, false};
}

inline Frame bare_frame(uint64_t address, std::string function, std::string module, uint64_t offset) {
  return {Addr{address}, std::move(function), std::move(module), offset, "", 0, false};
}

inline const char* const kLibc = "/usr/lib/x86_64-linux-gnu/libc.so.6";

inline Stack leak_stack() {
  Frame inlined = frame(0x401320, "OrderBook::add(Order const&)", "/src/orders/order_book.cpp", 88);
  inlined.inlined = true;
  return {
      {bare_frame(0x7f0000089110, "malloc", kLibc, 0x89110),
       bare_frame(0x7f00000a0010, "operator new(unsigned long)", "/usr/lib/x86_64-linux-gnu/libstdc++.so.6", 0xa0010),
       inlined, frame(0x401320, "handle_request(int)", "/src/orders/server.cpp", 142),
       bare_frame(0x401500, "", "/usr/bin/orders", 0x1500), bare_frame(0x7f0000085134, "start_thread", kLibc, 0x85134)},
      AT_STACK_complete};
}

inline Stack cache_stack() {
  return {{bare_frame(0x7f0000089110, "malloc", kLibc, 0x89110),
           frame(0x402000,
                 "Cache::insert(std::basic_string_view<char, std::char_traits<char> >, std::vector<unsigned char, "
                 "std::allocator<unsigned char> >&&)",
                 "/src/orders/third_party/caching/include/caching/cache.hpp", 31),
           frame(0x403000, "main", "/src/orders/main.cpp", 12)},
          AT_STACK_frame_pointers};
}

/// A process with three threads of which worker-2 leaks and worker-1 has exited, all calls accounted for.
inline Snapshot leaking() {
  Snapshot s;
  s.time = std::chrono::system_clock::time_point(std::chrono::milliseconds(1738555506789));
  s.elapsed = std::chrono::milliseconds(4000);
  s.process = {
      Tgid{4242},
      "orders",
      "/usr/bin/orders --threads 3 --config /etc/orders/production.conf",
      {.vm_size_bytes = 1'288'490'188, .vm_rss_bytes = 35'861'299, .vm_data_bytes = 220'200'960, .threads = 4}};
  s.threads = {{Tid{4242}, "orders", true, {614'400, 600}, {307'200, 300}, {}},
               {Tid{4243}, "worker-1", false, {3'000'000, 9'000}, {2'950'000, 8'900}, {}},
               {Tid{4244}, "worker-2", true, {100'000'000, 1'225'000}, {87'310'720, 1'100'000}, {}}};
  s.sites = {{0, 1, {614'400, 600}, {307'200, 300}, {}},
             {1, 0, {3'000'000, 9'000}, {2'950'000, 8'900}, {}},
             {2, 0, {12'689'280, 125'000}, {0, 0}, {}},
             {2, 1, {87'310'720, 1'100'000}, {87'310'720, 1'100'000}, {}}};
  s.stacks = {leak_stack(), cache_stack()};
  s.probes = {
      {"malloc", kLibc, 0x89110, "session", "entry: push %r12 is emulated", 1'234'602},
      {"free", kLibc, 0x89729, "session", "+9: push %rbp, past a test that would be single-stepped", 1'109'212}};
  s.counters.seen_calls = 1'234'603;
  s.counters.seen_bytes = 103'614'528;
  s.counters.tracked_calls = 1'234'600;
  s.counters.tracked_bytes = 103'614'400;
  s.counters.failed_calls = 1;
  s.counters.failed_bytes = 64;
  s.counters.released_calls = 1'109'212;
  s.counters.free_unknown_calls = 12;
  return s;
}

/// The same process two seconds earlier.
inline Snapshot leaking_before() {
  Snapshot s = leaking();
  s.time -= std::chrono::seconds(2);
  s.elapsed -= std::chrono::seconds(2);
  s.threads[0].allocated = {409'600, 400};
  s.threads[0].freed = {100'000, 98};
  s.threads[2].allocated = {50'000'000, 612'500};
  s.threads[2].freed = {43'655'360, 550'000};
  s.sites[0].allocated = {409'600, 400};
  s.sites[0].freed = {100'000, 98};
  s.sites[2].allocated = {6'344'640, 62'500};
  s.sites[3].allocated = {43'655'360, 550'000};
  s.sites[3].freed = {43'655'360, 550'000};
  return s;
}

/// The same process, had it been sampled at 64 KiB: worker-2's leak is known from 200 samples, the first thread's blocks
/// were too large to be left out, and all that worker-1 holds was freed as far as samples tell.
inline Snapshot sampled() {
  Snapshot s = leaking();
  s.sampling = Sampling{.rate_bytes = 65'536, .highest_rate_bytes = 65'536, .recorded_allocated = {}, .recorded_freed = {}};
  const auto of_small_blocks = [](double samples, double block_bytes) {
    return SampledPart{.samples = samples,
                       .bytes = samples * 65'536,
                       .blocks = samples * 65'536 / block_bytes,
                       .bytes_variance = samples * 65'536 * 65'536,
                       .blocks_variance = samples * (65'536 / block_bytes) * (65'536 / block_bytes)};
  };
  s.sites[1].freed = s.sites[1].allocated;
  s.sites[1].sampled.allocated = s.sites[1].sampled.freed = of_small_blocks(45, 333);
  s.sites[2].sampled.allocated = of_small_blocks(193.6, 101.5);
  s.threads[1].freed = s.threads[1].allocated;
  s.threads[1].sampled = s.sites[1].sampled;
  s.threads[2].sampled = s.sites[2].sampled;
  s.sampling->recorded_allocated = {634'752, 838};
  s.sampling->recorded_freed = {322'185, 345};
  s.counters.tracked_calls = 838;
  s.counters.tracked_bytes = 634'752;
  s.counters.sampled_out_calls = s.counters.seen_calls - 839;
  s.counters.sampled_out_bytes = s.counters.seen_bytes - 634'752 - 64;
  s.counters.free_unknown_calls = s.counters.released_calls - 345;
  return s;
}

/// A process that has not allocated since the attach.
inline Snapshot idle() {
  Snapshot s;
  s.time = leaking().time;
  s.elapsed = std::chrono::milliseconds(250);
  s.process = {
      Tgid{77}, "idle", "", {.vm_size_bytes = 16384, .vm_rss_bytes = 4096, .vm_data_bytes = 8192, .threads = 1}};
  return s;
}

}  // namespace alloctrail::samples
