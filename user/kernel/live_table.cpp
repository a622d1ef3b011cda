// SPDX-License-Identifier: Apache-2.0
#include "user/kernel/live_table.h"

#include <bpf/bpf.h>
#include <fmt/core.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <vector>

#include "user/handles.h"

namespace alloctrail {
namespace {

constexpr uint32_t kBlocksPerBucket = 6;
constexpr uint32_t kBlocksPerSpilled = 4;

bool belongs_to(Slot slot, uint64_t key) { return key >> AT_LIVE_ADDRESS_BITS == raw(slot); }

/// Entries are taken as the programs take them, as programs of other slots may be at work in the same bucket.
void empty_buckets(BpfObject& object, Slot slot) {
  for (uint32_t i = 0; i < object.live_buckets.size(); ++i) {
    volatile at_live_bucket& bucket = object.live_buckets[i];
    for (volatile __u64& entry : bucket.keys) {
      auto* key = const_cast<__u64*>(&entry);
      __u64 seen = __atomic_load_n(key, __ATOMIC_RELAXED);
      if (belongs_to(slot, seen))
        __atomic_compare_exchange_n(key, &seen, AT_LIVE_FREE, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
    }
  }
}

/// Reads the map in batches. A bucket's count of spilled blocks then stays too high: its blocks are looked for in vain.
void empty_spill(int fd, Slot slot) {
  constexpr uint32_t kBatch = 16384;
  std::vector<uint64_t> keys(kBatch);
  std::vector<at_live> values(kBatch);
  std::vector<uint64_t> doomed;
  uint64_t position = 0;
  for (bool first = true, more = true; more; first = false) {
    uint32_t count = kBatch;
    const int error =
        bpf_map_lookup_batch(fd, first ? nullptr : &position, &position, keys.data(), values.data(), &count, nullptr);
    more = error == 0;
    if (error != 0 && errno != ENOENT) count = 0;
    for (uint32_t i = 0; i < count; ++i)
      if (belongs_to(slot, keys[i])) doomed.push_back(keys[i]);
  }
  uint32_t count = static_cast<uint32_t>(doomed.size());
  if (count > 0) bpf_map_delete_batch(fd, doomed.data(), &count, nullptr);
}

Error age_error(const char* what) {
  return Error{.message = fmt::format("{} the age pass: {}", what, std::strerror(errno)), .hint = "", .os_error = errno};
}

/// Runs an iterator program over all elements of a map.
Status iterate(bpf_program* program, int map_fd) {
  bpf_iter_link_info info{};
  info.map.map_fd = static_cast<uint32_t>(map_fd);
  bpf_iter_attach_opts options{};
  options.sz = sizeof(options);
  options.link_info = &info;
  options.link_info_len = sizeof(info);
  const Link link(bpf_program__attach_iter(program, &options));
  if (!link) return age_error("attaching");
  const UniqueFd iterator(bpf_iter_create(bpf_link__fd(link.get())));
  if (!iterator) return age_error("starting");
  char nothing[64];
  for (ssize_t got = 0; (got = read(iterator.get(), nothing, sizeof(nothing))) != 0;)
    if (got < 0 && errno != EAGAIN && errno != EINTR) return age_error("running");
  return ok();
}

/// The clock of at_live::birth_ms.
uint32_t now_ms() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint32_t>(static_cast<uint64_t>(now.tv_sec) * 1000 + static_cast<uint64_t>(now.tv_nsec) / 1000000);
}

}  // namespace

LiveTableSize live_table_size(uint32_t blocks) {
  return {.buckets = blocks / kBlocksPerBucket + 1, .spilled = blocks / kBlocksPerSpilled + 1};
}

void forget_live_blocks(BpfObject& object, Slot slot) {
  empty_buckets(object, slot);
  empty_spill(bpf_map__fd(object.skeleton->maps.live_spill), slot);
}

Status add_older_blocks(BpfObject& object, std::chrono::nanoseconds age) {
  object.skeleton->bss->age_cutoff_ms =
      now_ms() - static_cast<uint32_t>(std::chrono::duration_cast<std::chrono::milliseconds>(age).count());
  const auto& maps = object.skeleton->maps;
  const auto& programs = object.skeleton->progs;
  if (auto passed = iterate(programs.at_age, bpf_map__fd(maps.live_buckets)); !passed) return passed;
  return iterate(programs.at_age_spill, bpf_map__fd(maps.live_spill));
}

}  // namespace alloctrail
