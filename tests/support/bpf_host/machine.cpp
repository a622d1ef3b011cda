// SPDX-License-Identifier: Apache-2.0
#include "tests/support/bpf_host/simulation.h"

#include <cerrno>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <unordered_map>

namespace alloctrail::bpf_host {
namespace {

/// Elements keep their place once made, as the programs hold pointers to them.
struct Map {
  std::unordered_map<std::string, std::unique_ptr<char[]>> elements;
  size_t capacity = SIZE_MAX;
};

struct Machine {
  std::unordered_map<const void*, Map> maps;
  std::unordered_map<const task_struct*, std::unique_ptr<char[]>> storage;
  std::unordered_map<uint64_t, uint64_t> user_memory;
  task_struct* current = nullptr;
  bool storage_fails = false;
  std::mt19937 random{1};
  alignas(8) char ring[256] = {};
};

Machine& machine() {
  static Machine instance;
  return instance;
}

std::string key_of(const void* key, uint32_t size) { return {static_cast<const char*>(key), size}; }

}  // namespace

void reset() {
  machine() = Machine{};
  host_record_everything();
  host_reserve_first_elements();
}
void occupy_buckets(size_t entries) {
  for (uint32_t i = 0; i < host_live_bucket_count(); ++i)
    for (size_t entry = 0; entry < entries; ++entry) host_live_bucket(i)->keys[entry] = AT_LIVE_BUSY;
}
void limit_live_blocks(size_t blocks) {
  occupy_buckets(AT_LIVE_BUCKET_ENTRIES);
  machine().maps[host_spill_map()].capacity = blocks;
}
void fail_thread_state(bool fails) { machine().storage_fails = fails; }
void run_as(task_struct* task) { machine().current = task; }
void write_user(uint64_t address, uint64_t word) { machine().user_memory[address] = word; }
void unmap_user(uint64_t address) { machine().user_memory.erase(address); }
void seed_random(uint32_t seed) { machine().random.seed(seed); }
size_t spilled_blocks() { return machine().maps[host_spill_map()].elements.size(); }
size_t live_blocks() {
  size_t blocks = spilled_blocks();
  for (uint32_t i = 0; i < host_live_bucket_count(); ++i)
    for (const uint64_t key : host_live_bucket(i)->keys) blocks += key != AT_LIVE_FREE && key != AT_LIVE_BUSY;
  return blocks;
}

}  // namespace alloctrail::bpf_host

using alloctrail::bpf_host::machine;

extern "C" {

void* host_lookup(const void* map, __u32 key_size, __u32 value_size, __u32, int is_hash, const void* key) {
  auto& elements = machine().maps[map].elements;
  const auto found = elements.find(alloctrail::bpf_host::key_of(key, key_size));
  if (found != elements.end()) return found->second.get();
  if (is_hash) return nullptr;
  auto element = std::make_unique<char[]>(value_size);  // arrays have all their elements, zeroed
  return elements.emplace(alloctrail::bpf_host::key_of(key, key_size), std::move(element)).first->second.get();
}

long host_update(const void* map, __u32 key_size, __u32 value_size, __u32, int, const void* key, const void* value,
                 __u64 flags) {
  auto& target = machine().maps[map];
  const std::string name = alloctrail::bpf_host::key_of(key, key_size);
  const auto found = target.elements.find(name);
  if (found != target.elements.end()) {
    if (flags == BPF_NOEXIST) return -EEXIST;
    std::memcpy(found->second.get(), value, value_size);
    return 0;
  }
  if (target.elements.size() >= target.capacity) return -E2BIG;
  auto element = std::make_unique<char[]>(value_size);
  std::memcpy(element.get(), value, value_size);
  target.elements.emplace(name, std::move(element));
  return 0;
}

long host_delete(const void* map, __u32 key_size, __u32, __u32, int, const void* key) {
  return machine().maps[map].elements.erase(alloctrail::bpf_host::key_of(key, key_size)) == 1 ? 0 : -ENOENT;
}

void* host_task_storage(task_struct* task, __u32 value_size, __u64 flags) {
  auto& storage = machine().storage;
  const auto found = storage.find(task);
  if (found != storage.end()) return found->second.get();
  if (flags == 0 || machine().storage_fails) return nullptr;
  return storage.emplace(task, std::make_unique<char[]>(value_size)).first->second.get();
}

void* host_ring_reserve(__u32 size) { return size <= sizeof(machine().ring) ? machine().ring : nullptr; }
task_struct* host_current() { return machine().current; }

__u64 host_pid_tgid() {
  const task_struct* task = machine().current;
  return static_cast<__u64>(task->tgid) << 32 | static_cast<__u32>(task->pid);
}

long host_comm(char* buffer, __u32 size) {
  std::memset(buffer, 0, size);
  std::memcpy(buffer, "worker", 6);
  return 0;
}

__u32 host_random() { return static_cast<__u32>(machine().random()); }
__u64 host_now_ns() { return 1'000'000'000; }

long host_read_user(void* to, __u32 bytes, const void* from) {
  const auto address = reinterpret_cast<__u64>(from);
  for (__u32 done = 0; done < bytes; done += 8) {
    const auto found = machine().user_memory.find(address + done);
    if (found == machine().user_memory.end()) return -EFAULT;
    std::memcpy(static_cast<char*>(to) + done, &found->second, 8);
  }
  return 0;
}

/// The chain of frame pointers is only the probed instruction: what tells stacks apart here is the return address.
long host_get_stack(const pt_regs* regs, void* to, __u32) {
  std::memcpy(to, &regs->ip, 8);
  return 8;
}

}  // extern "C"
